"""Pretraining is the same however it is shared out, and whether or not it was killed."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import core.pretrain
from core.checkpoints import list_checkpoints, step_of
from core.training.files.folder import read_metrics
from tests.core.launch import launch

COUNT, STEPS, BATCH = 44, 20, 8
SAVED, KILLED = 10, 13  # steps; both in the middle of an epoch
PLAIN = ["--augment.crop-area", 1, 1, "--augment.flip", 0]
RANDOM = ["--augment.crop-area", 0.3, 1, "--augment.erasing", 0.5, "--augment.mixup", 0.4]
RANDOM += ["--model.stochastic-depth", 0.3, "--run.ema", 0.9, "--run.save-every", SAVED]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """44 noisy images, a class each, so that a label tells which image it was."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "images.npz"
    images = [encoded(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(COUNT)]
    np.savez(
        path,
        blob=np.frombuffer(b"".join(images), np.uint8),
        offsets=np.cumsum([0, *map(len, images)]),
        labels=np.arange(COUNT),
        names=np.array([f"{i:02d}" for i in range(COUNT)]),
    )
    return path


def workers(count):
    return ["--train.workers", count, "--val.workers", count]


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def recording_main():
    """core.pretrain.main, noting the images of each step and ending as the environment says."""
    path, mix = Path(os.environ["RECORD"] + os.environ.get("RANK", "0")), core.pretrain.mix
    calls = []

    def noted(images, labels, *rest):
        calls.append(labels)
        with path.open("a") as file:
            file.write(" ".join(map(str, labels.tolist())) + "\n")
        if len(calls) == int(os.environ.get("KILL_AT", "0")):
            os.kill(os.getpid(), 9)
        return mix(images, labels, *rest)

    core.pretrain.mix = noted
    core.pretrain.main()


def pretrain(packed, folder, *words, processes=1, record="record-", **environment):
    val = Path(shutil.copyfile(packed, folder.with_name("val.npz")))
    settings = ["folder", "--train.root", packed, "--val.root", val, "--run.folder", folder]
    settings += ["--model.backbone", "mixer_c16_l2_p4", "--model.image-size", 16, "--run.trackers"]
    settings += ["--run.epochs", 0, "--run.steps", STEPS, "--run.batch-size", BATCH]
    settings += ["--run.log-every", 1, "--run.eval-every", 0, "--optim.lr", 1e-3]
    settings += ["--run.schedule.warmup", 2]
    environment["RECORD"] = str(folder.with_name(f"{folder.name}-{record}"))
    options = {"processes": processes, "timeout": 600, "environment": environment}
    return launch(recording_main, *settings, *words, **options)


def losses(folder):
    return {row["step"]: row["loss"] for row in read_metrics(folder) if "loss" in row}


def largest_difference(folder, other):
    """Between the losses of two runs; each must have logged each step exactly once."""
    a, b = losses(folder), losses(other)
    assert list(a) == list(b) == list(range(1, STEPS + 1))
    return max(abs(a[step] - b[step]) for step in a)


def seen(folder, processes, record="record-"):
    """The images in the order of training: (micro-batches, images of all processes)."""
    paths = [folder.with_name(f"{folder.name}-{record}{rank}") for rank in range(processes)]
    return np.concatenate([np.loadtxt(path, dtype=int) for path in paths], axis=1)


def assert_epochs(order):
    """Every 44 images in a row are all images, and no two epochs have the same order."""
    whole = order.reshape(-1)[: order.size // COUNT * COUNT].reshape(-1, COUNT)
    assert len(whole) == STEPS * BATCH // COUNT
    assert (np.sort(whole) == np.arange(COUNT)).all()
    assert len(np.unique(whole, axis=0)) == len(whole)


@pytest.fixture(scope="module")
def alone(packed, tmp_path_factory):
    """One process, no accumulation."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    done = pretrain(packed, folder, *PLAIN, *workers(0))
    assert done.returncode == 0, done.output
    return folder


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_shared_out_it_takes_the_same_steps(processes, accumulate, packed, alone, tmp_path):
    words = [*PLAIN, *workers(0), "--run.accumulate", accumulate]
    done = pretrain(packed, tmp_path / "run", *words, processes=processes)
    assert done.returncode == 0, done.output
    assert largest_difference(tmp_path / "run", alone) <= 1e-5
    order = seen(tmp_path / "run", processes)
    assert order.shape == (STEPS * accumulate, BATCH // accumulate)
    assert (order.reshape(STEPS, BATCH) == seen(alone, 1)).all()
    assert_epochs(order)


@pytest.mark.parametrize("processes", [1, 2])
def test_kill_9_and_resume(processes, packed, tmp_path):
    """With all that is random, two loader processes each, and a moving average."""
    words, whole, cut = [*RANDOM, *workers(2)], tmp_path / "whole", tmp_path / "cut"
    options = {"processes": processes}
    done = pretrain(packed, whole, *words, **options)
    assert done.returncode == 0, done.output
    killed = pretrain(packed, cut, *words, **options, KILL_AT=str(KILLED))
    assert killed.returncode != 0
    assert [step_of(path) for path in list_checkpoints(cut)] == [SAVED]
    resumed = pretrain(packed, cut, *words, "--run.resume", **options, record="resumed-")
    assert resumed.returncode == 0, resumed.output

    before, after = seen(cut, processes), seen(cut, processes, "resumed-")
    assert len(before) == KILLED
    order = np.concatenate([before[:SAVED], after])
    assert_epochs(order)
    assert (order == seen(whole, processes)).all()
    assert largest_difference(whole, cut) <= 1e-6
    for name in ("model.safetensors", "ema.safetensors"):
        a, b = (load_file(folder / "checkpoints/last" / name) for folder in (whole, cut))
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-6)
