"""A run of a small app, without training: what a folder has to hold to be opened again."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from core.config import save_config
from core.models.classifier import create_classifier
from core.training.files.checkpoint import link, save_weights, write_checkpoint
from core.training.run import RunConfig


@dataclass(frozen=True)
class SmallData:
    root: str = ""
    images: int = 3


@dataclass(frozen=True)
class SmallConfig:
    RENAMED: ClassVar[dict[str, str]] = {"count": "data.images"}
    data: SmallData = SmallData()
    run: RunConfig = field(default_factory=RunConfig)


@pytest.fixture
def small_run(tmp_path):
    """(folder, network) of a run whose averaged weights differ from its last ones."""
    import json

    folder = tmp_path / "run"
    network = create_classifier("mixer_c16_l1_p8", 16, 3).eval()
    average = {name: value + 1 for name, value in network.state_dict().items()}

    def write(draft):
        save_weights(average, draft / "model.safetensors")
        save_weights(network.state_dict(), draft / "ema.safetensors")
        info = {"step": 7, "metrics": {}, **network.describe()}
        (draft / "config.json").write_text(json.dumps(info))

    (folder / "checkpoints").mkdir(parents=True)
    save_config(SmallConfig(SmallData("photos")), folder / "config.yaml")
    link(folder, "last", write_checkpoint(folder, 7, write))
    torch.manual_seed(1)
    return folder, network
