"""Instances of formula-driven classes, their colours, and the data set."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core import InputError
from core.data.fractals import FractalImages, FractalsConfig
from core.data.fractals import render as rendering
from core.data.fractals.classes import class_system
from core.data.fractals.colour import diamond_square, hsv
from core.data.fractals.dataset import WEIGHTS, render_instance, weighted
from core.data.fractals.render import draw, kernels
from core.data.fractals.systems import Stream, System, by_determinant
from core.data.loading import TrainLoader

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"size": 32, "points": 1000}


def test_weights_by_hand():
    assert WEIGHTS.shape == (25, 6)
    assert (WEIGHTS[0] == 1).all()
    assert len(np.unique(WEIGHTS, axis=0)) == 25
    assert WEIGHTS[1].tolist() == [0.2, 1, 1, 1, 1, 1]
    assert WEIGHTS[24].tolist() == [1, 1, 1, 1, 1, 1.8]
    system = System(np.arange(12.0).reshape(2, 6), np.array([0.3, 0.7]))
    changed = weighted(system, 23)  # f times 1.4
    assert changed.maps[:, 5].tolist() == pytest.approx([7, 15.4])
    np.testing.assert_array_equal(changed.maps[:, :5], system.maps[:, :5])
    np.testing.assert_array_equal(changed.chances, system.chances)


def test_flips_of_an_instance():
    config = FractalsConfig(stamp="point", **SMALL)
    system = class_system("sigma", 0, 0)
    plain, down, right, both = (
        render_instance(config, system, 25 * k, Stream(9)) for k in range(4)
    )
    np.testing.assert_array_equal(plain[::-1], down)
    np.testing.assert_array_equal(plain[:, ::-1], right)
    np.testing.assert_array_equal(plain[::-1, ::-1], both)
    assert (plain != down).any()


def digest(images, keys):
    return {key: hashlib.sha256(images.render(*key).tobytes()).hexdigest() for key in keys}


KEYS = [(0, 0), (20_999, 3), (7, 999), (7, 998), (7, 2**40)]
COLOURED = {"rule": "sigma", "colour": "hue", "tone": "log", "background": "clouds"}
PROGRAM = """
import sys
from core.data.fractals import FractalImages, FractalsConfig

assert "numba" not in sys.modules and "PIL" not in sys.modules
from tests.core.data.test_fractals_images import COLOURED, KEYS, SMALL, digest

images = FractalImages(FractalsConfig(classes=21_000, seed=5, **COLOURED, **SMALL))
print([digest(images, KEYS[::-1])[key] for key in KEYS])
"""


def test_images_are_the_same_in_processes_that_compile_at_once_for_two_processors(tmp_path):
    config = FractalsConfig(classes=21_000, seed=5, **COLOURED, **SMALL)
    here = digest(FractalImages(config), KEYS)
    assert len(set(here.values())) == len(KEYS)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", PROGRAM]
    environments = [env, {**env, "NUMBA_CPU_NAME": "generic"}]  # without AVX or fused multiply-add
    for run in [subprocess.Popen(command, env=e, **options) for e in environments]:
        assert run.communicate(timeout=120)[0].strip() == str(list(here.values()))
    assert list(tmp_path.rglob("*.nbi"))  # the compiled loops are kept
    again = subprocess.run(command, env=env, **options, timeout=120, check=True)
    assert again.stdout.strip() == str(list(here.values()))


def test_seed_class_and_instance_all_matter():
    def image(**changes):
        label, number = changes.pop("label", 0), changes.pop("number", 0)
        return FractalImages(FractalsConfig(**{**SMALL, **changes})).render(label, number)

    base = image()
    np.testing.assert_array_equal(base, image())
    for changes in ({"seed": 1}, {"label": 1}, {"number": 100}, {"rule": "sigma"}):
        assert (image(**changes) != base).any(), changes


def test_indices_of_21000_classes():
    images = FractalImages(FractalsConfig(classes=21_000, instances=1000, **SMALL))
    assert len(images) == len(images.labels) == len(images.names) == 21_000_000
    assert len(images.classes) == 21_000
    assert images.classes[20_999] == "20999"
    assert [images.labels[i] for i in (0, 999, 1000, 20_999_999, -1)] == [0, 0, 1, 20999, 20999]
    assert images.names[1002] == "00001/00002.png"
    sample = images[20_999_999]
    assert sample["label"] == 20_999
    np.testing.assert_array_equal(np.asarray(sample["image"]), images.render(20_999, 999))
    for index in (-1, 21_000_000):
        with pytest.raises(IndexError):
            images[index]


def test_a_second_split_has_other_images_of_the_same_classes():
    train = FractalImages(FractalsConfig(classes=2, instances=3, **SMALL))
    later = FractalImages(FractalsConfig(classes=2, instances=3, first=100, **SMALL))
    np.testing.assert_array_equal(np.asarray(later[3]["image"]), train.render(1, 100))
    assert later.names[3] == "00001/00100.png"


def test_grey_tones():
    def values(**changes):
        return FractalImages(FractalsConfig(rule="sigma", **changes, **SMALL)).render(0, 0)

    assert set(np.unique(values())) == {0, 127}
    log = values(stamp="point", tone="log")
    counts = draw(class_system("sigma", 0, 0), 32, 1000, Stream(1, 0, 0, 0).word())
    expected = np.round(255 * np.log1p(counts) / np.log1p(counts.max()))
    np.testing.assert_array_equal(log, np.repeat(expected[..., None], 3, 2))


def test_hue_is_that_of_colorsys():
    from colorsys import hsv_to_rgb

    random = np.random.default_rng(0).random((50, 3))
    expected = [np.round(255 * np.array(hsv_to_rgb(*row))) for row in random]
    np.testing.assert_array_equal(hsv(*random.T), expected)


def test_a_step_of_diamond_square_by_hand():
    heights = np.array([[0, 4], [8, 12]], np.float32)
    finer = np.empty((4, 4), np.float32)
    kernels().refine(heights, np.float32(0), np.uint64(1), finer)
    assert finer.tolist() == [[0, 4, 4, 4], [5, 6, 7, 6], [8, 8, 12, 8], [5, 6, 7, 6]]
    noisy = np.empty((4, 4), np.float32)
    kernels().refine(heights * 0, np.float32(0.5), np.uint64(1), noisy)
    assert 0 < np.abs(noisy[1::2, 1::2]).max() <= 0.5
    assert len(np.unique(noisy)) == 13  # four zeros, and twelve numbers of their own


def test_clouds_are_smooth_and_behind_the_fractal():
    heights = diamond_square(128, 0.8, Stream(3))
    assert heights.shape == (128, 128)
    steps = np.abs(np.diff(heights, axis=0)).mean()
    assert 0 < steps < 0.3 * heights.std()
    config = {"rule": "sigma", "colour": "hue", **SMALL}
    black = FractalImages(FractalsConfig(**config)).render(0, 0)
    clouded = FractalImages(FractalsConfig(background="clouds", **config)).render(0, 0)
    lit = black.any(-1)
    np.testing.assert_array_equal(clouded[lit], black[lit])
    assert len(np.unique(clouded[~lit], axis=0)) > 20


def test_an_instance_that_runs_away_is_the_system_itself():
    near_one = np.array([[0.9, 0.1, -0.1, 0.9, 1, 0], [0.9, 0, 0, -0.9, 0, 1]])
    system, config = by_determinant(near_one), FractalsConfig(**SMALL)
    assert draw(weighted(system, 4), 32, 1000, 1) is None
    image = render_instance(config, system, 4, Stream(9))
    np.testing.assert_array_equal(image, render_instance(config, system, 0, Stream(9)))


def to_tensor(image):
    return torch.from_numpy(np.array(image))


def test_training_draws_new_instances_whatever_the_workers():
    images = FractalImages(FractalsConfig(classes=4, instances=0, **SMALL), to_tensor)
    assert len(images) == 4

    def batches(workers):
        stream = TrainLoader(images, 4, seed=1, workers=workers).batches()
        return [next(stream) for _ in range(2)]

    alone, parallel = batches(0), batches(2)
    for a, b in zip(alone, parallel, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert sorted(a["label"].tolist()) == [0, 1, 2, 3]
    first, second = (batch["image"][batch["label"].argsort()] for batch in alone)
    assert (first != second).flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rule", "fractal"),
        ("size", 8),
        ("size", 9999),
        ("classes", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("tone", ""),
    ],
)
def test_fields_out_of_range(field, value):
    with pytest.raises(InputError, match=f"{field} is {value!r}"):
        FractalImages(FractalsConfig(**{field: value}))


@pytest.mark.parametrize(
    ("error", "words"), [(ImportError, "pip install numba"), (RuntimeError, "NUMBA_CACHE_DIR")]
)
def test_without_numba_or_its_cache(monkeypatch, error, words):
    def fail(_):
        raise error("no")

    monkeypatch.setattr(rendering.importlib, "import_module", fail)
    with pytest.raises(InputError, match=words):
        rendering.kernels.__wrapped__()
