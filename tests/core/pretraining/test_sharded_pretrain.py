"""Pretraining a real Mixer under FSDP2 on two CPU processes: the weights of one process."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core import load_backbone
from core.config import cli, entry_point
from core.data.augment import AugmentConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.models.classifier import load_classifier
from core.models.network import ClassifierConfig
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.training.optim import OptimConfig
from core.training.run import Run, RunConfig
from tests.core.launch import launch
from tests.core.training.test_machines import launched_environment
from tests.core.training.test_strategies import losses


@pytest.fixture
def images(tmp_path):
    """Two classes, dark and bright noise, 8 images each; training and validation alike."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, level in (("dark", 60), ("bright", 190)):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for i in range(8):
                pixels = np.clip(rng.normal(level, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{i}.png")
    return tmp_path / "images"


def small() -> PretrainConfig:
    """Three blocks, no augmentation, twelve steps.

    SGD: the bias after token mixing is the same for all channels, so the next norm takes it out and
    its gradient is rounding noise, which Adam would scale up to the size of any other.
    """
    return PretrainConfig(
        model=ClassifierConfig("mixer_c16_l3_p8", (16,)),
        augment=AugmentConfig(crop_area=(1, 1), flip=0.0),
        train=TrainImagesConfig(workers=0),
        val=ImagesConfig(split="val", workers=0),
        protocol="direct",
        optim=OptimConfig("sgd", lr=0.1, weight_decay=0.1),
        run=RunConfig(steps=12, batch_size=8, log_every=1, save_every=3, best="top1", trackers=()),
    )


@entry_point
def main():
    train(cli({"small": small}))


def sharded():
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = (
        DistributedType.MULTI_GPU
    )  # see test_strategies
    main()


def killed():
    """Killed for good in the eighth step, after the checkpoint of the sixth."""
    step = Run.step

    def until(self, optimizer):
        step(self, optimizer)
        if self.done == 8:
            os.kill(os.getpid(), 9)

    Run.step = until
    sharded()


def test_fsdp2_pretrains_as_one_process_does(images, tmp_path):
    """Killed, resumed, exported as one file, which the library opens.

    With gradient checkpointing until the kill and without it afterwards: neither changes a number.
    """
    words = ["--train.root", images, "--val.root", images, "--run.folder"]
    blocks = launched_environment("fsdp2.yaml", "--mixed_precision", "no")
    one, two = tmp_path / "one", tmp_path / "two"
    whole = launch(main, *words, one)
    assert whole.returncode == 0, whole.output
    more = {"processes": 2, "environment": blocks}
    half = launch(killed, *words, two, "--model.grad-checkpointing", **more)
    assert half.returncode == -9, half.output
    rest = launch(sharded, *words, two, "--run.resume", **more)
    assert rest.returncode == 0, rest.output
    assert losses(one) == pytest.approx(losses(two), abs=1e-5)
    assert losses(one)[12] < 0.9 * losses(one)[1]
    check_weights(*(load_file(run / "checkpoints/last/model.safetensors") for run in (one, two)))
    check_opens(one, two)


def check_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-5)


def check_opens(one, two):
    pictures = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for load in (load_backbone, load_classifier):
        a, b = (load(run).eval()(pictures) for run in (one, two))
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert load_classifier(two).classes == ["bright", "dark"]
