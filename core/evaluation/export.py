"""Export a network for use without this code: torch.export, ONNX, ONNX in int8.

python core/eval.py export --model.weights photos --formats export onnx int8

Input `images` (B, 3, H, W), outputs `tokens` (B, S, C) of the backbone and, where the weights hold
a trained head, `logits` (B, n). Image size, mean, std, the backbone's description and the names of
the classes are in the file's metadata. The batch size stays free. The image size is fixed, as a
Mixer's is, but for torch.export of a Mixer with `any_size`, whose height and width stay free. Every
file is opened again and compared with the network before it gets its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from core.data.images.labelled import ImagesConfig
from core.data.loading import BadSample
from core.data.samples import evenly_spaced
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.common import DEFAULT_BACKBONE, BackboneConfig, open_backbone
from core.evaluation.exporting.exporters import export_int8, export_onnx, export_program
from core.evaluation.exporting.graph import backbone_of, noise
from core.files import check_new, write_json
from core.models.backbone import create_backbone, open_weights
from core.models.building import load_backbone
from core.models.classifier import create_classifier, load_classifier
from core.models.weights.reading import read_stored
from core.ranges import Count, Share
from core.sizes import times
from core.training.session import Session

Format = Literal["export", "onnx", "int8"]

SUFFIXES = {"export": ".pt2", "onnx": ".onnx", "int8": ".int8.onnx"}


@dataclass(frozen=True)
class Config:
    """Export a network to files, each checked against it."""

    model: BackboneConfig = BackboneConfig()
    # the logits of the head that the weights hold, beside the tokens; without one tokens alone
    head: bool = True
    # export: torch.export (.pt2); onnx; int8: ONNX with the matrix products' weights in int8
    formats: tuple[Format, ...] = ("export", "onnx")
    # images on which int8 must agree with float32; no root: unit normal noise
    data: ImagesConfig = ImagesConfig(split="")
    # at most this many images are compared
    images: Count = 64
    # images at a time
    batch_size: Count = 8
    # int8 is kept if the mean cosine of its pooled features with those of float32, both less the
    # mean of float32 over the images, is at least this
    min_agreement: Share = 0.99
    # folder for <model>.pt2, .onnx, .int8.onnx and .json; what is there is never overwritten
    out: str = "exports"


def run(config: Config, session: Session) -> dict:
    """Write the files and <model>.json; return the record. One process writes, on the CPU."""
    record: dict = {"config": config, "files": {}}
    if not session.is_main:
        return record
    paths = _new_paths(config)
    network = open_network(config.model, config.head)
    for name in config.formats:
        figures = _export(name, network, paths[name], config)
        record["files"][paths[name].name] = figures
        words = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        session.print(f"{paths[name]}: {words}")
    write_json(Path(config.out) / f"{_stem(config.model)}.json", record)
    return record


def open_network(model: BackboneConfig, head: bool) -> nn.Module:
    """The `Classifier` where a head is wanted and the weights hold one, else the backbone."""
    if not (head and model.weights):
        return open_backbone(model)
    size = model.image_size or None
    if not model.backbone:
        stored = read_stored(model.weights, size)
        return load_classifier(stored, size) if stored.head else load_backbone(stored, size)
    size = size or 224
    stored = open_weights(model.backbone, model.weights, size)
    create = create_classifier if stored.head else create_backbone
    return create(model.backbone, size, weights=stored)


def _export(name: str, network: nn.Module, path: Path, config: Config) -> dict[str, float]:
    if name == "export":
        figures = {"max_difference": export_program(network, path)}
    elif name == "onnx":
        figures = {"max_difference": export_onnx(network, path)}
    else:
        images = check_images(config, network)
        figures = export_int8(network, path, images, config.min_agreement, config.batch_size)
    files = path.parent.glob(path.name + "*")  # ONNX above 2 GB has its weights beside it
    return {**figures, "MB": sum(file.stat().st_size for file in files) / 1e6}


def check_images(config: Config, network: nn.Module) -> Tensor:
    """(N, 3, H, W): images evenly spaced in the data, or noise."""
    if not config.data.root:
        return noise(network, config.images)
    backbone = backbone_of(network)
    transform = eval_transform("squash", backbone.image_size, backbone.normalization)
    dataset = open_images(config.data.root, config.data.split, transform, config.data.limit("data"))
    chosen = evenly_spaced(len(dataset), config.images)
    images, bad = [], []
    for i in chosen:
        try:
            images.append(dataset[i]["image"])
        except BadSample as error:
            bad.append(error)
            if len(bad) > config.data.skip_bad or len(bad) == len(chosen):
                raise InputError(f"{error}; leave it out with --data.skip-bad") from error
    return torch.stack(images)


def _new_paths(config: Config) -> dict[str, Path]:
    """The files to write, none of which exists."""
    if not config.formats:
        raise InputError("no formats given: set --formats to some of export, onnx and int8")
    stem = _stem(config.model)
    paths = {name: Path(config.out) / (stem + SUFFIXES[name]) for name in config.formats}
    for path in [*paths.values(), Path(config.out) / f"{stem}.json"]:
        check_new(path)
    return paths


def _stem(model: BackboneConfig) -> str:
    """The model's name, as a file may have it."""
    name = model.backbone or Path(model.weights).name or DEFAULT_BACKBONE
    words = [name, times(model.image_size)]
    return re.sub(r"[^\w.-]+", "-", "-".join(word for word in words if word))
