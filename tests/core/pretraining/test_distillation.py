"""Distillation: what is compared with what, and training with a teacher."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core import InputError, create_backbone
from core.data.augment import AugmentConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.models.classifier import create_classifier, load_classifier
from core.models.network import ClassifierConfig
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.pretraining.distillation import (
    DistillConfig,
    Teacher,
    feature_losses,
    logit_losses,
    open_teacher,
)
from core.training.optim import OptimConfig
from core.training.run import RunConfig
from core.training.session import Session
from tests.core.data.packed_toy import write_packed

TEACHER = "mixer_c24_l1_p8"


def config(root, folder, **changes) -> PretrainConfig:
    run = RunConfig(str(folder), steps=3, batch_size=4, log_every=1, trackers=())
    options = {
        "model": ClassifierConfig("mixer_c16_l2_p8", (16,)),
        "train": TrainImagesConfig(str(root), on_device=16),
        "val": ImagesConfig(str(root), workers=0),
        "augment": AugmentConfig((0.4, 1), mixup=0.2),
        "optim": OptimConfig(lr=1e-2),
        "run": run,
    }
    return PretrainConfig(**{**options, **changes})


def rows(folder, name):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row[name] for row in lines if name in row]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return write_packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def weights(packed, tmp_path_factory):
    """The run of a classifier of the two classes, at another size than the student's."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(config(packed, folder, model=ClassifierConfig(TEACHER, (24,))))
    return str(folder)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / "below" / f"{i}.png")
    return tmp_path / "photos"


def test_losses_are_zero_where_the_student_says_the_same():
    torch.manual_seed(0)
    logits, other = torch.randn(5, 3), torch.randn(5, 3)
    assert logit_losses(logits, logits + 2.0, 3.0).abs().max() < 1e-5  # a constant changes nothing
    assert logit_losses(logits, other, 1.0).min() > 0
    small = logit_losses(logits / 100, other / 100, 1.0)  # T^2 keeps the size of the gradient
    torch.testing.assert_close(
        logit_losses(logits, other, 100.0), 1e4 * small, rtol=1e-3, atol=1e-3
    )
    wanted = 50 * torch.randn(5, 8) + 9
    same = (wanted - wanted.mean(1, keepdim=True)) / wanted.std(1, correction=0, keepdim=True)
    assert feature_losses(same, wanted).max() < 1e-8
    torch.testing.assert_close(feature_losses(torch.zeros(5, 8), wanted), torch.ones(5))


def test_the_teacher_sees_the_pictures_at_its_own_size_and_normalization(weights):
    teacher = Teacher(DistillConfig(TEACHER, weights), Session())
    pixels = torch.rand(2, 3, 24, 24)
    student = create_backbone("convmlp_s", 32)  # of ImageNet's normalization
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in student.normalization)
    wanted = load_classifier(weights).eval()((pixels - 0.5) / 0.5)
    losses = teacher.losses((wanted, None), (pixels - mean) / std, student)
    assert losses.abs().max() < 1e-5
    smaller = (torch.rand(2, 3, 16, 16) - mean) / std
    assert teacher.losses((wanted, None), smaller, student).shape == (2,)


@pytest.mark.parametrize("of", ["logits", "features"])
def test_labels_and_a_teacher_together(of, packed, weights, tmp_path):
    distill = DistillConfig(TEACHER, weights, of)
    train(config(packed, tmp_path / "run", distill=distill))
    assert min(rows(tmp_path / "run", "distill")) > 0
    assert min(rows(tmp_path / "run", "class")) > 0
    assert rows(tmp_path / "run", "eval/top1")
    state = load_file(tmp_path / "run/checkpoints/last/model.safetensors")
    assert ("projection.weight" in state) == (of == "features")  # 16 -> 24
    assert load_classifier(tmp_path / "run").classes == ["blue", "red"]


@pytest.mark.parametrize("of", ["logits", "features"])
def test_pictures_without_labels(of, photos, weights, tmp_path):
    distill = DistillConfig(TEACHER, weights, of, weight=1.0)
    settings = config(photos, tmp_path / "run", distill=distill, val=ImagesConfig())
    settings = replace(settings, run=replace(settings.run, steps=30))
    train(settings)
    losses = rows(tmp_path / "run", "distill")
    assert sum(losses[-5:]) < sum(losses[:5])
    assert not rows(tmp_path / "run", "class")
    create_backbone("mixer_c16_l2_p8", 16, weights=tmp_path / "run")
    if of == "logits":
        assert load_classifier(tmp_path / "run").classes == ["blue", "red"]
    else:  # no head was learnt, and none is in the way of another one
        with pytest.raises(InputError, match="holds no classification head"):
            load_classifier(tmp_path / "run")
        own = DistillConfig("mixer_c16_l2_p8", str(tmp_path / "run"))
        with pytest.raises(InputError, match=r"distill: .* has no head, so choose of features"):
            open_teacher(own, Session())
        create_classifier("mixer_c16_l2_p8", 16, 5, weights=tmp_path / "run")


def test_a_student_of_features_begins_with_any_weights(photos, weights, tmp_path):
    """A head of theirs, for two classes, is not asked for."""
    distill = DistillConfig(TEACHER, weights, "features", weight=1.0)
    model = ClassifierConfig(TEACHER, (24,), weights)
    train(config(photos, tmp_path / "run", distill=distill, val=ImagesConfig(), model=model))
    assert len(rows(tmp_path / "run", "distill")) == 3


def test_the_student_begins_as_it_would_without_a_teacher(packed, weights, tmp_path):
    settings = config(packed, tmp_path / "plain", optim=OptimConfig(lr=1e-12))
    train(settings)
    run = replace(settings.run, folder=str(tmp_path / "taught"))
    train(replace(settings, run=run, distill=DistillConfig(TEACHER, weights)))
    name = "checkpoints/last/model.safetensors"
    plain, taught = (load_file(tmp_path / kind / name) for kind in ("plain", "taught"))
    for key, value in plain.items():
        torch.testing.assert_close(taught[key], value, rtol=0, atol=1e-6)


def test_teachers_that_cannot_be_are_refused(weights, tmp_path):
    session = Session()
    assert open_teacher(DistillConfig(), session) is None
    for distill, message in (
        (DistillConfig("", weights), r"name their network too, --distill.teacher"),
        (DistillConfig(TEACHER), r"give its --distill.weights too"),
    ):
        with pytest.raises(InputError, match=message):
            open_teacher(distill, session)
    for changes, message in (
        ({"weight": 0.0}, r"distill.weight is 0.0"),
        ({"temperature": 0.0}, r"distill.temperature is 0.0"),
    ):
        with pytest.raises(InputError, match=message):
            train(config("", tmp_path / "run", distill=DistillConfig(TEACHER, weights, **changes)))
    with pytest.raises(InputError, match=r"distill: image_size 30x30 is not a multiple"):
        open_teacher(DistillConfig(TEACHER, weights, image_size=(30,)), session)
    teacher = open_teacher(DistillConfig(TEACHER, weights), session)
    with pytest.raises(InputError, match=r"the teacher's 2 classes are not the 3 of the images"):
        teacher.classes_for(["a", "b", "c"])
