"""Few-shot linear probe: frozen features, regularised least squares in closed form.

The protocol and its constants are those of big_vision (`evaluators/fewshot_lsr.py`, and
`configs/common_fewshot.py` for l2, shots and seeds): features are whitened with the mean and
standard deviation of the training examples (+ 1e-5), a constant 100 is appended, targets are -1 and
+1, l2 is 2^10, and the class is the argmax. Shots are 1, 5, 10, 25, each with 3 seeds.

Legend: N training examples, C features, K classes, D = C + 1, L values of l2.

Deviations: the solve is in float64 (there: float32), and a class with fewer images than shots is an
error (there: it takes fewer). Images are resized as core/data/transforms.py says.

0 shots are all training images, and ours: the ridge regression of core/evaluation/ridge.py, whose
l2 is chosen by leave-one-out on these images. `pool`, `l2` and `seeds` have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Subset

from core.data.images.labelled import ImagesConfig, LabelledImages
from core.data.sources import open_images, same_source
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.common import BackboneConfig, EvalConfig, open_backbone
from core.evaluation.features import pooled_features
from core.evaluation.ridge import fit_ridge
from core.files import write_json
from core.ranges import Count, Range, Wholes
from core.tables import Table
from core.training.session import Session

BIAS = 100.0  # so large that the bias is hardly regularised
POOL_SEED = 0


@dataclass(frozen=True)
class Config:
    """Few-shot linear probe: accuracy from 1 to 25 images of each class, on frozen features."""

    RENAMED: ClassVar[dict[str, str]] = {
        "batch_size": "eval.batch_size",
        "workers": "train.workers",
    }

    model: BackboneConfig = BackboneConfig()
    # where the few examples are drawn from
    train: ImagesConfig = ImagesConfig(split="train")
    # what the accuracy is measured on
    test: ImagesConfig = ImagesConfig(split="val")
    # examples of each class; 0: every training image, l2 chosen by leave-one-out
    shots: Wholes = (1, 5, 10, 25)
    # how often the examples are drawn: seeds 0, 1, ...
    seeds: Count = 3
    # regularisation; several values share one decomposition
    l2: Annotated[tuple[float, ...], Range(0)] = (1024.0,)
    # training images of each class that features are computed of (65,000 of ImageNet's there)
    pool: Count = 65
    # squash: both sides to 256, crop 224, in proportion at other sizes; see core/data/transforms.py
    protocol: str = "squash"
    # how it goes through the images
    eval: EvalConfig = EvalConfig()
    # folder for fewshot.json
    out: str = "results"


def run(config: Config, session: Session) -> dict:
    """Print a table of shots and accuracies, write fewshot.json.

    Raises InputError for a class with fewer images than shots, for a class of test that train does
    not have, and where both are the same images.
    """
    rows = probe_rows(config, session, open_backbone(config.model))
    record = {"config": config, "rows": rows}
    session.print(fewshot_table(rows, config.seeds))
    if session.is_main:
        write_json(Path(config.out) / "fewshot.json", record)
    return record


def fewshot_table(rows: Sequence[dict], seeds: int) -> Table:
    """A line for each shots and l2."""
    names = ("shots", "l2", "mean", "min", "max")
    percent = dict.fromkeys(names[2:], "{:.2%}")
    lines = [[row["shots"] or "all", *(row[name] for name in names[1:])] for row in rows]
    note = "" if all(row["shots"] for row in rows) else "all: every training image, no seed"
    return Table(f"top-1 over {seeds} seeds", names, lines, note, forms={"l2": "{:g}", **percent})


def probe_rows(
    config: Config,
    session: Session,
    backbone: nn.Module,
    shuffle: Callable | None = None,
    sections: tuple[str, str] = ("train", "test"),
) -> list[dict]:
    """A row for each shots and l2: {"shots", "l2", "mean", "min", "max", "accuracies"}.

    `shuffle` acts on the batches of images (B, 3, H, W) of both splits; `sections` are the names of
    the two in the settings that a person has, for what is said of them.
    """
    train, test = _open_splits(config, backbone, sections)
    names, pool = train.classes, pool_of(train.labels, config.pool)
    labels = [train.labels[i] for i in pool]
    draw_examples(labels, max(config.shots), 0, names)  # complains before an hour of features
    chosen = train if 0 in config.shots else Subset(train, pool)
    known, asked = (
        pooled_features(
            session,
            backbone,
            images,
            config.eval.batch_size,
            read.workers,
            shuffle=shuffle,
            skip_bad=read.skip_bad,
        )
        for images, read in ((chosen, config.train), (test, config.test))
    )
    device = session.device if session.device.type == "cuda" else "cpu"
    known, asked = ([tensor.to(device) for tensor in pair] for pair in (known, asked))
    pool = pool_of(known[1].tolist(), config.pool)  # of what could be read
    few = [tensor[pool] for tensor in known]
    rest = (config.l2, config.seeds, names)
    rows = (_rows([*(few if shots else known), *asked], shots, *rest) for shots in config.shots)
    return [row for part in rows for row in part]


def fewshot_accuracy(
    train_x: Tensor,
    train_y: Tensor,
    test_x: Tensor,
    test_y: Tensor,
    shots: int,
    l2s: Sequence[float],
    seed: int,
    names: Sequence[str] = (),
) -> list[float]:
    """Top-1 accuracy in [0, 1] for each of `l2s`, learnt from `shots` examples of each class.

    train_x (N, C) and train_y (N,) are what examples are drawn from; `names` are the classes, by
    default as many as there are labels. Raises InputError for a class with too few.
    """
    chosen = draw_examples(train_y.tolist(), shots, seed, names).to(train_x.device)
    classes = len(names) or int(train_y.max()) + 1
    probe = fit_probe(train_x[chosen], train_y[chosen], classes, l2s)
    test_x = probe.whitened(test_x)
    return [float(((test_x @ w).argmax(1) == test_y).double().mean()) for w in probe.weights]


def draw_examples(
    labels: Sequence[int], shots: int, seed: int, names: Sequence[str] = ()
) -> Tensor:
    """Positions (K * shots,) of `shots` examples of each class, a pure function of labels and seed.

    Fewer shots of one seed are among its more shots. As in big_vision, NumPy's default generator
    permutes the positions of one class after the other.
    """
    labels = np.asarray(labels)
    names = names or range(int(labels.max()) + 1)
    generator, chosen = np.random.default_rng(seed), []
    for label, name in enumerate(names):
        positions = generator.permutation(np.flatnonzero(labels == label))
        if len(positions) < shots:
            raise InputError(
                f"class {name!r} has {len(positions)} training images, {shots} shots asked for: "
                "choose fewer (--shots), a larger --pool or more images"
            )
        chosen.append(positions[:shots])
    return torch.from_numpy(np.concatenate(chosen))


def pool_of(labels: Sequence[int], count: int) -> list[int]:
    """Positions, in order, of at most `count` examples of each class, always the same ones."""
    labels, generator = np.asarray(labels), np.random.default_rng(POOL_SEED)
    order = generator.permutation(len(labels))
    chosen = [order[labels[order] == label][:count] for label in np.unique(labels)]
    return sorted(np.concatenate(chosen).tolist())


@dataclass(frozen=True)
class LinearProbe:
    """Whitening (C,) by the training examples, and weights (L, D, K), one for each l2.

    `whitened(x) @ weights` are the scores (L, N, K); the class is the largest.
    """

    mean: Tensor
    std: Tensor
    weights: Tensor

    def whitened(self, x: Tensor) -> Tensor:
        """Features (N, C) as the regression takes them: (N, D) float64, the last column BIAS."""
        return F.pad((x.double() - self.mean) / self.std, (0, 1), value=BIAS)


def fit_probe(x: Tensor, y: Tensor, classes: int, l2s: Sequence[float]) -> LinearProbe:
    """Minimise |X W - Y|^2 + l2 |W|^2 for each l2, x (N, C), y (N,) int64 in 0..classes-1.

    W = (X'X + l2)^-1 X'Y where N >= D, and else the same by X'(XX' + l2)^-1 Y, which is N x N: one
    eigendecomposition, of the smaller matrix, serves every l2.
    """
    mean, std = x.double().mean(0), x.double().std(0, correction=0) + 1e-5
    x = LinearProbe(mean, std, mean).whitened(x)  # (N, D)
    targets = 2 * F.one_hot(y, classes).double() - 1  # (N, K)
    primal = len(x) >= x.shape[1]
    eigenvalues, q = torch.linalg.eigh(x.T @ x if primal else x @ x.T)
    left = q if primal else x.T @ q
    right = q.T @ (x.T @ targets if primal else targets)
    weights = torch.stack([(left / (eigenvalues + l2)) @ right for l2 in l2s])
    return LinearProbe(mean, std, weights)


def _rows(tensors: list[Tensor], shots: int, l2s, seeds: int, names: list[str]) -> list[dict]:
    if not shots:
        return [_row_of_all(*tensors, len(names))]
    drawn = [fewshot_accuracy(*tensors, shots, l2s, seed, names) for seed in range(seeds)]
    by_l2 = zip(l2s, zip(*drawn, strict=True), strict=True)
    return [_row(shots, l2, accuracies) for l2, accuracies in by_l2]


def _row_of_all(
    train_x: Tensor, train_y: Tensor, test_x: Tensor, test_y: Tensor, classes: int
) -> dict:
    ridge = fit_ridge(train_x[:, None], train_y, classes)
    said = F.linear(test_x.double(), ridge.weight, ridge.bias).argmax(1)
    return _row(0, ridge.l2, [float((said == test_y).double().mean())])


def _row(shots: int, l2: float, accuracies: Sequence[float]) -> dict:
    return {
        "shots": shots,
        "l2": l2,
        "mean": sum(accuracies) / len(accuracies),
        "min": min(accuracies),
        "max": max(accuracies),
        "accuracies": list(accuracies),
    }


def check_two(train: LabelledImages, test: LabelledImages) -> None:
    """Raise InputError where one set of images is both."""
    if same_source(train.source, test.source):
        raise InputError(f"train and test are the same images, {test.source}: give two splits")


def _open_splits(
    config: Config, backbone: nn.Module, sections: tuple[str, str] = ("train", "test")
) -> tuple[LabelledImages, LabelledImages]:
    """The train and test images, the test's labelled with the classes of train."""
    if not config.shots or min(config.shots) < 0:
        raise InputError(f"shots is {config.shots}; give positive numbers, or 0 for all images")
    for name, values in (("l2", config.l2), ("seeds", [config.seeds])):
        if not values or min(values) <= 0:
            raise InputError(f"{name} is {getattr(config, name)}; give positive numbers")
    for name, images in (("train", config.train), ("test", config.test)):
        if not images.root:
            raise InputError(f"no {name} images given: set --{name}.root")
    transform = eval_transform(config.protocol, backbone.image_size, backbone.normalization)
    train, test = (
        open_images(c.root, c.split, transform, c.limit(section))
        for c, section in zip((config.train, config.test), sections, strict=True)
    )
    check_two(train, test)
    return train, test.relabelled(train.classes)
