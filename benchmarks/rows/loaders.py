"""Training images a second of one core: our loader of a folder beside timm's and others'.

JPEGs of 500x375 pixels, in two classes; a random crop to 224, a flip, normalisation, batches of
64. Each loader works in this process, on one thread: what each of its worker processes would do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.rows.pairs import Row, Settings, faster, in_turn
from core.data.augment import AugmentConfig, train_transform
from core.data.images.folders import open_folder
from core.data.loading import TrainLoader
from core.profiling.timing import Work

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREA = (0.08, 1.0)


def rows(settings: Settings) -> Iterator[Row]:
    """Ours over the fastest of the others, and over each of them."""
    torch.set_num_threads(1)
    count, batch, side = (8, 4, 32) if settings.smallest else (256, 64, 224)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), count)
        makers = {"ours": ours, "timm": timms, "torchvision": torchvisions, "datasets": datasets}
        works = {}
        for name, make in makers.items():
            batches = make(Path(folder), batch, side)
            works[name] = Work(name, lambda b=batches: next(b), batch)
        in_turn(settings, list(works.values()))
    mine = works.pop("ours")
    known = [work for work in works.values() if work.rates]
    best = max(known, key=lambda work: work.rate.median)
    what = "loader of image folders, 224 px, one core"
    yield faster(Row(what, f"the best, {best.name}", 1.2), mine, best, "images/s")
    for work in works.values():
        yield faster(Row(what, work.name), mine, work, "images/s")


def write_images(folder: Path, count: int) -> None:
    """JPEGs as photographs have it: smooth shapes, and a grain on them."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / "train" / f"class{number % 2}" / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.float32)
        grain = rng.normal(0, 6, smooth.shape)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)


def ours(folder: Path, batch: int, side: int) -> Iterator:
    """`core`'s, as `core/pretrain.py` opens a folder."""
    config = AugmentConfig(crop_area=AREA)
    transform = train_transform(config, (side, side), (MEAN, STD))
    return TrainLoader(open_folder(folder, "train", transform), batch).batches()


def timms(folder: Path, batch: int, side: int) -> Iterator:
    """timm's create_loader, without colour jitter; no prefetcher, which is for GPUs."""
    from timm.data import create_dataset, create_loader

    dataset = create_dataset("", root=str(folder / "train"), is_training=True)
    loader = create_loader(
        dataset,
        (3, side, side),
        batch,
        is_training=True,
        no_aug=False,
        scale=AREA,
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=0,
        use_prefetcher=False,
        device=torch.device("cpu"),
        persistent_workers=False,
    )
    return endless(loader)


def torchvisions(folder: Path, batch: int, side: int) -> Iterator:
    """ImageFolder with the transforms of torchvision's own reference training."""
    from torchvision.datasets import ImageFolder

    images = ImageFolder(folder / "train", _reference(side))
    return endless(DataLoader(images, batch, shuffle=True, drop_last=True))


def datasets(folder: Path, batch: int, side: int) -> Iterator:
    """Hugging Face's imagefolder with the same transforms."""
    from datasets import load_dataset

    transform = _reference(side)

    def transformed(items: dict) -> dict:
        images = [transform(image.convert("RGB")) for image in items["image"]]
        return {"image": images, "label": items["label"]}

    cache = str(folder / "cache")
    images = load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=cache)
    loader = DataLoader(images.with_transform(transformed), batch, shuffle=True, drop_last=True)
    return endless(loader)


def _reference(side: int) -> Callable:
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=AREA, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def endless(loader) -> Iterator:
    """Epoch after epoch."""
    while True:
        yield from loader
