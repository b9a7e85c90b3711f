"""Back from a run's folder to its configuration and network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from core.checkpoints import averaged_weights, find_checkpoint, read_info
from core.config import load_config
from core.training.checkpoint import load_weights
from core.training.session import Session

Config = TypeVar("Config")


def reopen(
    path: str, config: type[Config], network: Any, session: Session
) -> tuple[Config, Any, Path]:
    """Configuration, network with its (averaged) weights, and checkpoint folder of a run.

    path: of a run or of one of its checkpoints, the best one of a run. config: the dataclass of its
    config.yaml. network: a class with `from_description(info, source)`. On the session's device, in
    evaluation mode. Raises InputError for what is none of this app's.
    """
    checkpoint = find_checkpoint(path)
    found = load_config(config, checkpoint.parents[1] / "config.yaml")
    made = network.from_description(read_info(checkpoint), str(checkpoint))
    load_weights(made, averaged_weights(checkpoint))
    return found, made.to(session.device).eval(), checkpoint
