"""probe.py: a run without training, for eval.py and predict.py."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from apps.style import eval as style_eval
from apps.style import predict, probe
from apps.style.config import StyleConfig
from apps.style.data.dataset import open_paintings
from apps.style.data.source import prepared
from apps.style.data.stream_split import InTurn
from core.app.runs import reopen
from core.evaluation.ridge import fit_ridge
from core.models.classifier import Classifier
from core.training.files.folder import read_metrics
from core.training.session import Session
from tests.apps.style.helpers import CLASSES, TRAIN, VAL, complaint, listed, write_csv
from tests.core.data.stream_toy import write_parquet


@pytest.fixture(scope="module")
def probed(paintings, tmp_path_factory):
    """The folder of a probe of the embedded paintings."""
    folder = tmp_path_factory.mktemp("runs") / "probed"
    with pytest.MonkeyPatch.context() as patch:
        words = ["main", "debug", "--data.root", paintings, "--run.folder", folder]
        patch.setattr("sys.argv", list(map(str, words)))
        probe.main()
    return folder


def test_a_probe_is_a_run_as_any_other(probed, tmp_path, command):
    done = command(style_eval.main, probed, "--output", tmp_path)
    assert done.returncode == 0, done.output
    figures = json.loads((tmp_path / "eval.json").read_text())["figures"]
    (logged,) = read_metrics(probed)
    assert figures == pytest.approx({name: logged[f"eval/{name}"] for name in figures}, abs=1e-6)
    assert {"top1", "macro_f1", "calibration_error"} <= figures.keys()
    done = command(predict.main, probed, "--count", 2, "--output", tmp_path)
    assert done.returncode == 0, done.output
    records = json.loads((tmp_path / "predictions.json").read_text())
    assert [len(record["styles"]) for record in records] == [5, 5]


def test_the_head_is_the_ridge_of_all_training_paintings(probed):
    """Each of them, and its mirror image, as evaluation prepares it."""
    run = reopen(probed, StyleConfig, Classifier, Session())
    images = prepared(open_paintings(run.config.data, "train"), run.config.protocol, run.network)
    pixels = torch.stack([images[i]["image"] for i in range(len(images))])
    with torch.no_grad():
        x = torch.stack([run.network.features(p) for p in (pixels, pixels.flip(3))], 1)
    ridge = fit_ridge(x, torch.tensor(images.labels), CLASSES)
    for name, value in ridge.head().items():
        torch.testing.assert_close(getattr(run.network.head, name).data, value)
    record = json.loads((probed / "probe.json").read_text())
    assert (record["paintings"], record["views"]) == (CLASSES * TRAIN, 2)
    assert record["l2"] == min(record["errors"], key=lambda row: row["error"])["l2"]
    top1 = (ridge.left_out.argmax(1) == torch.tensor(images.labels)).double().mean()
    assert record["leave_one_out"]["top1"] == pytest.approx(float(top1))


def test_the_head_knows_nothing_of_validation(probed, paintings, tmp_path, command):
    """Other validation paintings, of other styles: other figures, the same head.

    Here the backbone comes from a run that has a head already.
    """
    val = listed(paintings, "val")
    styles = np.roll([style for _, style in val], 1)
    rows = [(path, style, "train") for path, style in listed(paintings, "train")]
    rows += [(path, style, "val") for (path, _), style in zip(val, styles, strict=True)]
    file, folder = write_csv(tmp_path / "other.csv", rows), tmp_path / "run"
    words = ["--data.csv", file, "--model.weights", probed, "--run.folder", folder]
    done = command(probe.main, "debug", *words)
    assert done.returncode == 0, done.output
    # by name: a csv file may have its classes in another order
    classes, heads = [], []
    for run in (probed, folder):
        checkpoint = run / "checkpoints/last"
        info = json.loads((checkpoint / "config.json").read_text())
        classes.append(info["head"]["classes"])
        heads.append(load_file(str(checkpoint / "model.safetensors"))["head.weight"])
    order = [classes[1].index(name) for name in classes[0]]
    torch.testing.assert_close(heads[1][order], heads[0])
    assert read_metrics(folder) != read_metrics(probed)
    assert len(val) == CLASSES * VAL


def test_without_mirror_images_there_is_one_view(paintings, tmp_path, command):
    words = ["--data.root", paintings, "--augment.flip", 0, "--run.folder", tmp_path / "run"]
    done = command(probe.main, "debug", *words)
    assert done.returncode == 0, done.output
    assert json.loads((tmp_path / "run/probe.json").read_text())["views"] == 1
    assert f"ridge of {CLASSES * TRAIN} paintings, 1 view(s) of 16 features" in done.output


def test_a_stream_is_read_as_its_rows_are(tmp_path, monkeypatch, command):
    """Every training row once: the head is that of the same paintings by index."""
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    root, folder = write_parquet(tmp_path, [9, 14]), tmp_path / "run"
    words = ["--data.root", root, "--data.stream", "--data.split", "stratified"]
    done = command(probe.main, "debug", *words, "--run.folder", folder)
    assert done.returncode == 0, done.output
    run = reopen(folder, StyleConfig, Classifier, Session())
    rows = InTurn(open_paintings(run.config.data, "train"))
    images = prepared(rows, run.config.protocol, run.network)
    items = [images[i] for i in range(len(images))]
    pixels, labels = (torch.tensor(np.stack([i[k] for i in items])) for k in ("image", "label"))
    with torch.no_grad():
        x = torch.stack([run.network.features(p) for p in (pixels, pixels.flip(3))], 1)
    torch.testing.assert_close(
        run.network.head.weight.data, fit_ridge(x, labels, 3).head()["weight"]
    )
    assert json.loads((folder / "probe.json").read_text())["paintings"] == len(rows) < 23


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optim.lr", 0.5], "optim: a probe trains nothing"),
        (["--loss.name", "focal"], "loss: a probe trains nothing"),
        (["--sampling", "square_root"], "sampling: a probe trains nothing"),
        (
            ["--augment.randaugment", 9],
            "augment: a probe trains nothing and uses none of it but flip",
        ),
        (["--run.epochs", 3], "run.epochs: a probe has none"),
    ],
)
def test_settings_of_training_are_not_ignored(words, message, tmp_path, command):
    done = command(probe.main, "debug", *words, "--run.folder", tmp_path / "run")
    assert message in complaint(done)
    assert not (tmp_path / "run").exists()


def test_there_is_nothing_to_resume(tmp_path, command):
    done = command(probe.main, "debug", "--run.resume", "--run.folder", tmp_path / "run")
    assert "run.resume: a probe has no steps to go on from" in complaint(done)
    assert not (tmp_path / "run").exists()
