"""Square-root sampling."""

import numpy as np
import pytest
import torch

from apps.style.data.sampling import SquareRoot
from core.data.images.labelled import LabelledImages
from core.data.loading import TrainLoader
from tests.apps.style.helpers import painting


class Plain:
    """A transform that counts the random numbers it sees."""

    def __call__(self, image):
        return torch.rand(())


def unequal(read, counts=(900, 100), transform=None):
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    names = list(map(str, range(len(labels))))
    return LabelledImages(
        "x", [f"c{i}" for i in range(len(counts))], labels, names, read, transform
    )


def test_square_root_sampling_draws_by_the_roots_of_sizes():
    data = painting(1, "PNG", size=(1, 1))
    sampled = SquareRoot(unequal(lambda i: data, transform=Plain()))
    assert len(sampled) == 1000
    batches = TrainLoader(sampled, 500).batches()
    labels = torch.cat([next(batches)["label"] for _ in range(4)])  # 2,000 draws
    assert float((labels == 1).float().mean()) == pytest.approx(10 / 40, abs=0.03)


def test_square_root_sampling_is_the_same_on_any_number_of_processes():
    data = painting(1, "PNG", size=(1, 1))
    images = unequal(lambda i: data, (9, 3), Plain())
    one = TrainLoader(SquareRoot(images), 4, seed=7).batches()
    two = [TrainLoader(SquareRoot(images), 2, seed=7, rank=r, world=2).batches() for r in (0, 1)]
    resumed = TrainLoader(SquareRoot(images), 4, seed=7).batches(3)
    for step in range(6):
        whole, halves = next(one), [next(half) for half in two]
        assert torch.cat([half["image"] for half in halves]).tolist() == whole["image"].tolist()
        assert torch.cat([half["label"] for half in halves]).tolist() == whole["label"].tolist()
        if step >= 3:
            assert next(resumed)["image"].tolist() == whole["image"].tolist()


def test_square_root_sampling_replaces_a_bad_image_by_another():
    data = painting(1, "PNG", size=(1, 1))
    images = unequal(lambda i: b"no image" if i == 3 else data, (9, 3), Plain())
    batches = TrainLoader(SquareRoot(images), 12, skip_bad=1).batches()
    assert all(len(next(batches)["label"]) == 12 for _ in range(5))
