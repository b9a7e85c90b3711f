"""Training on images that are held, decoded, in the device's memory."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from core import InputError
from core.data.augment import AugmentConfig
from core.data.batched.held import HeldLoader, hold
from core.data.batched.transform import BatchTransform
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.loading import TrainLoader
from core.data.samples import with_transform
from core.data.sources import open_images, open_stream
from core.models.network import ClassifierConfig
from core.pretrain import main, train
from core.pretraining.config import PretrainConfig
from core.pretraining.presets import PRESETS
from core.pretraining.sizes import GrowthConfig, check_growth, step_size
from core.pretraining.transfer import fine_tuning
from core.training.run import RunConfig
from core.training.stop import StopSignals
from tests.core.data.packed_toy import write_packed
from tests.core.data.stream_toy import write_shards
from tests.core.launch import launch

HALVES = ((0.5,) * 3, (0.5,) * 3)
BUSY = AugmentConfig((0.4, 1), policy="trivialaugment", cutmix=1.0, label_smoothing=0.1)


@pytest.fixture
def packed(tmp_path):
    return write_packed(tmp_path)


def config(root, folder, **changes) -> PretrainConfig:
    run = RunConfig(str(folder), steps=6, batch_size=4, log_every=1, save_every=3, trackers=())
    options = {
        "model": ClassifierConfig("mixer_c16_l2_p8", (16,), sizes=(16, 24)),
        "train": TrainImagesConfig(str(root), on_device=20),
        "val": ImagesConfig(str(root), workers=0),
        "augment": BUSY,
        "run": run,
    }
    return PretrainConfig(**{**options, **changes})


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def test_held_images_are_those_of_the_file_in_the_loaders_order(packed):
    found = open_images(str(packed), "train")
    held = hold(found, 20, "cpu")
    assert held.images.shape == (16, 3, 20, 20)
    assert held.images.dtype == torch.uint8
    one = found[3]["image"].resize((20, 20), Image.Resampling.BILINEAR)
    assert torch.equal(held.images[3], torch.from_numpy(np.array(one)).permute(2, 0, 1))
    still = BatchTransform(AugmentConfig((1, 1), flip=0.0), HALVES)
    ours = HeldLoader(with_transform(held, still), 4, size_of=lambda _: (20, 20), seed=5)
    order = TrainLoader([{"at": i} for i in range(16)], 4, seed=5)
    for mine, theirs in islice(zip(ours.batches(3), order.batches(3), strict=True), 6):
        plain = held.images[theirs["at"]].float() / 127.5 - 1
        torch.testing.assert_close(mine["image"], plain, atol=1e-5, rtol=0)
        assert torch.equal(mine["label"], theirs["at"] % 2)


def test_two_processes_see_the_pictures_of_one(packed):
    held = with_transform(
        hold(open_images(str(packed), "train"), 20, "cpu"), BatchTransform(BUSY, HALVES)
    )
    whole = next(HeldLoader(held, 8, size_of=lambda _: (16, 16)).batches(2))["image"]
    halves = [
        next(HeldLoader(held, 4, size_of=lambda _: (16, 16), rank=r, world=2).batches(2))["image"]
        for r in range(2)
    ]
    assert torch.equal(whole, torch.cat(halves))


def test_a_stopped_run_goes_on_as_one_that_was_not(packed, tmp_path, monkeypatch):
    train(config(packed, tmp_path / "whole"))
    stop_at_3 = lambda self, done: done == 3  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "requested", stop_at_3)
        with pytest.raises(SystemExit):
            train(config(packed, tmp_path / "run"))
    assert max(losses(tmp_path / "run")) == 3
    again = config(packed, tmp_path / "run")
    train(replace(again, run=replace(again.run, resume=True)))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_the_command_on_two_processes_gives_the_losses_of_one(packed, tmp_path):
    words = ["debug", "--train.root", packed, "--val.root", packed, "--train.on-device", 20]
    words += ["--run.steps", 3, "--run.batch-size", 8, "--val.workers", 0, "--run.best", ""]
    for count in (1, 2):
        folder = tmp_path / str(count)
        done = launch(main, *words, "--run.folder", folder, processes=count)
        assert done.returncode == 0, done.output
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert one == pytest.approx(two, abs=1e-5)


def test_what_cannot_be_held_is_one_clear_line(packed, tmp_path, monkeypatch):
    found = open_images(str(packed), "train")
    with pytest.raises(InputError, match=r"16 images of 1000000 pixels take .* GiB, cpu has"):
        hold(found, 1_000_000, "cpu")
    (tmp_path / "t" / "train").mkdir(parents=True)
    bad = found.read
    found.read = lambda i: b"no picture" if i == 4 else bad(i)
    with pytest.raises(InputError, match=r"train.npz \[4\]: cannot be read.*skip_bad"):
        hold(found, 20, "cpu")
    named = []
    held = hold(found, 20, "cpu", skip_bad=1, on_bad=lambda path, reason: named.append(path))
    assert torch.equal(held.images[4], held.images[5])
    assert [path[-3:] for path in named] == ["[4]"]
    found.read = lambda i: b"no picture" if i in (0, 14, 15) else bad(i)
    named.clear()
    held = hold(found, 20, "cpu", skip_bad=3, on_bad=lambda path, reason: named.append(path))
    assert [path.split("[")[1] for path in named] == ["0]", "14]", "15]"]  # in order, each once
    assert all(torch.equal(held.images[i], held.images[1]) for i in (0, 14, 15))
    with pytest.raises(InputError, match=r"on_device is -1"):
        hold(found, -1, "cpu")
    found.read = lambda i: b"no picture"
    with pytest.raises(InputError, match=r"no sample can be read, .*train.npz"):
        hold(found, 20, "cpu", skip_bad=20)


def test_sizes_begin_when_they_are_said_to_and_are_met_as_often_as_asked():
    model = ClassifierConfig("mixer_c16_l2_p8", (16,), sizes=(16, 32, 48))
    growth = GrowthConfig(start=(0.0, 0.25, 0.5), equal="pixels")
    sides = [step_size(model, growth, 0, step, 4000)[0] for step in range(1, 4001)]
    assert set(sides[:1000]) == {16}
    assert set(sides[1000:2000]) == {16, 32}
    late = sides[2000:]
    assert late.count(32) / late.count(16) == pytest.approx(1 / 4, rel=0.25)
    assert late.count(48) / late.count(16) == pytest.approx(1 / 9, rel=0.35)
    assert step_size(replace(model, sizes=()), GrowthConfig(), 0, 1, 10) == (16, 16)


def test_a_growth_that_fits_no_sizes_is_refused(packed, tmp_path):
    for start in ((0.0,), (0.1, 0.5), (0.0, 1.0)):
        with pytest.raises(InputError, match=r"growth.start is .*model.sizes \(16, 24\)"):
            train(config(packed, tmp_path / str(start), growth=GrowthConfig(start=start)))


def test_settings_that_would_do_nothing_are_refused(packed, tmp_path):
    one_size = {"model": ClassifierConfig("mixer_c16_l2_p8", (16,))}
    one_size["growth"] = GrowthConfig(equal="pixels")
    with pytest.raises(InputError, match=r"growth.equal is pixels, but model.sizes names no sizes"):
        train(config(packed, tmp_path / "growth", **one_size))
    endless = {"train": TrainImagesConfig("fractals", on_device=16)}
    endless["val"] = ImagesConfig("fractals", workers=0)
    endless["fractals"] = FractalsConfig(classes=2, instances=0, size=16, points=100)
    with pytest.raises(InputError, match=r"on_device holds a finite set, but fractals.instances 0"):
        train(config(packed, tmp_path / "endless", **endless))


def test_fine_tuning_by_a_recipe_of_several_sizes_has_one(tmp_path):
    tuned = fine_tuning(config("", tmp_path), PRESETS["photos"](), "scratch", 0)
    check_growth(tuned.model.sizes, tuned.growth)
    assert tuned.model.sizes == ()


def test_streams_are_not_held(tmp_path):
    write_shards(tmp_path, [4, 4])
    with pytest.raises(InputError, match=r"is a stream: it cannot be held"):
        hold(open_stream(ImagesConfig(str(tmp_path), "train")), 20, "cpu")
