"""Training and evaluating on shuffled images, as Figure 4 of MLP-Mixer does."""

import json
from dataclasses import replace

import pytest
import torch

from core import InputError, create_backbone
from core.data.augment import AugmentConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.shuffle import Shuffle, random_permutations, shuffle_patches, training_shuffle
from core.evaluation.shuffle import undo_shuffle
from core.models.network import ClassifierConfig
from core.pretrain import train
from core.pretraining.config import PretrainConfig
from core.training.optim import OptimConfig
from core.training.run import RunConfig
from tests.core.data.packed_toy import write_packed

NAME, PATCH = "mixer_c16_l2_p8", (8, 8)


def config(root, folder, weights="", on_device=16, **augment) -> PretrainConfig:
    run = RunConfig(str(folder), steps=3, batch_size=4, log_every=1, trackers=())
    return PretrainConfig(
        ClassifierConfig(NAME, (16, 24), weights=str(weights)),
        TrainImagesConfig(str(root), on_device=on_device, workers=0),
        ImagesConfig(str(root), workers=0),
        augment=AugmentConfig((0.4, 1), mixup=0.2, **augment),
        optim=OptimConfig(lr=1e-2),
        run=run,
    )


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] if "loss" in row else row["eval/top1"] for row in lines]


@pytest.mark.parametrize("on_device", [24, 0])
def test_a_mixer_whose_weights_are_permuted_learns_the_same_of_shuffled_patches(
    on_device, tmp_path
):
    """Every loss of the two runs and both evaluations: that patches are shuffled alike in both."""
    write_packed(tmp_path, size=(24, 24))
    plain = create_backbone(NAME, (16, 24))
    drawn = random_permutations(7, (16, 24), PATCH)
    plain.save_pretrained(tmp_path / "plain")
    undo_shuffle(plain, drawn.order, drawn.pixels).save_pretrained(tmp_path / "permuted")
    options = {"shuffle": "patches", "shuffle_seed": 7}
    train(config(tmp_path, tmp_path / "a", tmp_path / "plain", on_device))
    train(config(tmp_path, tmp_path / "b", tmp_path / "permuted", on_device, **options))
    train(config(tmp_path, tmp_path / "c", tmp_path / "plain", on_device, **options))
    assert rows(tmp_path / "b") == pytest.approx(rows(tmp_path / "a"), abs=2e-5)
    assert rows(tmp_path / "c") != pytest.approx(rows(tmp_path / "a"), abs=2e-5)


def test_the_permutations_are_those_of_the_evaluation():
    images = torch.rand(2, 3, 16, 24)
    drawn = random_permutations(0, (16, 24), PATCH)
    wanted = {"none": images, "pixels": images.flatten(2)[:, :, drawn.everywhere].view_as(images)}
    wanted["patches"] = shuffle_patches(images, PATCH, drawn.order, drawn.pixels)
    for kind, expected in wanted.items():
        shuffle = training_shuffle(AugmentConfig(shuffle=kind), PATCH, [(16, 24)])
        assert shuffle == Shuffle(kind, PATCH, 0)
        assert torch.equal(shuffle(images), expected)


def test_patches_that_do_not_fit_are_refused(tmp_path):
    write_packed(tmp_path)
    settings = config(tmp_path, tmp_path / "run", shuffle="patches", shuffle_patch=5)
    with pytest.raises(InputError, match=r"16x24 cannot be cut into patches of 5x5"):
        train(settings)
    with pytest.raises(InputError, match=r"augment.shuffle_patch is -1"):
        train(replace(settings, augment=AugmentConfig(shuffle_patch=-1)))
