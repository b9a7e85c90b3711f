"""Paintings on disk, and a run that has learnt them."""

import pytest

from apps.style import train as style_train
from apps.style.paintings import write_paintings
from tests.apps.style.helpers import TRAIN, VAL
from tests.core.launch import launch


@pytest.fixture(scope="session")
def paintings(tmp_path_factory):
    root = tmp_path_factory.mktemp("paintings")
    return write_paintings(root, TRAIN, VAL, seed=0, size=32, workers=1)


@pytest.fixture(scope="session")
def learned(paintings, tmp_path_factory):
    """The folder of a run of the debug preset that has gone on for 60 steps."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    words = [
        "--model.backbone",
        "mixer_c32_l2_p8",
        "--augment.crop-area",
        1,
        1,
        "--augment.flip",
        0,
    ]
    words += ["--run.steps", 60, "--run.batch-size", 24, "--run.log-every", 20]
    words += ["--data.root", paintings, "--run.folder", folder]
    done = launch(style_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    return folder
