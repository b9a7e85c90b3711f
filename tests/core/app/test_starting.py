"""What cannot go is refused before data is made: names, sizes, roots, in every app."""

import importlib
from pathlib import Path

import pytest

from core import InputError
from core.config import cli

WRONG = [
    ("pose", "--model.backbone mixer_b17", "unknown backbone 'mixer_b17'"),
    ("pose", "--model.image-size 100 90", "image_size 100x90 is not a multiple"),
    ("pose", "--model.weights nosuch.pth", "nosuch.pth does not exist"),
    ("pose", "--optim.name adan", "there is no optimizer 'adan'"),
    ("pose", "--run.steps 3 --run.epochs 3", "give either --run.steps or --run.epochs"),
    ("pose", "--data.root nosuch", "data.root nosuch is no folder"),
    ("pose", "coco_mixer_b16_256x192", "needs --data.root"),
    ("style", "--model.backbone mixer_b17", "unknown backbone 'mixer_b17'"),
    ("style", "--model.weights nosuch.pth", "nosuch.pth does not exist"),
    ("style", "wikiart_mixer_b16", "needs --data.root or --data.csv"),
    ("pointcloud", "--model.operator nosuch", "unknown operator 'nosuch'"),
    ("pointcloud", "modelnet10_small", "needs --data.root"),
    ("crossview", "--model.generator mixer --model.backbone x", "unknown backbone 'x'"),
    ("crossview", "--data.size 60 60", "60x60 pixels cannot be cut"),
    ("crossview", "--d-optim.name adan", "there is no optimizer 'adan'"),
    ("crossview", "dayton", "needs --data.root"),
]


@pytest.mark.parametrize(("app", "words", "message"), WRONG)
def test_nothing_is_made(app, words, message, tmp_path, monkeypatch):
    if app == "pose":
        pytest.importorskip("mmpose")
    monkeypatch.chdir(tmp_path)
    script = importlib.import_module(f"apps.{app}.train")
    with pytest.raises(InputError, match=message):
        script.train(cli(script.PRESETS, words.split()))
    assert not list(Path().iterdir())


def test_weights_of_a_run_with_a_frozen_backbone_are_no_contradiction(tmp_path, monkeypatch):
    pytest.importorskip("mmpose")
    from apps.pose.models.start import check_network

    monkeypatch.chdir(tmp_path)
    script = importlib.import_module("apps.pose.train")
    words = "debug --model.freeze --model.weights photos --model.backbone mixer_c256_l8_p8"
    check_network(cli(script.PRESETS, words.split()))
    with pytest.raises(InputError, match="freeze keeps random weights"):
        check_network(cli(script.PRESETS, ["debug", "--model.freeze"]))
