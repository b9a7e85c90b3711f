"""One network at many image sizes: what becomes of its features, by each way to resize.

Token mixing is moved from the grid of the weights to each size's by each method of
`resize`, with no training after. Agreement compares the pooled features (N, C) of the
same images at the two sizes: the mean cosine after the mean over the images at the weights' own
size was subtracted from both, since raw features share most of their direction. 1 is equality.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from core.data.images.labelled import ImagesConfig
from core.data.samples import evenly_spaced, with_transform
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.classification import matched_classes
from core.evaluation.common import BackboneConfig, EvalConfig, open_backbone
from core.evaluation.features import agreement, pooled_features
from core.files import write_json
from core.models.building import load_backbone
from core.models.classifier import Classifier, load_classifier
from core.models.networks.mixer import Mixer
from core.models.weights.reading import read_stored
from core.pictures.figures import new_figure, plain_axes, save_figure
from core.ranges import Counts, Whole
from core.sizes import times
from core.tables import Table, scaled
from core.training.session import Session

OWN = "own"  # no resizing: the weights' own size, or a network trained at any size


@dataclass(frozen=True)
class Config:
    """Feature agreement, and accuracy where there is a head, at image sizes, by resizing method."""

    RENAMED: ClassVar[dict[str, str]] = {"batch_size": "eval.batch_size", "workers": "data.workers"}

    model: BackboneConfig = BackboneConfig()
    data: ImagesConfig = ImagesConfig()
    eval: EvalConfig = EvalConfig()
    # image sides in pixels
    sizes: Counts = (128, 160, 192, 224, 256, 320, 384, 448)
    # exact is left out where the grid does not grow by an integer
    methods: tuple[str, ...] = ("exact", "pi", "area", "bilinear")
    # how a picture becomes an input, core/data/transforms.py
    protocol: str = "squash"
    # evenly spaced images of the data; 0: all
    limit: Whole = 0
    # folder for grids.json and grids.png
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Print a table of sizes x methods, write grids.json and grids.png."""
    network = open_network(config.model)
    dataset = open_images(config.data.root, config.data.split, limit=config.data.limit("data"))
    if isinstance(network, Classifier):
        dataset = matched_classes(dataset, network)
    if config.limit > 0:
        dataset = Subset(dataset, evenly_spaced(len(dataset), config.limit))
    rows = size_rows(config, session, network, dataset)
    record = {"config": config, "own_size": _backbone(network).image_size, "rows": rows}
    session.print(grids_table(rows))
    if session.is_main:
        write_json(Path(config.out) / "grids.json", record)
        plot(rows, Path(config.out) / "grids.png")
    return record


def open_network(config: BackboneConfig) -> Classifier | Mixer:
    """The classifier of the weights if they have a head, else their backbone."""
    if config.weights and not config.backbone:
        size = config.image_size or None
        stored = read_stored(config.weights, size)  # once, for the head and the backbone
        network = load_classifier(stored) if stored.head else load_backbone(stored, size)
    else:
        network = open_backbone(config)
    if not isinstance(_backbone(network), Mixer):
        raise InputError(f"{config.label} is no Mixer: the others have no token mixing to resize")
    return network.eval()


def size_rows(
    config: Config, session: Session, network: Classifier | Mixer, dataset: Dataset
) -> list[dict]:
    """[{"size", "grid", "method", "agreement", "top1" (with a head)}, ...], fractions."""
    own, rows = _backbone(network).image_size, []
    reference, labels = features_at(config, session, network, dataset, own)  # (N, C), (N,)
    for side in config.sizes:
        size = (side, side)
        for method in methods_at(_backbone(network), size, config.methods):
            moved = copy.deepcopy(network)  # each method begins with the weights' own grid
            if method != OWN:
                _backbone(moved).set_image_size(size, resize=method)
            features, _ = features_at(config, session, moved, dataset, size)
            row = {"size": side, "grid": _grid(moved, size), "method": method}
            row["agreement"] = agreement(reference, features).mean().item()
            if isinstance(moved, Classifier):
                row["top1"] = top1(moved, features, labels)
            rows.append(row)
    return rows


def methods_at(backbone: Mixer, size: tuple[int, int], methods: Sequence[str]) -> list[str]:
    """The methods that apply at a size; only OWN where nothing is to be resized."""
    if size == backbone.image_size or backbone.config.any_size:
        return [OWN]
    # "exact" repeats blocks of the token mixing, which needs a whole number of them on each side.
    whole = all(s % o == 0 for s, o in zip(size, backbone.image_size, strict=True))
    return [method for method in methods if whole or method != "exact"]


def features_at(
    config: Config,
    session: Session,
    network: Classifier | Mixer,
    dataset: Dataset,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(features (N, C), labels (N,)) of the images at `size`."""
    backbone = _backbone(network)
    transform = eval_transform(config.protocol, size, backbone.normalization)
    images = with_transform(dataset, transform)
    return pooled_features(
        session,
        backbone,
        images,
        config.eval.batch_size,
        config.data.workers,
        skip_bad=config.data.skip_bad,
    )


def top1(network: Classifier, features: Tensor, labels: Tensor) -> float:
    """Share of the features (N, C) that the head gives their label."""
    with torch.inference_mode():
        logits = network.head(features.to(network.head.weight))
    return (logits.argmax(1).cpu() == labels).double().mean().item()


def plot(rows: list[dict], path: Path) -> None:
    """Agreement, and top-1 if there is a head, against the image's side: a line for each method."""
    kinds = [kind for kind in ("agreement", "top1") if kind in rows[0]]
    figure = new_figure(5 * len(kinds), 3.6)
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            points = [(row["size"], row[kind]) for row in rows if row["method"] == method]
            axes.plot(*zip(*points, strict=True), marker="o", label=method)
        axes.set(xlabel="image side, pixels", ylabel=kind)
        plain_axes(axes)
        axes.legend()
    save_figure(path, figure)


def _backbone(network) -> Mixer:
    return network.backbone if isinstance(network, Classifier) else network


def _grid(network, size: tuple[int, int]) -> tuple[int, int]:
    patch = _backbone(network).stride
    return size[0] // patch[0], size[1] // patch[1]


def grids_table(rows: list[dict]) -> Table:
    """A line for each size and method; top-1 in percent, "-" without a head."""
    lines = [
        (row["size"], times(row["grid"]), row["method"], row["agreement"], row.get("top1"))
        for row in rows
    ]
    forms = {"agreement": "{:.4f}", "top-1 %": scaled(100, 2)}
    return Table("", ("pixels", "grid", "method", "agreement", "top-1 %"), lines, forms=forms)
