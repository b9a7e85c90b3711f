"""Back from a run's folder to its configuration and network: the one way, for every script.

A network that is opened again is a class with `describe()`, which the checkpoint keeps, and
`from_description(info, source)`, which builds it with random weights. An app's `describe()` has the
keys "app" (its folder's name), "model" (its BackboneConfig) and, where it has one, "backbone" (that
one's `describe()`), then what only this app needs. An app may keep networks in its package, which
open by a name as runs do (`kept.py`); of their training they have a card, and no settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from core.checkpoints import averaged_weights, find_checkpoint, read_info
from core.config import build, load_config
from core.errors import InputError
from core.models.classifier import Classifier
from core.training.files.checkpoint import load_weights
from core.training.session import Session

Config = TypeVar("Config")


@dataclass(frozen=True)
class TrainedRun(Generic[Config]):
    """A run that can be evaluated: its settings, its network, and the checkpoint it is from."""

    config: Config
    network: nn.Module  # with its averaged weights where there are some, in evaluation mode
    checkpoint: Path
    kept: str = ""  # the name of a network that is kept: no run, and the data is to be said

    @property
    def folder(self) -> Path:
        """That of the run, for what is made of it; of a kept one a folder of its name in runs/."""
        if self.kept:
            return Path("runs", self.network.describe()["app"], "kept", self.kept)
        return self.checkpoint.parents[1]


def reopen(
    path: str | Path, config: type[Config], network: Any, session: Session
) -> TrainedRun[Config]:
    """The run of a folder, or of one of its checkpoints; of a run the best one; or a kept network.

    config: the dataclass of its config.yaml; of a kept network it is the default one, with the
    network's own "model" and what the class's `settings_of(info)` gives, where it has that.
    network: the class. On the session's device and in its precision. Raises InputError where the
    path holds nothing of this app.
    """
    checkpoint = find_checkpoint(place_of(path, network))
    run = _reopen(checkpoint, config, network, session)
    millions = sum(parameter.numel() for parameter in run.network.parameters()) / 1e6
    session.print(f"{checkpoint}: {millions:.2f} M parameters; {session.describe()}")
    return run


def _reopen(
    checkpoint: Path, config: type[Config], network: Any, session: Session
) -> TrainedRun[Config]:
    info = read_info(checkpoint)
    _check_app(info, config, network, checkpoint)
    if "about" in info:
        opened = open_network(checkpoint, network).to(session.device)
        session.in_precision(opened)
        told = {"model": info["model"], **getattr(network, "settings_of", _none)(info)}
        settings = build(config, told, f"{checkpoint}/config.json")
        return TrainedRun(settings, opened, checkpoint, checkpoint.name)
    settings = load_config(config, checkpoint.parents[1] / "config.yaml")
    opened = open_network(checkpoint, network).to(session.device)
    session.in_precision(opened)
    return TrainedRun(settings, opened, checkpoint)


def _check_app(info: dict[str, Any], config: type, network: Any, checkpoint: Path) -> None:
    """InputError for a network of another app, whose settings have other names."""
    package, own = (*config.__module__.split("."), "")[:2]
    # classifiers of pictures, those of core/pretrain.py too, name no app
    foreign = "head" in info and network is not Classifier
    theirs = info.get("app") or ("style" if foreign else own)
    if package == "apps" and theirs != own:
        raise InputError(
            f"{checkpoint} is a network of apps/{theirs}, and not of apps/{own}: "
            f"apps/{theirs}/predict.py and eval.py take it"
        )


def _none(info: dict[str, Any]) -> dict[str, Any]:
    return {}


def place_of(path: str | Path, network: Any) -> str | Path:
    """The folder of a network that is kept by this name; every other path as it is."""
    kept = getattr(network, "KEPT", None)
    return kept.place(path) if kept else path


def open_network(checkpoint: Path, network: Any) -> nn.Module:
    """The network of a checkpoint with its averaged weights, on the CPU, in evaluation mode."""
    rebuilt = network.from_description(read_info(checkpoint), str(checkpoint))
    load_weights(rebuilt, averaged_weights(checkpoint))
    return rebuilt.eval()
