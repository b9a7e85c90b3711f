"""Each app by its entry points: train 2 steps, resume to 4, evaluate, predict.

An app is a folder of apps/ with a train.py. What it has to keep, a new one too: the preset `debug`,
RUN/eval.json with the same first keys, and RUN/predictions/ as `core.app.predicting` says.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from core.checkpoints import find_checkpoint, step_of
from core.training.files.folder import read_metrics
from tests.core.launch import launch

ROOT = Path(__file__).resolve().parents[1]
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/train.py"))
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def run(folder, *words, path=""):
    """A command in ``folder``, as a user types it; returns what it printed. path: PYTHONPATH."""
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "2"}
    environment |= {"PYTHONPATH": path} if path else {}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_script(folder, *words, path=""):
    """The same of a script; of the project's own where torch is imported already: seconds less."""
    if path:  # another `apps` than the one that is imported
        run(folder, sys.executable, *words, path=path)
        return
    done = launch(_script, folder, *words)
    assert done.returncode == 0, done.output


def _script():
    _, folder, *sys.argv = sys.argv
    os.chdir(folder)
    runpy.run_path(sys.argv[0], run_name="__main__")


def check_evaluation(run_folder):
    """RUN/eval.json names its checkpoint and has figures, numbers all of them."""
    record = json.loads((run_folder / "eval.json").read_text())
    assert list(record)[:5] == ["what", "data", "network", "figures", "commit"]
    assert Path(record["what"]).name.startswith("step-")
    assert record["data"]
    assert record["network"]
    assert numbers(record["figures"])


def numbers(value):
    """The numbers of nested dicts and lists."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [number for part in parts for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def check_predictions(folder, count):
    """Outputs of their own for `count` inputs, and every file that a record names, readable."""
    records = json.loads((folder / "predictions.json").read_text())
    outputs = [record["output"] for record in records]
    assert len(set(outputs)) == count, "each input has an output of its own"
    assert len({record["input"] for record in records}) == count
    for record, output in zip(records, outputs, strict=True):
        check_file(folder / output)
        for name in further_files(record, output):
            check_file(folder / name)


def further_files(record, output):
    """What else a record names that begins as its output does: NAME-sheet.png beside NAME.png."""
    words = [value for key, value in record.items() if key not in ("input", "file_name")]
    names = [Path(word) for word in words if isinstance(word, str)]
    return [name for name in names if name.suffix and name.stem.startswith(Path(output).stem)]


def check_file(path):
    assert path.is_file(), f"{path} is named in predictions.json"
    assert path.stat().st_size > 0
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".ply":
        assert path.read_bytes()[:3] == b"ply"
    elif path.suffix in PICTURES:
        with Image.open(path) as picture:
            picture.load()


def test_there_are_apps():
    assert {"crossview", "pointcloud", "pose", "style"} <= set(APPS)


@pytest.mark.parametrize("app", APPS)
def test_train_resume_evaluate_predict(app, tmp_path):
    check_app(ROOT / "apps" / app, tmp_path)


def check_app(scripts, tmp_path, path=""):
    """All that is asked of an app, whose entry points lie in the folder ``scripts``."""
    accelerate = Path(sys.executable).with_name("accelerate")
    train = [scripts / "train.py", "debug", "--run.folder", "run"]
    folder = tmp_path / "run"
    run_script(tmp_path, accelerate, "launch", *train, "--run.steps", 2, path=path)
    assert step_of(find_checkpoint(folder, "last")) == 2
    run_script(tmp_path, *train, "--run.steps", 4, "--run.resume", path=path)
    assert step_of(find_checkpoint(folder, "last")) == 4
    assert [r["step"] for r in read_metrics(folder) if "loss" in r] == [1, 2, 3, 4]
    assert not (folder / "eval.json").exists()
    assert not (folder / "predictions").exists()
    run_script(tmp_path, scripts / "eval.py", "run", path=path)
    check_evaluation(folder)
    run(tmp_path, sys.executable, scripts / "predict.py", "run", "--count", 2, path=path)
    check_predictions(folder / "predictions", 2)


# ---- the checks themselves -------------------------------------------------------------------


@pytest.fixture
def predictions(tmp_path):
    """What an app with two pictures writes."""
    records = []
    for name in ("a", "b"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}-sheet.png")
        record = {"input": f"/photos/{name}.jpg", "output": f"{name}.png"}
        records.append(record | {"sheet": f"{name}-sheet.png", "class": "v1.5", "logits": [0.5]})
    (tmp_path / "predictions.json").write_text(json.dumps(records))
    return tmp_path


def test_predictions_that_are_there_pass(predictions):
    check_predictions(predictions, 2)


def test_results_of_people_pass(predictions):
    """Three people in two pictures, as COCO has them."""
    people = [
        {"input": f"/photos/{name}.jpg", "output": f"{name}.png", "file_name": f"{name}.jpg"}
        for name in ("a", "a", "b")
    ]
    (predictions / "predictions.json").write_text(json.dumps(people))
    check_predictions(predictions, 2)
    (predictions / "b.png").unlink()
    with pytest.raises(AssertionError):
        check_predictions(predictions, 2)


@pytest.mark.parametrize("name", ["predictions.json", "a.png", "b.png", "b-sheet.png"])
def test_a_missing_file_is_noticed(predictions, name):
    (predictions / name).unlink()
    Image.new("RGB", (4, 4)).save(predictions / "curves.png")  # a picture is not a prediction
    with pytest.raises((AssertionError, FileNotFoundError)):
        check_predictions(predictions, 2)


def test_a_broken_picture_or_a_missing_record_is_noticed(predictions):
    with pytest.raises(AssertionError):
        check_predictions(predictions, 3)
    (predictions / "a.png").write_bytes((predictions / "a.png").read_bytes()[:20])
    with pytest.raises(OSError, match=r"."):
        check_predictions(predictions, 2)
