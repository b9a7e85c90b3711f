"""How cost grows with the work: seconds over sizes, the slope of their logarithms, a plot a family.

A slope of 1 is linear. Seconds of the wall clock, the median of the rounds; all sizes of a family
take turns. Mixer-S/16 keeps its D_S at every size of image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from apps.pointcloud.geometry.search import farthest_points, knn
from apps.pose.evaluation.metrics import coco_ap
from benchmarks.pointcloud_ops import sphere
from benchmarks.rows.pairs import Row, Settings, in_turn, quartiles
from benchmarks.sparse_conv import build_map, slope
from core import create_backbone
from core.data.fractals.classes import class_system
from core.data.fractals.render import draw
from core.pictures.figures import new_figure, plain_axes, save_figure
from core.profiling.timing import Work


@dataclass(frozen=True)
class Family:
    """What is measured at which sizes; make(size) gives the call. Linear is 1."""

    unit: str
    sizes: Sequence[int]
    make: Callable[[int], Callable[[], object]]


def rows(settings: Settings) -> Iterator[Row]:
    """A row a family, of three rounds at most; <out>/slope_<family>.png."""
    settings, out = replace(settings, rounds=min(3, settings.rounds)), Path(settings.out)
    for name, family in families(settings.smallest).items():
        works = [Work(str(size), family.make(size), 1) for size in family.sizes]
        in_turn(settings, works)
        yield _row(name, family, works, out)


def families(smallest: bool) -> dict[str, Family]:
    """By name."""
    cut = 2 if smallest else None  # the first two sizes
    sides = (16, 32) if smallest else (224, 448, 896, 1792)  # 196, 784, 3,136, 12,544 tokens
    patch, name = (8, "mixer_c16_l1_p8") if smallest else (16, "mixer_s16")

    def mixer_tokens(tokens: int) -> Callable[[], object]:
        side = round(tokens**0.5) * patch
        return _forward(create_backbone(name, side), torch.randn(1, 3, side, side))

    def mixer_batch(batch: int) -> Callable[[], object]:
        side = sides[0]
        return _forward(create_backbone(name, side), torch.randn(batch, 3, side, side))

    tens = (10_000, 100_000, 1_000_000)
    points = (100, 200) if smallest else tens
    people = (10, 20) if smallest else (1_000, 10_000, 100_000)
    return {
        "Mixer over tokens": Family("tokens", [(s // patch) ** 2 for s in sides], mixer_tokens),
        "Mixer over batch": Family("images", (1, 4, 16, 64, 256)[:cut], mixer_batch),
        "COCO evaluation": Family("people", people, coco_evaluation),
        "points to voxels": Family("points", points, lambda n: build_map(n)[0]),
        "neighbours": Family("points", points, neighbours),
        "farthest points": Family("points", points, farthest),
        "fractals": Family("points", points, fractal),
    }


def _forward(network: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    network.eval()
    return torch.inference_mode()(lambda: network(images))


def coco_evaluation(count: int) -> Callable[[], object]:
    """AP of `count` people, 10 an image, each found within some pixels."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 400, (count, 17, 2))
    size = {"width": 640, "height": 480}
    images = [{"id": i, "file_name": f"{i}.jpg", **size} for i in range(-(-count // 10))]
    people, results = [], []
    for number, person in enumerate(points):
        own = {"image_id": number // 10, "category_id": 1}
        truth = np.c_[person, np.full(17, 2)].ravel().tolist()
        found = np.c_[person + rng.normal(0, 5, person.shape), np.ones(17)].ravel().tolist()
        more = {"id": number + 1, "bbox": [0, 0, 400, 400], "area": 80_000.0, "iscrowd": 0}
        people.append({**own, **more, "keypoints": truth, "num_keypoints": 17})
        results.append({**own, "keypoints": found, "score": 1.0})
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    sigmas = tuple([0.05] * 17)
    return lambda: coco_ap(content, results, sigmas)


def neighbours(count: int) -> Callable[[], object]:
    """16 of every point, by the tree, which is built each time."""
    points = sphere(count)
    return lambda: knn(points, points, 16)


def farthest(count: int) -> Callable[[], object]:
    """A quarter of the points."""
    points = sphere(count)
    return lambda: farthest_points(points, 0.25)


def fractal(points: int) -> Callable[[], object]:
    """A drawing of so many points on 256 pixels."""
    system = class_system("sigma", 0, 0)
    return lambda: draw(system, 256, points, 0)


def _row(name: str, family: Family, works: Sequence[Work], out: Path) -> Row:
    row = Row(f"slope: {name}", f"{family.sizes[0]:,} to {family.sizes[-1]:,} {family.unit}")
    row.error, row.unit = next((work.error for work in works if work.error), ""), "s"
    if row.error:
        return row
    row.sides = {work.name: quartiles([1 / rate for rate in work.rates]) for work in works}
    rounds = zip(*(work.rates for work in works), strict=True)
    slopes = [slope(family.sizes, [1 / rate for rate in rates]) for rates in rounds]
    row.figure, row.low, row.high = quartiles(slopes)
    _plot(name, family, row, out)
    return row


def _plot(name: str, family: Family, row: Row, out: Path) -> None:
    figure = new_figure(5, 4, dpi=110)
    axes = figure.subplots()
    seconds = [middle for middle, _, _ in row.sides.values()]
    axes.loglog(family.sizes, seconds, "o-", label=f"slope {row.figure:.2f}")
    axes.set(xlabel=family.unit, ylabel="seconds", title=name)
    plain_axes(axes)
    axes.legend()
    save_figure(out / f"slope_{name.lower().replace(' ', '_')}.png", figure)
