"""Classification of clouds: names, networks, a training that learns, a comparison."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from apps.pointcloud import classify
from apps.pointcloud.classification import compare
from apps.pointcloud.classification.config import DataConfig, ModelConfig
from apps.pointcloud.classification.data import LabelledClouds, class_of, open_pair
from apps.pointcloud.classification.network import CloudClassifier
from apps.pointcloud.classification.presets import PRESETS, debug
from apps.pointcloud.classification.validation import class_metrics
from apps.pointcloud.config import ModelConfig as ReconstructionConfig
from apps.pointcloud.data.dataset import open_clouds
from apps.pointcloud.models.network import ReconNet, create_network
from core import InputError
from core.app.runs import reopen
from core.training.session import Session
from tests.core.launch import launch

SMALL = ModelConfig(channels=(16, 16), blocks=(1, 1), neighbours=4, dropout=0.0)


def write_balls_and_sticks(path, count=8):
    """Round clouds and long ones, as many of each to train and to test."""
    rng = np.random.default_rng(0)
    ball = rng.standard_normal((2 * count, 80, 3))
    clouds = [ball / np.linalg.norm(ball, axis=2, keepdims=True)]
    clouds.append(rng.standard_normal((2 * count, 80, 3)) * [1, 0.1, 0.1])
    kinds = ("ball", "long_stick")
    names = [f"{kind}_{number:04d}" for kind in kinds for number in range(2 * count)]
    split = np.tile(np.repeat([0, 1], count), 2)
    np.savez(path, points=np.concatenate(clouds).astype(np.float32), names=names, split=split)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("night_stand_0012", "night_stand"),
        ("train/chair/a.ply", "chair"),
        ("02871439/train_00001", "02871439"),
        ("scan", "scan"),
    ],
)
def test_names_tell_classes(name, expected):
    assert class_of(name) == expected


@pytest.mark.parametrize("operator", ["pointnet", "pointnet2", "pointmixer"])
def test_neither_the_order_of_points_nor_other_clouds_play_a_role(operator):
    torch.manual_seed(0)
    network = CloudClassifier(replace(SMALL, operator=operator), ["a", "b", "c"]).eval()
    clouds = torch.randn(3, 40, 3)
    together = network(clouds)
    assert together.shape == (3, 3)
    torch.testing.assert_close(network(clouds[1:2]), together[1:2])
    torch.testing.assert_close(network(clouds[:, torch.randperm(40)]), together)


def test_sizes_that_do_not_go():
    for config in (replace(SMALL, blocks=(1,)), replace(SMALL, channels=(), blocks=())):
        with pytest.raises(InputError, match=r"model\.channels are"):
            CloudClassifier(config, ["a", "b"])


def test_evaluated_clouds_are_the_same_and_training_ones_are_not(tmp_path):
    config = replace(debug(), data=DataConfig(str(write_balls_and_sticks(tmp_path / "a.npz"))))
    config = replace(config, data=replace(config.data, test="test", points=32))
    train, test = open_pair(config, Session())
    assert train.classes == test.classes == ["ball", "long_stick"]
    assert test.labels == [0] * 8 + [1] * 8
    assert test[3]["points"].shape == (32, 3)
    torch.testing.assert_close(test[3]["points"], test[3]["points"], rtol=0, atol=0)
    assert not torch.equal(train[3]["points"], train[3]["points"])
    still = replace(config.data, scale=0.0, shift=0.0, points=80)
    whole = LabelledClouds(train.clouds, train.classes, still, random=True)[3]["points"]
    expected = train.clouds.read(3)[0].points
    np.testing.assert_allclose(sorted(whole.tolist()), sorted(expected.tolist()), atol=1e-7)


def test_classes_that_training_lacks_are_named(tmp_path):
    clouds = open_clouds(write_balls_and_sticks(tmp_path / "a.npz"), "test")
    with pytest.raises(InputError, match="has the classes ball, which training does not"):
        LabelledClouds(clouds, ["long_stick"], DataConfig(), random=False)
    balls = np.random.default_rng(0).random((4, 20, 3))
    names = [f"ball_{number:04d}" for number in range(4)]
    np.savez(tmp_path / "one.npz", points=balls, names=names, split=[0, 0, 1, 1])
    config = replace(debug(), data=DataConfig(str(tmp_path / "one.npz"), test="test"))
    with pytest.raises(InputError, match="has 1 class, ball: put clouds into folders"):
        open_pair(config, Session())


def test_metrics_by_hand():
    scores = torch.tensor([[3.0, 1], [2, 1], [0, 1], [2, 0]])
    metrics = class_metrics(scores, torch.tensor([0, 0, 1, 1]))
    assert metrics == {"top1": 0.75, "balanced_accuracy": 0.75}
    metrics = class_metrics(scores[1:], torch.tensor([0, 1, 1]))
    assert metrics == {"top1": pytest.approx(2 / 3), "balanced_accuracy": 0.75}


def test_training_learns_and_its_network_opens_again(tmp_path):
    data = write_balls_and_sticks(tmp_path / "a.npz")
    words = ["--run.steps", 40, "--run.batch-size", 8, "--optim.lr", 0.005]
    words += ["--data.root", data, "--data.test", "test"]
    done = launch(classify.main, "debug", *words, "--run.folder", tmp_path / "run")
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "run" / "classes.json").read_text())
    assert np.trace(record["confusion"]) >= 13, "8 of 16 by chance"
    assert re.search("long_stick +8 ", done.output)
    run = reopen(tmp_path / "run", type(debug()), CloudClassifier, Session())
    assert run.network.classes == ["ball", "long_stick"]
    with pytest.raises(InputError, match=r"is of classify\.py: give a run of train\.py"):
        ReconNet.from_description(run.network.describe(), "here")
    described = create_network(ReconstructionConfig(channels=16, depth=1)).describe()
    with pytest.raises(InputError, match=r"no classifier of clouds: give a run of classify\.py"):
        CloudClassifier.from_description(described, "here")


def test_the_comparison_has_a_row_for_each_operator(tmp_path, capsys):
    config = compare.debug()
    base = replace(config.base, data=replace(config.base.data, test="test", points=16))
    data = write_balls_and_sticks(tmp_path / "a.npz", 2)
    base = replace(base, data=replace(base.data, root=str(data)))
    figures = compare.compare(replace(config, base=base, out=str(tmp_path / "out")))
    assert {row: len(seeds) for row, seeds in figures[""].items()} == {
        "pointnet": 2,
        "pointmixer": 2,
    }
    assert "mean of the classes" in capsys.readouterr().out


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
