"""Everything that a run can be told, and the presets. It imports nothing of the app."""

from dataclasses import dataclass, field, replace

from core.evaluation.common import EvalConfig
from core.models.network import ClassifierConfig
from core.training.optim import OptimConfig
from core.training.run import RunConfig


@dataclass(frozen=True)
class DataConfig:
    """Pictures that are the right way up."""

    root: str = ""  # a folder with train/ and val/ of them; empty: the app draws landscapes
    workers: int = 0  # loader processes for each training process


@dataclass(frozen=True)
class UprightConfig:
    """One training run: by how many quarter turns was a picture turned?"""

    data: DataConfig = DataConfig()
    model: ClassifierConfig = ClassifierConfig("mixer_c32_l2_p8", (32,))
    eval: EvalConfig = EvalConfig()
    optim: OptimConfig = OptimConfig(lr=2e-3)
    run: RunConfig = field(default_factory=lambda: RunConfig("runs/upright/demo", best="top1"))


def demo() -> UprightConfig:
    """Landscapes that the app draws: which way is up? Half a minute on a core."""
    base = UprightConfig()
    return replace(base, run=replace(base.run, steps=200, batch_size=32, eval_every=100))


def debug() -> UprightConfig:
    """Two steps: does everything run?"""
    base, run = UprightConfig(), UprightConfig().run
    return replace(base, run=replace(run, steps=2, batch_size=4, log_every=1, trackers=()))


PRESETS = {"demo": demo, "debug": debug}
