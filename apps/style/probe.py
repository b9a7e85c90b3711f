"""A first answer in minutes: python apps/style/probe.py [PRESET] --data.csv paintings.csv [--...].

Nothing is trained: the backbone (`--model.weights`: a run, a folder, an official set, timm) stays
as it is, and its head is a ridge regression on the features of all training paintings, in closed
form (core/evaluation/ridge.py). The scores of a regression are no logits: one number turns them
into some, so that the probabilities are calibrated. This number and l2 are chosen by leave-one-out
on the training paintings; those that validate have no part in it. What comes out is a run as any
other, for eval.py and predict.py, of one checkpoint, and probe.json.

Paintings are prepared as for evaluation; with `--augment.flip` above 0 each one's mirror image is a
second row. Any other setting of how to train (augment, sampling, loss, optim, steps) is an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from apps.style import presets
from apps.style.config import StyleConfig
from apps.style.data.source import StyleData
from apps.style.eval import evaluate
from apps.style.evaluation.metrics import softmax, style_metrics
from core.config import cli, entry_point, needs
from core.errors import InputError
from core.evaluation.features import head_features
from core.evaluation.ridge import Ridge, fit_ridge
from core.files import write_json
from core.models.network import build_classifier
from core.training.run import Run
from core.training.run_config import RunConfig

UNUSED = ("sampling", "loss", "optim")  # sections of how to train, and `augment` but its flip


def demo() -> StyleConfig:
    """Embedded paintings of twelve styles, a small Mixer with random weights: top-1 0.60."""
    return _probed(presets.demo(), "probe_demo")


def debug() -> StyleConfig:
    """A few embedded paintings: does everything run? Seconds on any machine."""
    return _probed(presets.debug(), "probe_debug")


def wikiart7_small() -> StyleConfig:
    """Seven styles of WikiArt, a small random Mixer: top-1 0.32, chance 0.14. Set --data.csv."""
    return _probed(presets.wikiart7_small(), "probe_wikiart7_small")


@needs("data.root", "data.csv")
def wikiart_mixer_b16() -> StyleConfig:
    """WikiArt, 27 styles, Mixer-B/16 as ImageNet-21k left it; needs --data.root. Not run."""
    base = presets.wikiart_mixer_b16()
    base = replace(base, model=replace(base.model, weights="imagenet21k"))
    return _probed(base, "probe_wikiart_mixer_b16")


def _probed(base: StyleConfig, name: str) -> StyleConfig:
    run = RunConfig(f"runs/style/{name}", best="macro_f1", trackers=())
    return replace(base, run=run, **_without_training(base))


def _without_training(config: StyleConfig) -> dict[str, Any]:
    """The sections of how to train, as they are where nobody has set anything that is not used."""
    plain = StyleConfig()
    augment = replace(plain.augment, flip=config.augment.flip)
    return {"augment": augment} | {name: getattr(plain, name) for name in UNUSED}


PRESETS = {make.__name__: make for make in (demo, debug, wikiart7_small, wikiart_mixer_b16)}


def probe(config: StyleConfig, keep_processes: bool = False) -> Run:
    """Fit the head, evaluate and keep it: the run of one checkpoint, step 0, and probe.json.

    keep_processes: more runs follow. Raises InputError for settings that a probe has no use for.
    """
    check(config)
    config = replace(config, model=replace(config.model, new_head=True))
    run = Run(config.run, config)
    data = StyleData(config, run.session)
    images = data.open("train")
    network = build_classifier(config.model, images.classes)
    images, val = data.train_as_val(images, network), data.val(network)
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    options["mirrored"] = config.augment.flip > 0
    run.session.print(f"features of {images}")
    x, y = head_features(run.session, network, images, config.eval.batch_size, **options)

    device = run.session.device if run.session.device.type == "cuda" else "cpu"
    ridge = fit_ridge(x.to(device), y.to(device), len(images.classes))
    network.head.load_state_dict(ridge.head())
    run.prepare(model=network)
    report(run, ridge, x, y)
    with run.evaluating() as network:
        run.log(evaluate(run.session, network, val, config)[0])
    run.finish(keep_processes)
    return run


def check(config: StyleConfig) -> None:
    """InputError for a setting of how to train."""
    if config.run.resume:
        raise InputError("run.resume: a probe has no steps to go on from, give a new --run.folder")
    if config.run.steps or config.run.epochs:
        raise InputError("run.steps, run.epochs: a probe has none, leave them out or use train.py")
    for name, unset in _without_training(config).items():
        if getattr(config, name) != unset:
            but = " but flip" if name == "augment" else ""
            raise InputError(
                f"{name}: a probe trains nothing and uses none of it{but}: leave it out"
            )


def report(run: Run, ridge: Ridge, x: Tensor, y: Tensor) -> None:
    """Print what was chosen of features x (N, V, C) and labels y (N,), and write RUN/probe.json."""
    figures = style_metrics(softmax((ridge.scale * ridge.left_out).cpu().numpy()), y.numpy())
    record = dict(zip(("paintings", "views", "features"), x.shape, strict=True))
    record |= {"l2": ridge.l2, "scale": ridge.scale, "leave_one_out": figures}
    record["errors"] = [{"l2": l2, "error": error} for l2, error in ridge.errors.items()]
    run.session.print(
        f"ridge of {len(x)} paintings, {x.shape[1]} view(s) of {x.shape[2]} features: l2 "
        f"{ridge.l2:.4g}, scale {ridge.scale:.4g}, leave-one-out top-1 {figures['top1']:.4f}"
    )
    if run.session.is_main:
        write_json(run.folder / "probe.json", record)


@entry_point
def main() -> None:
    probe(cli(PRESETS))


if __name__ == "__main__":
    main()
