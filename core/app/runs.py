"""Back from a run's folder to its configuration and network: the one way, for every script.

A network that is opened again is a class with `describe()`, which the checkpoint keeps, and
`from_description(info, source)`, which builds it with random weights. An app's `describe()` has the
keys "app" (its folder's name), "model" (its BackboneConfig) and, where it has one, "backbone" (that
one's `describe()`), then what only this app needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from core.checkpoints import averaged_weights, find_checkpoint, read_info
from core.config import load_config
from core.training.checkpoint import load_weights
from core.training.session import Session

Config = TypeVar("Config")


@dataclass(frozen=True)
class TrainedRun(Generic[Config]):
    """A run that can be evaluated: its settings, its network, and the checkpoint it is from."""

    config: Config
    network: nn.Module  # with its averaged weights where there are some, in evaluation mode
    checkpoint: Path

    @property
    def folder(self) -> Path:
        """That of the run."""
        return self.checkpoint.parents[1]


def reopen(
    path: str | Path, config: type[Config], network: Any, session: Session
) -> TrainedRun[Config]:
    """The run of a folder, or of one of its checkpoints; of a run the best one.

    config: the dataclass of its config.yaml. network: the class. On the session's device and in its
    precision. Raises InputError where the path holds nothing of this app.
    """
    checkpoint = find_checkpoint(path)
    settings = load_config(config, checkpoint.parents[1] / "config.yaml")
    opened = open_network(checkpoint, network).to(session.device)
    session.in_precision(opened)
    return TrainedRun(settings, opened, checkpoint)


def open_network(checkpoint: Path, network: Any) -> nn.Module:
    """The network of a checkpoint with its averaged weights, on the CPU, in evaluation mode."""
    rebuilt = network.from_description(read_info(checkpoint), str(checkpoint))
    load_weights(rebuilt, averaged_weights(checkpoint))
    return rebuilt.eval()
