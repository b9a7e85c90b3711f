"""What each step of a development added, from the runs' folders."""

import json

import pytest

pytest.importorskip("mmpose")

from apps.pose import eval as pose_eval
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.evaluation import steps
from tests.apps.pose.test_sets import LSP_NAMES, make_set
from tests.apps.pose.toys import make_run, network

BOTH = KeypointSet.of([*COCO_NAMES, "neck", "head_top"])


@pytest.fixture
def runs(tmp_path):
    """A run on COCO's keypoints, and a later one with neck and head top; a set of 14 keypoints."""
    first = make_run(tmp_path / "first", network())
    later = make_run(tmp_path / "later", network(keypoints=BOTH))
    row = {"step": 1, "loss": 2.0, "eval/PCK@0.2 torso": 0.25}
    (later / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    return first, later, make_set(tmp_path, LSP_NAMES, 7, 1)


def test_the_figures_are_those_of_eval(runs, command, tmp_path):
    first, later, people = runs
    done = command(steps.main, first, later, "--set", people, "--workers", 0, "--out", tmp_path)
    assert done.returncode == 0, done.output
    plain, flipped = json.loads((tmp_path / "steps.json").read_text())
    columns = plain["columns"]
    assert columns == flipped["columns"]
    assert columns[:4] == ["run", "parameters", "PCK@0.2 torso, 12", "PCK@0.2 box, 12"]
    assert columns[4:] == ["PCK@0.2 torso, 14", "PCK@0.2 box, 14", "gain"]
    for table, words in ((plain, []), (flipped, ["--flip-test"])):
        done = command(pose_eval.main, later, "--data.sets", people, *words)
        assert done.returncode == 0, done.output
        expected = json.loads((later / "eval.json").read_text())["figures"]
        (name, parameters, *_, torso, box, _) = table["rows"][1]
        assert (name, parameters) == (
            "later",
            sum(p.numel() for p in network(keypoints=BOTH).parameters()),
        )
        assert [torso, box] == pytest.approx(list(expected.values()))
        assert table["rows"][0][4:] == [None, None, None]
    assert (tmp_path / "curves.png").is_file()
    assert "| first |" in (tmp_path / "steps.md").read_text()


def test_a_gain_is_over_the_row_above():
    rows = [(name, 1e6, {"PCK": value}) for name, value in (("a", 0.2), ("b", 0.5), ("c", 0.45))]
    gains = [row[-1] for row in steps.steps_table(rows, "title").rows]
    assert gains == [None, pytest.approx(30), pytest.approx(-5)]
