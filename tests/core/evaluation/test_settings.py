"""The settings of the evaluations: one name each, and what old names say."""

import importlib

import pytest
import torch

from core.config import cli
from core.errors import InputError
from core.eval import EVALUATIONS
from core.evaluation.common import BackboneConfig, open_backbone

IN_PROFILING = ("throughput", "memory")


def config_of(name):
    room = "profiling" if name in IN_PROFILING else "evaluation"
    return importlib.import_module(f"core.{room}.{name}").Config


@pytest.mark.parametrize(
    ("evaluation", "old", "new"),
    [
        *(
            (name, "--model.name", "--model.backbone")
            for name in ("classification", "fewshot", "grids", "mixing", "export")
        ),
        *(
            (name, "--batch-size", "--eval.batch-size")
            for name in ("classification", "fewshot", "shuffle", "grids", "suite")
        ),
        ("classification", "--workers", "--data.workers"),
        ("grids", "--workers", "--data.workers"),
        ("fewshot", "--workers", "--train.workers"),
        ("shuffle", "--workers", "--train.workers"),
    ],
)
def test_an_old_name_says_the_new_one(evaluation, old, new):
    value = "mixer_s16" if "name" in old else "3"
    for words in ([old, value], [f"{old}={value}"]):
        with pytest.raises(InputError, match=f"^{old} is now {new}$"):
            cli({evaluation: config_of(evaluation)}, words)
    config = cli({evaluation: config_of(evaluation)}, [new, value])
    section, field = new.removeprefix("--").replace("-", "_").split(".")
    assert str(getattr(getattr(config, section), field)) == value


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_renamed_settings_lead_to_settings_that_there_are(evaluation):
    kind = config_of(evaluation)
    for new in getattr(kind, "RENAMED", {}).values():
        value = kind()
        for name in new.split("."):
            value = getattr(value, name)


def test_a_backbone_without_a_word():
    """The small Mixer, in evaluation mode, its random weights the same in every process."""
    first = open_backbone(BackboneConfig(image_size=(32,)))
    torch.manual_seed(7)
    again = open_backbone(BackboneConfig("mixer_s16", (32,)))
    assert not first.training
    assert first.describe() == again.describe()
    for name, value in again.state_dict().items():
        assert torch.equal(first.state_dict()[name], value)


def test_a_label_names_what_is_given():
    words = BackboneConfig("mixer_b16", (224, 112), "imagenet21k")
    assert words.label == "mixer_b16 imagenet21k 224x112"
    assert BackboneConfig().label == ""
