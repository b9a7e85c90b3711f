"""The phases of benchmarks/gpu.py by name, in the order of their worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.gpu_phases import correct, fsdp, speed, training
from benchmarks.gpu_phases.task import Record, Task


@dataclass(frozen=True)
class Phase:
    """What a phase does, and its part of the time."""

    work: Callable[[Task, Record], None]
    weight: float
    needs: str = ""  # the option that names its data


PHASES = {
    "correct": Phase(correct.run, 2.0),
    "speed": Phase(speed.run, 2.5),
    "fsdp": Phase(fsdp.run, 0.8),
    "photos": Phase(training.photos, 2.0, needs="photos"),
    "cifar10_300": Phase(training.cifar10_300, 2.0, needs="cifar"),
    "cifar10_fractals": Phase(training.cifar10_fractals, 2.5, needs="cifar"),
}
