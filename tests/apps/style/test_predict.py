"""predict.py: one record and one picture for each painting."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apps.style import predict
from apps.style.config import StyleConfig
from apps.style.data.dataset import open_paintings
from apps.style.data.source import prepared
from apps.style.evaluation.inference import predict_all
from core.app.runs import reopen
from core.data.images.files import PixelLimit, decode
from core.models.classifier import Classifier
from core.training.session import Session
from tests.apps.style.helpers import complaint, listed


def check_picture(path, painting):
    """The painting itself is on the left, in the middle of a square of 256 pixels."""
    card = np.asarray(decode(str(path)), float)
    top, left = (12 + (256 - side) // 2 for side in (painting.height, painting.width))
    shown = card[top : top + painting.height, left : left + painting.width]
    assert np.abs(shown - np.asarray(painting, float)).mean() < 8  # JPEG's losses


def test_prediction_of_files_and_folders(learned, paintings, tmp_path, command):
    """A text file and half a JPEG are named; three files of one name have a picture each."""
    (path, _), *_ = listed(paintings, "val")
    content = Path(path).read_bytes()
    for name in ("a/x.jpg", "a/deep/x.jpg", "b/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not a painting")
    (tmp_path / "a/half.jpg").write_bytes(content[: len(content) // 2])
    words = [tmp_path / "notes.txt", tmp_path / "a", tmp_path / "b/x.jpg"]
    out = tmp_path / "out"
    done = command(predict.main, learned, *words, "--output", out)
    assert complaint(done) == "error: 2 of 5 images could not be used"
    for name in ("notes.txt", "a/half.jpg"):
        assert f"left out: {tmp_path / name}: " in done.output
    records = json.loads((out / "predictions.json").read_text())
    sources = [str(tmp_path / name) for name in ("a/deep/x.jpg", "a/x.jpg", "b/x.jpg")]
    assert sorted(record["input"] for record in records) == sources
    assert [record["output"] for record in records] == ["x.jpg", "x-2.jpg", "x-3.jpg"]
    assert all(f"{source}: " in done.output for source in sources), "three are called x"
    pictures = {record["output"] for record in records}
    assert {p.name for p in out.iterdir()} == {"predictions.json", *pictures}
    run = reopen(learned, StyleConfig, Classifier, Session())
    config, network = run.config, run.network
    val = prepared(open_paintings(config.data, "val"), config.protocol, network)
    shares = predict_all(Session(), network, val, 12).probabilities[0]
    best = np.argsort(-shares)[:5]
    for record in records:
        assert list(record["styles"]) == [network.classes[i] for i in best]
        assert list(record["styles"].values()) == pytest.approx(shares[best].tolist(), abs=1e-5)
        check_picture(out / record["output"], decode(path))


def test_prediction_of_validation_paintings(learned, paintings, tmp_path, command):
    """One record and one picture for each of four of the twelve: 0, 4, 7 and 11."""
    done = command(predict.main, learned, "--count", 4, "--output", tmp_path)
    assert done.returncode == 0, done.output
    records = json.loads((tmp_path / "predictions.json").read_text())
    assert len(records) == len(list(tmp_path.glob("*.jpg"))) == 4
    run = reopen(learned, StyleConfig, Classifier, Session())
    images = open_paintings(run.config.data, "val")
    val = prepared(images, run.config.protocol, run.network)
    shares = predict_all(Session(), run.network, val, 12).probabilities
    for place, record in zip((0, 4, 7, 11), records, strict=True):
        assert record["input"] == record["output"] == images.names[place]
        best = np.argsort(-shares[place])[:5]
        assert list(record["styles"]) == [run.network.classes[i] for i in best]
        assert list(record["styles"].values()) == pytest.approx(shares[place, best], abs=1e-5)
        check_picture(tmp_path / record["output"], images[place]["image"])
    done = command(predict.main, learned, "--count", 0)
    assert done.returncode == 2
    assert "no int of 1 or more" in done.output


def test_predictions_lie_in_the_run_by_default(learned, paintings, command):
    (path, _), *_ = listed(paintings, "val")
    done = command(predict.main, learned, path)
    assert done.returncode == 0, done.output
    names = {p.name for p in (learned / "predictions").iterdir()}
    assert names == {"predictions.json", Path(path).name}


def test_no_input_is_overwritten(learned, paintings, tmp_path, command):
    (path, _), *_ = listed(paintings, "val")
    for name in ("x.png", "y.jpg"):
        decode(path).save(tmp_path / name)
    before = (tmp_path / "y.jpg").read_bytes()
    done = command(predict.main, learned, tmp_path, "--output", tmp_path)
    assert f"{tmp_path / 'y.jpg'} would be overwritten" in complaint(done)
    assert (tmp_path / "y.jpg").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.png", "y.jpg"]  # nothing is written


def test_prediction_of_nothing(learned, tmp_path, command):
    (tmp_path / "notes.txt").write_text("not a painting")
    out = tmp_path / "out"
    done = command(predict.main, learned, tmp_path / "notes.txt", "--output", out)
    assert complaint(done) == "error: 1 of 1 images could not be used"
    assert not out.exists()
    assert f"no image in {tmp_path}" in complaint(command(predict.main, learned, tmp_path))
    assert "does not exist" in complaint(command(predict.main, learned, tmp_path / "none.jpg"))


def test_the_picture_explains_the_likeliest_style(learned, monkeypatch, tmp_path):
    """The map is of the first style, over the image as the network sees it, in [0, 1]."""
    seen = {}

    def occluded(network, image, label):
        seen["label"], seen["pixels"] = label, image
        return torch.zeros(image.shape[1:])

    def drawn(image, view, drops, styles):
        seen["view"] = view
        return image

    monkeypatch.setattr(predict, "occlusion_map", occluded)
    monkeypatch.setattr(predict, "explained", drawn)
    run = reopen(learned, StyleConfig, Classifier, Session())
    run.network.backbone.normalization = ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    image = Image.new("RGB", (40, 30), (255, 128, 0))
    record = predict.predict(Session(), run, "x", predict.Painting("x.png", image), tmp_path)
    assert run.network.classes[seen["label"]] == next(iter(record["styles"]))
    assert float(seen["pixels"][0].mean()) == pytest.approx((1 - 0.1) / 0.5)
    colour = torch.tensor([1, 128 / 255, 0]).view(3, 1, 1)
    torch.testing.assert_close(seen["view"], colour.expand(3, 32, 32), atol=1e-5, rtol=0)


def test_large_scans_shrink_as_in_the_run(learned, tmp_path):
    painting = Image.new("RGB", (400, 300))
    painting.save(tmp_path / "scan.jpg")
    run = reopen(learned, StyleConfig, Classifier, Session())
    data = replace(run.config.data, max_pixels=100 * 80)
    run = replace(run, config=replace(run.config, data=data))
    file = str(tmp_path / "scan.jpg")
    (item,) = predict.items_of([file], run, Session(), 1, data.limit)
    assert item.load().image.size == (100, 75)
    (item,) = predict.items_of([file], run, Session(), 1, PixelLimit(200 * 160))
    assert item.load().image.size == (200, 150)  # as --max-pixels says
