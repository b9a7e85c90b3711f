"""Formula-driven pretraining by the command line, and its report on real images."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig
from core.data.sources import open_training, open_validation
from core.pretrain import main
from core.pretraining.transfer import table
from core.training.files.folder import read_metrics
from tests.core.launch import launch

WORDS = ["debug", "--transfer.seeds", 0, 1, "--transfer.train-split", "train"]


@pytest.fixture
def images(tmp_path):
    """Two splits of three classes: stripes of three widths in noise."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for width in (1, 2, 4):
            folder = tmp_path / "images" / split / f"w{width}"
            folder.mkdir(parents=True)
            for i in range(4):
                stripes = 120 * (np.arange(16) // width % 2)[:, None, None]
                pixels = rng.integers(0, 100, (16, 16, 3)) + stripes
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "images"


def test_held_out_instances_are_of_the_same_formulas_and_never_trained_on():
    config = FractalsConfig("sigma", classes=3, instances=2, size=32, points=500)
    train = open_training(ImagesConfig("fractals"), config)
    val = open_validation(ImagesConfig("fractals"), config, held_out=3)
    assert (len(train), len(val), train.classes) == (6, 9, val.classes)
    assert [val[i]["label"] for i in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    seen = {train[i]["image"].tobytes() for i in range(6)}
    assert not seen & {val[i]["image"].tobytes() for i in range(9)}
    for label in range(3):
        np.testing.assert_array_equal(train.system(label).maps, val.system(label).maps)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_report_compares_with_random_weights_and_goes_on_where_it_stopped(
    images, tmp_path, processes
):
    words = [*WORDS, "--transfer.root", images, "--run.folder", tmp_path / "run"]
    done = launch(main, *words, processes=processes)
    assert done.returncode == 0, done.output
    assert "fine-tuned by cifar10, 1 epochs, 2 seeds" in done.output
    record = json.loads((tmp_path / "run/transfer/cifar10.json").read_text())
    for start in ("pretrained", "scratch"):
        assert [row["shots"] for row in record["fewshot"][start]] == [1]
        for seed in "01":
            folder = tmp_path / f"run/transfer/cifar10/{start}-{seed}"
            assert record["finetuned"][start][seed] == read_metrics(folder)[-2]["eval/top1"]
            config = (folder / "config.yaml").read_text()
            assert (str(tmp_path / "run") in config.split("train:")[0]) == (start == "pretrained")
    before = read_metrics(folder)
    again = launch(main, *words, "--run.resume", processes=processes)
    assert again.returncode == 0, again.output
    assert read_metrics(folder) == before
    assert json.loads((tmp_path / "run/transfer/cifar10.json").read_text()) | {"config": 0} == (
        record | {"config": 0}
    )


def test_what_the_report_cannot_do_is_said_before_training(images, tmp_path):
    words = [*WORDS, "--transfer.root", images, "--run.folder", tmp_path / "run"]
    done = launch(main, *words, "--transfer.recipe", "cifar")
    assert done.returncode == 2
    assert "no preset 'cifar'. Did you mean cifar10?" in done.output
    done = launch(main, *words, "--transfer.test-split", "tset")
    assert done.returncode == 2
    assert "has no split 'tset', but test, train" in done.output
    done = launch(main, *words, "--transfer.seeds", 1, 1)
    assert done.returncode == 2
    assert "transfer.seeds are (1, 1): give one at least, and none twice" in done.output
    assert not (tmp_path / "run").exists()


def test_the_table_pairs_seeds():
    from core.pretraining.presets import PRESETS

    rows = [{"shots": 5, "mean": 0.25}]
    record = {
        "config": PRESETS["cifar10_fractals"](),
        "fewshot": {"pretrained": rows, "scratch": rows},
        "finetuned": {
            "pretrained": {"0": 0.70, "1": 0.72, "2": 0.74},
            "scratch": {"0": 0.60, "1": 0.62, "2": 0.64},
        },
    }
    lines = table(record).splitlines()
    assert lines[-1].split() == ["gain", "10.00", "+-", "0.00", "points"]
    assert lines[-3].split()[:4] == ["pretrained", "72.00", "+-", "2.00"]
    torch.testing.assert_close(2.0, float(np.std([70, 72, 74], ddof=1)))
