"""People's boxes by a detector of torchvision that was trained on COCO."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from apps.pose.prediction.pipeline import Boxes, Frame
from core.config import did_you_mean
from core.errors import InputError, first_line

PERSON = 1  # class of all of torchvision's detectors
DOWNLOAD = "download"


class Detector:
    """A source of boxes: every person that the network finds with at least ``minimum`` score.

    ``network`` maps a list of images (3, h, w) float in [0, 1] to dicts of boxes (N, 4) as x1, y1,
    x2, y2 in pixels, labels (N,) and scores (N,), as torchvision's detectors do, which also remove
    duplicates.
    """

    def __init__(self, network: nn.Module, device: torch.device | str, minimum: float):
        self.network, self.device, self.minimum = network.to(device).eval(), device, minimum

    @torch.inference_mode()
    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        images = [torch.from_numpy(frame.image).to(self.device) for frame in frames]
        outputs = self.network([image.permute(2, 0, 1).float() / 255 for image in images])
        return [self._boxes(output) for output in outputs]

    def _boxes(self, output: dict[str, torch.Tensor]) -> Boxes:
        people = (output["labels"] == PERSON) & (output["scores"] >= self.minimum)
        corners, scores = output["boxes"][people], output["scores"][people].tolist()
        # (N, 4) from x1, y1, x2, y2 to x, y, width, height
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1).tolist()
        return list(zip(boxes, scores, strict=True))


def open_detector(name: str, weights: str = "") -> nn.Module:
    """torchvision's detector of this name.

    weights: a file with its state dict; "download", for torchvision to fetch COCO's; empty: those
    that torchvision has fetched before. Raises InputError for an unknown name, and where there are
    no weights or those of another network.
    """
    from torchvision.models import detection, get_model_builder, get_model_weights, list_models

    known = list_models(module=detection)
    if name not in known:
        raise InputError(f"torchvision has no detector {name!r}.{did_you_mean(name, known)}")
    build, official = get_model_builder(name), get_model_weights(name).DEFAULT
    if not weights:
        _check_fetched(name, official.url)
    if weights in ("", DOWNLOAD):
        return build(weights=official)
    state, classes = _read(weights, name), len(official.meta["categories"])
    network = build(weights=None, weights_backbone=None, num_classes=classes)
    with _naming(weights, name):
        network.load_state_dict(state)
    return network


def _check_fetched(name: str, url: str) -> None:
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    if not path.is_file():
        raise InputError(
            f"no weights for the detector {name}: {path} is missing. Give a file with "
            f"--detector-weights FILE, let torchvision fetch it with --detector-weights {DOWNLOAD},"
            " or give --boxes"
        )


def _read(path: str, name: str) -> dict[str, torch.Tensor]:
    try:
        with _naming(path, name):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check --detector-weights") from None


@contextmanager
def _naming(path: str, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # unpicklers raise many kinds
        raise InputError(
            f"{path} holds no weights of torchvision's {name}: {first_line(error)}"
        ) from error
