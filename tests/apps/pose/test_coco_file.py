"""Predictions as a COCO keypoint json, and back through the app's own training data."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from apps.pose import predict as pose_predict
from apps.pose.config import DataConfig
from apps.pose.data.source import PoseData
from apps.pose.prediction.coco_file import CocoFile
from apps.pose.prediction.pipeline import Frame
from apps.pose.presets import debug
from tests.apps.pose.toys import COCO, SIMCC, make_film, make_run, network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", network())


@pytest.fixture
def predict(command):
    return partial(command, pose_predict.main)


@pytest.fixture
def folder(tmp_path):
    """Three images, two of the same name, with a box json."""
    folder, rng = tmp_path / "in", np.random.default_rng(0)
    boxes = []
    for name, size in (("a.jpg", (90, 60)), ("more/a.jpg", (80, 120)), ("b.png", (40, 40))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    for name in ("a.jpg", "more/a.jpg"):
        for x in (2, 40):
            boxes.append({"file_name": name, "bbox": [x, 5, 30, 50], "score": 0.9})
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return folder


def data_of(root, path):
    """The app's training data of this json."""
    files = DataConfig(str(root), train_json=str(path), train_images="", val_json=str(path))
    return PoseData(
        replace(debug(), data=files, model=SIMCC), SimpleNamespace(is_main=True, print=print)
    )


def test_round_trip(predict, run, folder, tmp_path):
    """What was predicted is what the app trains on: places, boxes, names, skeleton, images."""
    out = tmp_path / "labels/person_keypoints_mine.json"
    more = ["--boxes", tmp_path / "boxes.json", "--min-score", 0, "--coco", out, "--no-nms"]
    done = predict(run, folder, folder / "more", *more, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    assert f"of images in {folder.resolve()}" in " ".join(done.output.split())
    content = json.loads(out.read_text())
    sizes = {i["file_name"]: (i["width"], i["height"]) for i in content["images"]}
    assert sizes == {"a.jpg": (90, 60), "b.png": (40, 40), "more/a.jpg": (80, 120)}
    records = json.loads((tmp_path / "out/predictions.json").read_text())
    assert len(content["annotations"]) == len(records) == 4
    data = data_of(folder, out)
    assert data.keypoints == COCO
    train = data.train()
    people = [train.people.get_data_info(n) for n in range(len(train))]
    assert len(people) == sum(a["num_keypoints"] > 0 for a in content["annotations"]) > 0
    by_id = {annotation["id"]: n for n, annotation in enumerate(content["annotations"])}
    for person in people:
        record = np.array(records[by_id[person["id"]]]["keypoints"]).reshape(17, 3)
        seen = person["keypoints_visible"][0] > 0
        np.testing.assert_allclose(person["keypoints"][0][seen], record[seen, :2], atol=0.02)
        (left, top, right, bottom) = person["bbox"][0]
        assert right - left == pytest.approx(30, abs=1)
        assert bottom - top == pytest.approx(50, abs=1)
    item = train[0]
    assert item["image"].shape == (3, 64, 48)


def test_chosen_keypoints_of_a_video(predict, run, tmp_path):
    """Only these are written; frames are CVAT's, and people have their ids."""
    (tmp_path / "boxes.json").write_text(json.dumps(make_film(tmp_path / "walk.mp4", 4)))
    words = ["--boxes", tmp_path / "boxes.json", "--keypoints", "right_wrist", "left_wrist"]
    done = predict(
        run, tmp_path / "walk.mp4", *words, "--coco", tmp_path / "o.json", "--min-score", 0
    )
    assert done.returncode == 0, done.output
    content = json.loads((tmp_path / "o.json").read_text())
    names = [f"walk/frame_{n:06d}.png" for n in range(4)]
    assert [image["file_name"] for image in content["images"]] == names
    (category,) = content["categories"]
    assert category["keypoints"] == ["left_wrist", "right_wrist"], "in the run's order"
    assert category["skeleton"] == []
    records = json.loads((run / "predictions/walk.json").read_text())
    assert {len(r["keypoints"]) for r in records} == {6}
    ids = [a["attributes"]["track_id"] for a in content["annotations"]]
    assert ids == [r["track_id"] for r in records]
    assert sorted(ids) == [1] * 4 + [2] * 4
    assert all(a["attributes"]["keyframe"] for a in content["annotations"])


def test_what_annotation_tools_ask_for(predict, run, folder, tmp_path):
    """datumaro (CVAT) and Label Studio's converter raise without any of these."""
    done = predict(run, folder, "--coco", tmp_path / "o.json", "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    assert "each whole image is one person's box" in done.output
    content = json.loads((tmp_path / "o.json").read_text())
    for person in content["annotations"]:
        assert isinstance(person["segmentation"], list)
        assert {"bbox", "area", "iscrowd", "num_keypoints", "score", "id"} <= set(person)
        values = np.array(person["keypoints"]).reshape(17, 3)
        assert set(values[:, 2]) <= {0, 2}
        assert (values[values[:, 2] == 0] == 0).all()
        assert person["num_keypoints"] == (values[:, 2] > 0).sum()


def test_no_input_is_overwritten(predict, run, folder, tmp_path):
    words = ["--boxes", tmp_path / "boxes.json", "--coco", tmp_path / "boxes.json"]
    done = predict(run, folder, *words, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "boxes.json would be overwritten: choose another --coco" in done.output


def test_corrections_are_not_overwritten(predict, run, folder, tmp_path):
    """Somebody may have corrected the json of an earlier run for hours."""
    mine = tmp_path / "mine.json"
    mine.write_text("corrected")
    done = predict(run, folder, "--output", tmp_path / "out", "--coco", mine)
    assert done.returncode == 2
    assert "mine.json exists already; nothing is overwritten" in " ".join(done.output.split())
    assert mine.read_text() == "corrected"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["sheet.png", "a.png", "predictions.json"])
def test_no_other_output_is_overwritten(predict, run, folder, tmp_path, name):
    out = tmp_path / "out"
    done = predict(run, folder, "--output", out, "--coco", out / name)
    assert done.returncode == 2
    assert f"{name} would be overwritten: choose another --output" in " ".join(done.output.split())
    assert not out.exists()


def test_two_videos_of_a_name_are_told_apart(tmp_path):
    """An image is found by its name alone: no two of the json may have the same."""
    paths = [tmp_path / "a/walk.mp4", tmp_path / "b/walk.mp4"]
    coco = CocoFile(tmp_path / "o.json", COCO, 0.3, paths, [])
    for path in paths:
        coco.add(Frame(path, 0, np.zeros((4, 4, 3), np.uint8), video=True))
    names = [image["file_name"] for image in coco.images]
    assert names == ["walk/frame_000000.png", "walk-2/frame_000000.png"]
