"""Shuffled patches and pixels, after Figure 4 of MLP-Mixer (arXiv 2105.01601).

Two permutations, each the same for all images: (1) "patches" changes the order of the P x P patches
and, in every patch alike, the order of its pixels; (2) "pixels" changes the order of all pixels of
the image. The paper trains Mixer-B/16 and ResNet50x1 on images so shuffled (JFT-300M) and reports
linear 5-shot accuracy: Mixer does not notice (1), ResNet does.

Why: (1) only permutes weights of the Mixer's first layers, and the initial values of all orders are
equally likely. `undo_shuffle` permutes them, so that the network gives the same features for the
shuffled images as it gave for the others. What was trained on images in order and is then shown
shuffled ones fails as any network would: to repeat Figure 4, give runs that were trained on images
shuffled with the same seed and patch (`--augment.shuffle` of core/pretrain.py).

Legend: B batch, H W image, ph pw patch, S patches, h w their grid.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from core.data.images.labelled import ImagesConfig
from core.data.shuffle import patch_order, random_permutations, shuffle_pixels
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation import fewshot
from core.evaluation.common import BackboneConfig, EvalConfig, open_backbone
from core.files import write_json
from core.models.networks.mixer import Mixer
from core.models.weights.names import is_kept
from core.models.weights.permuted import without_permutation
from core.pictures.figures import new_figure, plain_axes, save_figure
from core.pictures.sheets import caption, enlarged, save_image, sheet
from core.ranges import Count, Counts, Seed, Whole
from core.training.session import Session

UNDONE = "patches, weights permuted"
EXAMPLES = 6  # images on the sheet
EXAMPLE_SIDE = 128  # pixels, at least about


@dataclass(frozen=True)
class Config:
    """5-shot accuracy on original, patch-shuffled and pixel-shuffled images, model by model."""

    RENAMED: ClassVar[dict[str, str]] = {
        "batch_size": "eval.batch_size",
        "workers": "train.workers",
    }

    # a backbone's name, a run or weights folder, NAME=WEIGHTS (mixer_b16=imagenet1k), kept weights
    models: tuple[str, ...] = ("mixer_s16", "timm:resnet50")
    # height and width in pixels; empty: 224, of a folder what its weights were trained at
    image_size: Counts = ()
    # where the few examples are drawn from
    train: ImagesConfig = ImagesConfig(split="train")
    # what the accuracy is measured on
    test: ImagesConfig = ImagesConfig(split="val")
    # pixels of the square patches that are shuffled; 0: each model's own stride
    patch: Whole = 16
    # of the permutations
    seed: Seed = 0
    # examples of each class; 0: every training image, and no seeds
    shots: Whole = 5
    # how often the examples are drawn
    seeds: Count = 3
    # training images of each class that features are computed of
    pool: Count = 65
    # squash: both sides to 256, crop 224, in proportion at other sizes; see core/data/transforms.py
    protocol: str = "squash"
    # how it goes through the images
    eval: EvalConfig = EvalConfig()
    # folder for shuffle.json, shuffle.png and shuffle_examples.png
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Print and write the accuracy of every model under every shuffle, a plot and example images.

    Raises InputError where a model's image size is not a multiple of the patch, and what
    `core.evaluation.fewshot` raises.
    """
    models = [model_config(word, config.image_size) for word in config.models]
    if not models:
        raise InputError("models is empty; give names or folders, e.g. mixer_s16 timm:resnet50")
    backbones = [open_backbone(model) for model in models]
    results = {}
    for word, model, backbone in zip(config.models, models, backbones, strict=True):
        results[word] = accuracies(config, session, model, backbone)
    record = {"config": config, "results": results}
    if session.is_main:
        folder = Path(config.out)
        write_json(folder / "shuffle.json", record)
        plot(results, config.shots, folder / "shuffle.png")
        save_image(folder / "shuffle_examples.png", example_sheet(config, backbones[0]))
    return record


def model_config(word: str, image_size: tuple[int, ...] = ()) -> BackboneConfig:
    """The model of `NAME`, `PATH`, `NAME=WEIGHTS` or the name of kept weights, permuted or not."""
    named, _ = without_permutation(word)
    if is_kept(named) or Path(named).exists():
        return BackboneConfig(weights=word, image_size=image_size)
    name, _, weights = word.partition("=")
    return BackboneConfig(name, image_size, weights)


@torch.no_grad()
def undo_shuffle(mixer: Mixer, order: Tensor, pixels: Tensor) -> Mixer:
    """A copy for images that `shuffle_patches` shuffled in the Mixer's own patches.

    copy(shuffled) is mixer(images)[:, order]: the tokens are the same, in the shuffled order, and
    so is their mean. Permuted are the pixels of the stem's kernel and, in every block, the columns
    of token-mixing W1 and the rows of W2 and b2.
    """
    copied = copy.deepcopy(mixer)
    kernel = copied.stem.weight  # (C, 3, ph, pw)
    kernel.copy_(kernel.flatten(2)[:, :, pixels.to(kernel.device)].view(kernel.shape))
    order = order.to(kernel.device)
    for block in copied.blocks:
        first, second = block.mlp_tokens.fc1, block.mlp_tokens.fc2
        first.weight.copy_(first.weight[:, order])  # (D_S, S): reads token s where s went
        second.weight.copy_(second.weight[order])  # (S, D_S): writes it there
        second.bias.copy_(second.bias[order])
    return copied


def conditions(backbone: nn.Module, patch: tuple[int, int], seed: int) -> dict:
    """{what is done: (network, function of its images or None)}.

    A Mixer of that patch has one more: patch-shuffled images, seen by `undo_shuffle`'s copy.
    """
    drawn = random_permutations(seed, backbone.image_size, patch)
    inside = patch_order(backbone.image_size, patch, drawn.order, drawn.pixels)
    patches = partial(shuffle_pixels, order=inside)
    pairs = {"original": (backbone, None), "patches": (backbone, patches)}
    if isinstance(backbone, Mixer) and tuple(backbone.stride) == patch:
        pairs[UNDONE] = (undo_shuffle(backbone, drawn.order, drawn.pixels), patches)
    return {**pairs, "pixels": (backbone, partial(shuffle_pixels, order=drawn.everywhere))}


def example_sheet(config: Config, backbone: nn.Module) -> Image.Image:
    """The first test images, original and shuffled, as `backbone` is given them: a row for each."""
    size, (mean, std) = backbone.image_size, backbone.normalization
    transform = eval_transform(config.protocol, size, (mean, std))
    limit = config.test.limit("test")
    images = open_images(config.test.root, config.test.split, transform, limit)
    batch = torch.stack([images[i]["image"] for i in range(min(EXAMPLES, len(images)))])
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    rows = {}
    for name, (_, shuffle) in conditions(backbone, _patch(config, backbone), config.seed).items():
        rows[name] = (shuffle(batch) if shuffle else batch) * std + mean
    rows.pop(UNDONE, None)
    scale = max(1, EXAMPLE_SIDE // max(size))
    cards = [caption(_row(pixels, scale), [name], text=15) for name, pixels in rows.items()]
    return sheet([[card] for card in cards], gap=0)


def plot(results: dict[str, dict], shots: int, path: Path) -> None:
    """Bars of accuracy, a group for each model, with the range over the seeds; PNG at `path`."""
    figure = new_figure(3 + 2.2 * len(results), 4)
    axes = figure.subplots()
    names = list(dict.fromkeys(name for rows in results.values() for name in rows))
    for i, name in enumerate(names):
        _bars(axes, [rows.get(name) for rows in results.values()], name, i, len(names))
    axes.set_xticks(range(len(results)), list(results))
    examples = f"{shots}-shot" if shots else "all-image"
    axes.set_ylabel(f"linear {examples} top-1 (%)")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    plain_axes(axes, grid="")
    save_figure(path, figure)


def accuracies(
    config: Config, session: Session, model: BackboneConfig, backbone: nn.Module
) -> dict:
    """{what is done to the images: a row of `fewshot.probe_rows`}, printed as they come."""
    shared = ("train", "test", "seeds", "pool", "protocol", "eval")
    options = {name: getattr(config, name) for name in shared}
    probe = fewshot.Config(model=model, shots=(config.shots,), **options)
    rows: dict[str, dict] = {}
    pairs = conditions(backbone, _patch(config, backbone), config.seed)
    for name, (network, shuffle) in pairs.items():
        (rows[name],) = fewshot.probe_rows(probe, session, network, shuffle)
        mean, low, high = (100 * rows[name][key] for key in ("mean", "min", "max"))
        first = 100 * rows["original"]["mean"]
        change = f", {100 * (mean / first - 1):+.1f}%" if first and name != "original" else ""
        words = f"{mean:6.2f}% ({low:.2f} to {high:.2f}){change}"
        session.print(f"{model.label:30} {name:26} {words}")
    return rows


def _bars(axes, rows: list[dict | None], name: str, index: int, count: int) -> None:
    drawn = [(place, row) for place, row in enumerate(rows) if row]
    width = 0.8 / count
    places = [place - 0.4 + (index + 0.5) * width for place, _ in drawn]
    means = [100 * row["mean"] for _, row in drawn]
    below = [100 * (row["mean"] - row["min"]) for _, row in drawn]
    above = [100 * (row["max"] - row["mean"]) for _, row in drawn]
    axes.bar(places, means, 0.92 * width, yerr=[below, above], capsize=2, label=name)


def _row(pixels: Tensor, scale: int) -> Image.Image:
    """Images (B, 3, H, W) in [0, 1] side by side."""
    levels = (pixels.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return sheet([[enlarged(image, scale) for image in levels]], gap=4)


def _patch(config: Config, backbone: nn.Module) -> tuple[int, int]:
    return (config.patch, config.patch) if config.patch else tuple(backbone.stride)
