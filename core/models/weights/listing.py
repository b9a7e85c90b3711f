"""What weights there are by name: those that are kept in the package, and the official ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from core.models.backbone import create_backbone
from core.models.shapes import times
from core.models.weights.download import MIB, NAMES, OFFICIAL
from core.models.weights.names import (
    about,
    kept_folder,
    kept_names,
    kept_network,
    kept_parameters,
)
from core.tables import Table, scaled

RELEASED = "google-research/vision_transformer"
SETS = {  # of the official files: what they were trained on, and the classes of the head
    "imagenet1k": ("ImageNet-1k", 1_000),
    "imagenet21k": ("ImageNet-21k", 21_843),
    "sam": ("ImageNet-1k, with SAM", 1_000),
    "gsam": ("ImageNet-1k, with GSAM", 1_000),
}
NOTE = (
    "create_backbone(NETWORK, SIZE, weights=NAME). Kept ones lie in the package and open offline, "
    "a download is fetched once; parameters are without the head; top-1 in %, of the run that made "
    "the weights, on its validation images: of several sizes the mean (its card has each)."
)


@dataclass(frozen=True)
class NamedWeights:
    """Weights that `create_backbone(network, weights=name)` opens."""

    name: str
    network: str
    parameters: int  # of the backbone
    bytes: int  # of the file; of a download as released, to 0.01 MiB
    classes: int  # of its head; 0: it has none
    image_sizes: tuple[tuple[int, int], ...]  # (height, width) that training saw
    trained_on: str
    terms: str
    license: str = ""  # of the weights; empty: see the terms
    figures: Mapping[str, float] = field(default_factory=dict)  # measured, by metric
    download: bool = False  # fetched on the first request; else kept in the package


def list_weights() -> list[NamedWeights]:
    """What is kept in the package, then each official set that can be fetched.

    No weights are read, but config.json and the file's header. Raises InputError where a kept
    folder does not say what it should.
    """
    sets = [(name, key) for name, files in OFFICIAL.items() for key in files]
    return [*map(_kept, kept_names()), *(_official(name, key) for name, key in sets)]


def weights_table(weights: Sequence[NamedWeights]) -> Table:
    """A line for each."""
    rows = [
        (
            each.name,
            each.network,
            each.parameters,
            each.bytes,
            each.classes or None,
            _sizes(each.image_sizes),
            each.figures.get("top1"),
            "download" if each.download else "kept",
            each.trained_on,
        )
        for each in weights
    ]
    columns = ("name", "network", "parameters", "MB", "classes", "pixels", "top-1", "", "data")
    forms = {
        "parameters": lambda count: f"{count / 1e6:.1f} M",
        "MB": scaled(1e-6, 1),
        "top-1": scaled(100, 1),
    }
    return Table("", columns, rows, NOTE, forms=forms)


def _kept(name: str) -> NamedWeights:
    said = about(name)
    parameters, classes = kept_parameters(name)
    return NamedWeights(
        name,
        kept_network(name),
        parameters,
        (kept_folder(name) / "model.safetensors").stat().st_size,
        classes,
        said.image_sizes,
        said.trained_on,
        said.terms,
        said.license,
        said.figures,
    )


def _official(name: str, key: str) -> NamedWeights:
    network = next(known for known in NAMES if NAMES[known] == key)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in create_backbone(network, 224).parameters())
    data, classes = SETS[name]
    size = round(OFFICIAL[name][key] * MIB)
    terms = f"see {RELEASED} and ImageNet's terms of access"
    pixels = ((224, 224),)
    return NamedWeights(
        name, network, parameters, size, classes, pixels, data, terms, download=True
    )


def _sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """ "48-192" for squares, else each as 256x192."""
    if any(height != width for height, width in sizes):
        return " ".join(map(times, sizes))
    sides = sorted(height for height, _ in sizes)
    return str(sides[0]) if len(sides) == 1 else f"{sides[0]}-{sides[-1]}"
