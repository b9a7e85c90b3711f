"""eval.py as it is typed: figures, tables and files; a test set without annotations."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose import eval as pose_eval
from apps.pose.data.keypoints import COCO_SIGMAS
from apps.pose.evaluation.metrics import coco_ap
from apps.pose.people import make_people
from tests.apps.pose.toys import make_run, network


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return make_people(tmp_path_factory.mktemp("people") / "data", 2, 6, seed=5, workers=1)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "my_run", network())


@pytest.fixture
def evaluate(run, people, monkeypatch, capsys):
    """Type a command; its exit status and what it printed."""

    def typed(*words):
        data = ["--data.root", people, "--data.val-images", "images/val"]
        monkeypatch.setattr("sys.argv", [str(word) for word in ("eval.py", run, *data, *words)])
        try:
            pose_eval.main()
            status = 0
        except SystemExit as left:
            status = left.code
        return status, "".join(capsys.readouterr())

    return typed


def boxes_of(people, path):
    """The annotated boxes as detections."""
    truth = json.loads((people / "annotations/val.json").read_text())
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}
        for a in truth["annotations"]
    ]
    path.write_text(json.dumps(boxes))
    return truth, path


def test_a_report(run, people, evaluate):
    status, printed = evaluate("--data.val-json", "annotations/val.json", "--report")
    assert status == 0, printed
    for words in (
        "Keypoints\n",
        "left_shoulder",
        "jitter",
        "inversion",
        "swap",
        "miss",
        "People\n",
    ):
        assert words in printed
    results = json.loads((run / "results-step-00000001-ground-truth-boxes.json").read_text())
    about = json.loads((run / "eval.json").read_text())
    assert [*about][:5] == ["what", "data", "network", "figures", "commit"]
    truth = people / "annotations/val.json"
    assert about["figures"] == coco_ap(truth, results, COCO_SIGMAS)
    assert (about["data"], about["flip_test"]) == (str(truth), False)
    assert about["what"] == str(run / "checkpoints/step-00000001")
    titles = [table["title"] for table in about["tables"]]
    assert titles == ["Keypoints", "Errors", "Occlusion of keypoints", "People"]
    assert not list(run.glob(".*"))


def test_a_test_set_without_annotations(run, people, evaluate, tmp_path):
    truth, boxes = boxes_of(people, tmp_path / "boxes.json")
    images = tmp_path / "image_info_test-dev2017.json"
    listed = {"images": truth["images"], "categories": [{"id": 1, "name": "person"}]}
    images.write_text(json.dumps(listed))
    status, printed = evaluate("--images-json", images, "--boxes", boxes)
    assert status == 0, printed
    assert "AP" not in printed
    path = run / "person_keypoints_test-dev2017_my-run_results.json"
    assert str(path) in printed
    written = json.loads(path.read_text())
    assert 0 < len(written) <= len(truth["annotations"])
    assert {r["image_id"] for r in written} <= {i["id"] for i in truth["images"]}
    assert np.isfinite([r["keypoints"] for r in written]).all()
    assert path.with_suffix(".zip").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images-json", "image_info.json"], "give --boxes too"),
        (["--model.image-size", "64", "64"], "--model.image_size: the network is the one that was"),
        (["--batch-size", "4"], "--batch-size is now --eval.batch-size"),
        (["--data.val-json", "none.json"], "none.json: No such file or directory: check the path"),
    ],
)
def test_errors(evaluate, words, message):
    status, printed = evaluate(*words)
    assert status == 2
    *said, error = printed.splitlines()
    assert message in error
    assert len(said) <= 1  # what it runs on


@pytest.mark.parametrize(
    ("name", "word", "known"),
    [("--data.format", "lsp", "crowdpose"), ("--data.outside", "drop", "ignore")],
)
def test_words_that_a_setting_does_not_take(evaluate, name, word, known):
    status, printed = evaluate(name, word)
    assert status == 2
    for part in (name, word, known):
        assert part in printed


def test_the_flip_test_is_told_by_either_name_and_not_by_the_run(run, evaluate, people, tmp_path):
    """The run's own setting is how it watches itself."""
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace("flip_test: false", "flip_test: true"))
    words = ["--data.val-json", "annotations/val.json", "--output", tmp_path / "out"]
    figures = {}
    for option in ((), ("--flip-test",), ("--eval.flip-test",)):
        status, printed = evaluate(*words, *option)
        assert status == 0, printed
        record = json.loads((tmp_path / "out/eval.json").read_text())
        assert record["flip_test"] == bool(option)
        ending = "boxes-flip-test.json" if option else "boxes.json"
        (results,) = (tmp_path / "out").glob(f"results-*{ending}")
        figures[option] = results.read_text()
    assert figures[()] != figures[("--flip-test",)] == figures[("--eval.flip-test",)]
    assert not list(run.glob("*.json"))


def test_decoding_can_be_another_than_in_training(run, evaluate, tmp_path):
    """`simcc_dark` is about decoding alone: places between bins."""
    words = ["--data.val-json", "annotations/val.json", "--output", tmp_path]
    places = []
    for option in (("--model.no-simcc-dark",), ("--model.simcc-dark",)):
        status, printed = evaluate(*words, *option)
        assert status == 0, printed
        (results,) = tmp_path.glob("results-*.json")
        places.append([r["keypoints"] for r in json.loads(results.read_text())])
    moved = np.abs(np.subtract(*places))
    assert 0 < moved.max() < 30
