"""Some samples of a data set, a share of each class, the same samples prepared in another way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset, Subset, default_collate

from core.data.images.files import PixelLimit
from core.data.loading import BadSample
from core.errors import InputError

Images = TypeVar("Images", bound=Dataset)
TUNING_SEED = 0  # of what is held out to choose settings by


def evenly_spaced(length: int, count: int) -> list[int]:
    """Indices of `count` samples of `length`, in order: the first, the last, and between them.

    All of them where there are no more; each at most once; one sample is the first.
    """
    return np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()


def some_samples(dataset: Dataset, count: int) -> Any:
    """A batch of at most so many samples, evenly over the set, without what cannot be read.

    Raises InputError where none of them can be, with what is wrong with the first.
    """
    samples, bad = [], None
    for index in evenly_spaced(len(dataset), count):
        try:
            samples.append(dataset[index])
        except BadSample as error:  # the loaders name it
            bad = bad or error
    if not samples:
        raise InputError(f"{dataset}: none of {min(count, len(dataset))} can be read: {bad}")
    return default_collate(samples)


def stratified_split(labels: Sequence[int], val_share: float, seed: int) -> np.ndarray:
    """`val_share` of each class, above 0 and below 1, drawn at random: val (N,) bool.

    A class of two or more is on both sides; a single sample trains.
    """
    labels = np.asarray(labels)
    val = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))
        count = min(max(round(val_share * len(places)), 1), len(places) - 1)
        val[places[:count]] = True
    return val


def tuning_split(labels: Sequence[int], share: float) -> tuple[list[int], list[int]]:
    """Places of what trains, and of what validates in place of validation samples, ascending.

    The second are `share` of each class, drawn with a seed that no setting changes: settings are
    chosen by them, so that no validation figure has chosen what it then measures. labels: (N,), all
    the same where there are no classes. Raises InputError where no class has two samples.
    """
    tuning = stratified_split(labels, share, TUNING_SEED)
    if not tuning.any():
        raise InputError(
            f"tune_share is {share:g}, and of {len(labels)} training samples no class has two: "
            "none can be held out to choose settings by"
        )
    return np.flatnonzero(~tuning).tolist(), np.flatnonzero(tuning).tolist()


def with_transform(dataset: Images, transform: Callable | None) -> Images:
    """The same samples with a transform of their own (None: images as they are decoded).

    dataset: what has a `transform`, a torch Subset of it, or what reads a stream in turn (`stream`;
    it is made anew of the stream, as it may stand amid a shard). Files, labels and what is read of
    them are shared; the data set itself does not change, so that others may go on reading it.
    """
    return _view(dataset, transform=transform)


def as_decoded(dataset: Images, limit: PixelLimit) -> Images:
    """The same samples as a person sees them: without a transform, up to this size."""
    return _view(dataset, transform=None, limit=limit)


def _view(dataset: Images, **values: Any) -> Images:
    if isinstance(dataset, Subset):
        return Subset(_view(dataset.dataset, **values), dataset.indices)
    if hasattr(dataset, "stream"):
        # Not copied: a copy would share the open shard, and each would miss what the other read.
        return type(dataset)(_view(dataset.stream, **values))
    if not hasattr(dataset, "transform"):
        raise TypeError(f"{type(dataset).__name__} has no transform")
    view = copy.copy(dataset)  # shallow: lists of millions of files are shared
    for name, value in values.items():
        setattr(view, name, value)
    return view
