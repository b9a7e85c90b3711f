"""Back from a folder to a network."""

import pytest
import torch

from core import InputError
from core.app import runs
from core.app.runs import open_network, reopen
from core.checkpoints import read_info
from core.models.classifier import Classifier
from core.training.session import Session
from tests.core.app.conftest import SmallConfig, SmallData


def test_a_run_comes_back_with_its_averaged_weights(small_run):
    folder, network = small_run
    run = reopen(folder, SmallConfig, Classifier, Session())
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(run.network(images), network(images))
    assert run.config.data == SmallData("photos")
    assert (run.folder, run.checkpoint.name) == (folder.resolve(), "step-00000007")
    assert not run.network.training
    again = open_network(run.checkpoint, Classifier)
    assert torch.equal(again(images), network(images))


def test_a_checkpoint_of_a_run_opens_too(small_run):
    folder, _ = small_run
    run = reopen(folder / "checkpoints" / "last", SmallConfig, Classifier, Session())
    assert run.folder == folder


@pytest.mark.parametrize(
    ("info", "module", "said"),
    [
        ({"app": "pose"}, "apps.pointcloud.config", "of apps/pose, and not of apps/pointcloud"),
        ({"app": "pose"}, "apps.pointcloud.inner.config", "of apps/pose, and not of apps/point"),
        ({}, "apps.pose.config", "of apps/style, and not of apps/pose"),  # as classifiers are
    ],
)
def test_a_run_of_another_app_is_told(small_run, monkeypatch, info, module, said):
    monkeypatch.setattr(runs, "read_info", lambda path: read_info(path) | info)
    theirs = type("Config", (), {"__module__": module})
    with pytest.raises(InputError, match=said):
        reopen(small_run[0], theirs, torch.nn.Module, Session())


def test_what_is_no_run(small_run, tmp_path):
    with pytest.raises(InputError, match="holds no checkpoint"):
        reopen(tmp_path, SmallConfig, Classifier, Session())
    (small_run[0] / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"config.yaml is missing"):
        reopen(small_run[0], SmallConfig, Classifier, Session())
