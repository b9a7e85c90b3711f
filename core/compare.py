"""What a Mixer starts from, on labelled pictures: accelerate launch core/compare.py [PRESET] [...].

Each start is fine-tuned by the recipe of `base`, with its own learning rate and several seeds, and
compared by pairs with random weights (core/app/starts.py). Each app's compare.py has the same
preset on what the app is for, so that one checkpoint is tried in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from core.app.commands import comparison_command
from core.app.comparing import Metric
from core.app.starts import Starts, Trial, compare_starts
from core.config import entry_point, needs
from core.models.network import build_backbone_of
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.pretraining.photographs import cifar10_photos


@dataclass(frozen=True)
class StartsConfig(Starts):
    """Which starts; `base` says everything but weights, learning rate, seed and folder."""

    base: PretrainConfig = field(default_factory=cifar10_photos)


@needs("base.train.root")
def starts() -> StartsConfig:
    """CIFAR-10 at 64 pixels from random weights, `photos`, and the same permuted. Not run.

    Set --base.train.root and --base.val.root; --weights for others.
    """
    base = cifar10_photos()
    # a layer decay holds back the early layers, which random weights need
    base = replace(base, optim=replace(base.optim, layer_decay=1.0))
    return StartsConfig(base=base, out="runs/pretrain/starts")


PRESETS = {"starts": starts}


def begin(base: PretrainConfig, weights: str, tune_share: float) -> PretrainConfig:
    """A run from these weights, with a new head."""
    model = replace(base.model, weights=weights, new_head=bool(weights))
    return replace(base, model=model, tune_share=tune_share)


TRIAL = Trial(
    begin,
    build=lambda config: build_backbone_of(config.model),
    train=partial(train, keep_processes=True),
    metrics=[Metric("top1")],
)


@entry_point
def main() -> None:
    comparison_command(partial(compare_starts, trial=TRIAL), PRESETS)


if __name__ == "__main__":
    main()
