"""Training: presets, the first losses by hand, learning, sampling, streams on two processes."""

import itertools
import json
import math
import os
from collections import Counter

import numpy as np
import pytest
import torch
import yaml

from apps.style import eval as style_eval
from apps.style import train as style_train
from apps.style.config import DataConfig, EmbeddedConfig, LossConfig, StyleConfig
from apps.style.data.dataset import open_paintings
from apps.style.data.sampling import SquareRoot
from apps.style.data.source import StyleData
from apps.style.presets import PRESETS
from core.config import load_config
from core.data.augment import AugmentConfig
from core.data.loading import TrainLoader
from core.data.streams.labelled import LabelledStream
from core.models.network import build_classifier
from core.training.files.folder import read_metrics
from core.training.optim import OptimConfig
from core.training.session import Session
from tests.apps.style.helpers import CLASSES, TRAIN, complaint, config_of, listed, write_csv
from tests.core.data.stream_toy import write_parquet
from tests.core.launch import launch


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
    assert PRESETS[preset]().run.folder == f"runs/style/{preset}"


def test_training_paintings_are_learnt(learned, paintings, tmp_path, command):
    """Evaluated by a csv file, as other data are."""
    rows = [(path, style, "val") for path, style in listed(paintings, "train")]
    file = write_csv(tmp_path / "train.csv", rows)
    done = command(style_eval.main, learned, "--data.csv", file, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "out/eval.json").read_text())
    assert np.sum(record["confusion"]) == CLASSES * TRAIN
    assert record["figures"]["top1"] > 0.7  # chance is 0.083


@pytest.fixture
def unequal(paintings, tmp_path):
    """Three styles with 3, 2 and 1 paintings to train on."""
    counts, train = {"Cubism": 3, "Engraving": 2, "Ukiyo_e": 1}, listed(paintings, "train")
    kept = [[row for row in train if row[1] == style][:n] for style, n in counts.items()]
    rows = [(*row, "train") for group in kept for row in group]
    rows += [(*row, "val") for row in listed(paintings, "val") if row[1] in counts]
    return DataConfig(csv=str(write_csv(tmp_path / "unequal.csv", rows)), workers=0)


def first_labels(config, sampling):
    """Labels of the first training batch."""
    images = open_paintings(config.data, "train", lambda image: torch.zeros(1), report=list)
    images = SquareRoot(images) if sampling == "square_root" else images
    return next(TrainLoader(images, config.run.batch_size).batches())["label"]


@pytest.mark.parametrize("sampling", ["plain", "square_root"])
@pytest.mark.parametrize("name", ["plain", "weighted", "logit_adjusted", "focal"])
def test_the_first_loss_of_a_run_by_hand(unequal, tmp_path, name, sampling):
    """A new head is zero: every class has probability 1/3."""
    changes = {"loss": LossConfig(name), "sampling": sampling, "batch_size": 3, "steps": 2}
    augment = AugmentConfig()  # without label smoothing
    config = config_of(tmp_path / "run", data=unequal, augment=augment, **changes)
    labels = first_labels(config, sampling)
    counts = torch.tensor([3.0, 2.0, 1.0])
    expected = {
        "plain": torch.full((3,), math.log(3)),
        "weighted": math.log(3) * 6 / (3 * counts),
        "logit_adjusted": -(counts / 6).log(),
        "focal": torch.full((3,), (2 / 3) ** 2 * math.log(3)),
    }[name][labels].mean()
    assert style_train.train(config).done == 2
    rows = [row for row in read_metrics(tmp_path / "run") if "loss" in row]
    assert rows[0]["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_labels_are_smoothed_in_a_run(unequal, tmp_path):
    """Of a share s of each target every class has s / 3, with its own weight."""
    augment, changes = AugmentConfig(label_smoothing=0.3), {"batch_size": 2, "steps": 1}
    loss = LossConfig("weighted")
    config = config_of(tmp_path / "run", data=unequal, augment=augment, loss=loss, **changes)
    weights = 6 / (3 * torch.tensor([3.0, 2.0, 1.0]))
    own = weights[first_labels(config, "plain")]
    assert own.mean() != pytest.approx(float(weights.mean()))  # else smoothing changes nothing
    expected = math.log(3) * (0.7 * own + 0.3 * weights.mean())
    style_train.train(config)
    rows = [row for row in read_metrics(tmp_path / "run") if "loss" in row]
    assert rows[0]["loss"] == pytest.approx(float(expected.mean()), rel=1e-4)


def test_mixup_runs_and_changes_the_training(unequal, tmp_path):
    losses = []
    for mixup in (0.0, 5.0):
        augment = AugmentConfig(mixup=mixup)
        changes = {"steps": 2, "batch_size": 4, "augment": augment, "optim": OptimConfig(lr=0.1)}
        config = config_of(tmp_path / f"{mixup}", data=unequal, **changes)
        style_train.train(config)
        rows = [row for row in read_metrics(tmp_path / f"{mixup}") if "loss" in row]
        losses.append([row["loss"] for row in rows])
    assert losses[0][0] == pytest.approx(losses[1][0])
    assert losses[0][1] != pytest.approx(losses[1][1], rel=1e-3)


def recording_train():
    """train.main that notes which rows of a stream each process takes, in RECORD-<rank>."""
    item = LabelledStream.item

    def recorded(self, shard, index, sample):
        side = "val" if " val (" in self.source else "train"
        with open(f"{os.environ['RECORD']}-{os.environ['RANK']}", "a") as file:
            file.write(f"{side} {sample.name}\n")
        return item(self, shard, index, sample)

    LabelledStream.item = recorded
    style_train.main()


def test_two_processes_train_on_every_row_of_a_stream_once_an_epoch(tmp_path):
    lengths = [9, 14, 7]
    draws = (
        [np.random.default_rng([s, k]).random(n) for k, n in enumerate(lengths)]
        for s in itertools.count()
    )
    counts = (int((np.concatenate(drawn) >= 0.3).sum()) for drawn in draws)
    seed, rows = next((s, n) for s, n in enumerate(counts) if n % 4 == 0)
    root = f"{write_parquet(tmp_path / 'hub', lengths)}#label"
    words = ["--data.root", root, "--data.stream", "--data.split", "stratified"]
    words += ["--data.seed", seed, "--data.workers", 0, "--data.buffer", 6]
    words += ["--run.steps", 0, "--run.epochs", 2, "--run.batch-size", 4]
    words += ["--run.folder", tmp_path / "run"]
    environment = {"RECORD": str(tmp_path / "rows"), "MIXER_CACHE": str(tmp_path / "cache")}
    done = launch(recording_train, "debug", *words, processes=2, environment=environment)
    assert done.returncode == 0, done.output
    seen = [(tmp_path / f"rows-{rank}").read_text().splitlines() for rank in range(2)]
    train = [[line for line in lines if line.startswith("train")] for lines in seen]
    assert [len(lines) for lines in train] == [rows, rows]  # two epochs of half of them
    for epoch in (slice(0, rows // 2), slice(rows // 2, rows)):
        assert set(Counter(train[0][epoch] + train[1][epoch]).values()) == {1}
    val = {line.split()[1] for lines in seen for line in lines if line.startswith("val")}
    trained = {line.split()[1] for lines in train for line in lines}
    assert not val & trained
    assert len(val | trained) == 30


def test_a_run_samples_as_it_is_told(unequal, tmp_path):
    for sampling in ("plain", "square_root"):
        config = config_of(tmp_path, data=unequal, sampling=sampling)
        data = StyleData(config, Session())
        images = data.open("train")
        prepared = data.train(images, build_classifier(config.model, images.classes))
        assert isinstance(prepared, SquareRoot) == (sampling == "square_root")
        assert images.transform is None  # what was opened stays as it is


OLD = {
    "paintings": {"train": 5, "val": 2, "seed": 3, "size": 48},
    "model": {"name": "mixer_c16_l2_p8", "image_size": [32]},
    "eval_batch": 7,
}


def test_configurations_of_old_runs_open(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(OLD))
    config = load_config(StyleConfig, tmp_path / "config.yaml")
    assert config.embedded == EmbeddedConfig(5, 2, 3, 48)
    assert config.data.max_pixels == 50_000_000
    assert (config.model.backbone, config.eval.batch_size) == ("mixer_c16_l2_p8", 7)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *((f"paintings.{name}", f"embedded.{name}") for name in ("train", "val", "seed", "size")),
        ("model.name", "model.backbone"),
        ("eval-batch", "eval.batch-size"),
    ],
)
def test_old_options_say_their_new_names(tmp_path, command, old, new):
    words = ["debug", "--run.folder", tmp_path / "run", f"--{old}", 3]
    assert complaint(command(style_train.main, *words)) == f"error: --{old} is now --{new}"
    assert not (tmp_path / "run").exists()
