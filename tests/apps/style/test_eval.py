"""eval.py: the figures of a run on its own and on other paintings."""

import json
from pathlib import Path

import numpy as np
import pytest

from apps.style import eval as style_eval
from apps.style.config import DataConfig, StyleConfig
from apps.style.data.dataset import open_paintings
from apps.style.data.source import prepared
from apps.style.evaluation.inference import predict_all
from apps.style.evaluation.metrics import style_metrics
from core.app.runs import reopen
from core.data.images.files import decode
from core.models.classifier import Classifier
from core.training.session import Session
from tests.apps.style.helpers import CLASSES, VAL, complaint, listed, write_csv


def test_evaluation(learned, paintings, tmp_path, command):
    """Twelve unseen paintings; the figures are those of the definitions."""
    done = command(style_eval.main, learned, "--output", tmp_path, "--eval.batch-size", 5)
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "eval.json").read_text())
    run = reopen(learned, StyleConfig, Classifier, Session())
    config, network = run.config, run.network
    val = prepared(open_paintings(config.data, "val"), config.protocol, network)
    predictions = predict_all(Session(), network, val, 5)
    expected = style_metrics(predictions.probabilities, predictions.labels)
    assert record["figures"] == pytest.approx(expected, abs=1e-6)
    assert np.sum(record["confusion"], 1).tolist() == [VAL] * CLASSES
    assert [row["name"] for row in record["classes"]] == network.classes
    assert "NaN" not in (tmp_path / "eval.json").read_text()
    assert f"{expected['top1']:.4f}" in done.output
    assert expected["top1"] < 1
    for name in ("confusion.png", "mistakes.jpg"):
        assert min(decode(str(tmp_path / "pictures" / name)).size) > 100


def test_evaluation_on_other_classes(learned, paintings, tmp_path, command):
    rows = [(path, style, "val") for path, style in listed(paintings, "val")]
    file = write_csv(tmp_path / "some.csv", rows[:3])
    done = command(style_eval.main, learned, "--data.csv", file, "--output", tmp_path / "some")
    assert done.returncode == 0, done.output
    assert "these classes are not measured" in done.output
    classes = json.loads((tmp_path / "some/eval.json").read_text())["classes"]
    assert {row["name"] for row in classes if row["recall"] is not None} == {r[1] for r in rows[:3]}
    renamed = [(path, "Rococo" if style == "Cubism" else style, side) for path, style, side in rows]
    file = write_csv(tmp_path / "other.csv", renamed)
    line = complaint(command(style_eval.main, learned, "--data.csv", file))
    assert "missing: Cubism; 1 unknown to it: Rococo" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data.split", "artsit"], "invalid choice 'artsit'"),
        (["--data.classes", 5], "invalid choice '5'"),
        (["--eval.batch-size", 0], "--eval.batch-size is 0; choose 1 or more"),
        (["--data.root", "nowhere"], "nowhere is no folder"),
    ],
)
def test_evaluation_of_what_does_not_exist(learned, command, words, expected):
    done = command(style_eval.main, learned, *words)
    assert done.returncode == 2
    assert expected in done.output


def test_other_paintings_have_settings_of_their_own():
    """Of the run's only the loader processes hold; what was said holds in any case."""
    data = DataConfig(root="other", split="artist", classes=27, workers=5, skip_bad=2, long_tail=3)
    for said in ((), ("data.split", "output")):
        assert style_eval.evaluated_data(data, said) == data
    expected = DataConfig(root="other", workers=5, skip_bad=2)
    assert style_eval.evaluated_data(data, ("data.root", "data.skip_bad")) == expected
    assert style_eval.evaluated_data(DataConfig(csv="c"), ("data.csv",)) == DataConfig(csv="c")


def test_mistakes_are_shown_as_they_are(learned, paintings, tmp_path, command, monkeypatch):
    """Without the network's transform, and each its own where a damaged one is left out."""
    (first, style), *others = listed(paintings, "val")
    (tmp_path / "half.jpg").write_bytes(Path(first).read_bytes()[:400])
    rows = [(str(tmp_path / "half.jpg"), style, "val"), *((*row, "val") for row in others)]
    shown = []

    def sheet(path, open_image, probabilities, labels, classes):
        shown.extend(open_image(i) for i in range(len(labels)))

    monkeypatch.setattr(style_eval, "mistakes_sheet", sheet)
    words = ["--data.csv", write_csv(tmp_path / "list.csv", rows), "--output", tmp_path / "out"]
    assert "half.jpg" in complaint(command(style_eval.main, learned, *words))
    done = command(style_eval.main, learned, *words, "--data.skip-bad", 1)
    assert done.returncode == 0, done.output
    assert len(shown) == len(others)
    for image, (path, _) in zip(shown, others, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(decode(path)))
