"""Bad annotations and detections: each an error that names it, or left out as it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose.config import AugmentConfig
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.records.annotations import read_truth
from core.errors import InputError
from tests.apps.pose.test_data import NAMES, SIMCC, make_people

NAN = float("nan")


@pytest.fixture
def people(tmp_path):
    return tmp_path, make_people(tmp_path)


def save(folder, content):
    (folder / "people.json").write_text(json.dumps(content))


def open_people(folder, **options):
    keypoints = KeypointSet.of(NAMES)
    return PoseDataset(folder / "people.json", folder / "images", keypoints, SIMCC, **options)


def complaint(folder, content, **options):
    save(folder, content)
    with pytest.raises(InputError) as error:
        open_people(folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("place", [0, 1])
def test_nan_keypoints(people, place):
    folder, content = people
    content["annotations"][2]["keypoints"][3 + place] = NAN
    line = complaint(folder, content)
    assert "annotation 12: keypoint 1 is labelled at (" in line
    assert "nan" in line
    assert line.endswith("which is no place: correct the json, or set data.outside=ignore")
    data = open_people(folder, outside="ignore")
    assert data.counts["outside_points"] == 1
    truth = read_truth(folder / "people.json", len(NAMES), "ignore")["annotations"][2]
    assert truth["keypoints"][3:6] == [0, 0, 0]
    assert truth["num_keypoints"] == len(NAMES) - 1


def test_nan_where_nothing_is_labelled_does_no_harm(people):
    folder, content = people
    content["annotations"][2]["keypoints"][3:6] = [NAN, NAN, 0]
    save(folder, content)
    with np.errstate(invalid="raise"):
        item = open_people(folder, train=True, augment=AugmentConfig(flip=0.0))[2]
    assert item["weight"][1] == 0
    assert all(value.isfinite().all() for value in item.values())


def test_infinite_and_worded_keypoints(people):
    folder, content = people
    content["annotations"][2]["keypoints"][3] = float("inf")
    assert "labelled at (inf, " in complaint(folder, content)
    content["annotations"][2]["keypoints"][3] = "left"
    assert "annotation 12: keypoints has 'left', which is no number" in complaint(folder, content)
    content["annotations"][2]["keypoints"][3] = None
    assert "annotation 12: keypoint 1 is labelled at (nan" in complaint(folder, content)


@pytest.mark.parametrize("v", [-1, 3, 0.5, NAN])
def test_visibility_out_of_range(people, v):
    folder, content = people
    content["annotations"][2]["keypoints"][5] = v
    line = complaint(folder, content)
    assert "annotation 12: visibility must be 0, 1 or 2, got" in line


def test_a_box_partly_outside_is_cut_as_coco_cuts_it(people):
    folder, content = people  # images of 320 x 240
    content["annotations"][0]["bbox"] = [-30, 20, 100, 500]
    save(folder, content)
    person = open_people(folder).people.get_data_info(0)
    assert person["bbox"].tolist() == [[0, 20, 70, 239]]


@pytest.mark.parametrize("box", [[400, 20, 50, 50], [-60, 20, 50, 50], [10, 260, 50, 50]])
def test_a_box_wholly_outside(people, box):
    folder, content = people
    content["annotations"][1]["bbox"] = box
    line = complaint(folder, content)
    assert f"annotation 11: its bbox {box} lies outside its 320 x 240 image: correct" in line
    content["annotations"][1]["iscrowd"] = 1  # nobody asks for it
    save(folder, content)
    assert open_people(folder).counts["people"] == 5


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, NAN], [1, 2, 3, None], "box", ["1", 2, 3, 4]])
def test_what_is_no_box(people, box):
    folder, content = people
    content["annotations"][1]["bbox"] = box
    assert "annotation 11 has bbox" in complaint(folder, content)


def test_a_box_without_area_is_counted(people):
    folder, content = people
    content["annotations"][1]["bbox"] = [10, 10, 0, 50]
    content["annotations"][2]["bbox"] = [319.5, 10, 0.4, 50]  # nothing is left of it at pixel 319
    save(folder, content)
    assert open_people(folder).counts["boxes_without_area"] == 2


def test_zero_people(people):
    folder, content = people
    everybody = content["annotations"]
    content["annotations"] = []
    assert "`annotations` is missing or empty" in complaint(folder, content)
    content["annotations"] = {"0": {}}
    assert "`annotations` is no list" in complaint(folder, content)
    content["annotations"] = [{**a, "keypoints": [0] * 21, "num_keypoints": 0} for a in everybody]
    assert "no usable person" in complaint(folder, content)


def test_an_image_listed_twice(people):
    folder, content = people
    content["images"].append({**content["images"][3], "id": 77})
    line = complaint(folder, content)
    assert "the image 3.jpg is listed twice (again with the id 77)" in line
    content["images"][-1] = {**content["images"][3], "file_name": "9.jpg"}
    assert "two images have the id 3: make ids unique" in complaint(folder, content)


def test_an_annotation_of_an_unknown_image(people):
    folder, content = people
    content["annotations"][4]["image_id"] = 1234
    line = complaint(folder, content)
    assert "annotation 14 is of image 1234, which the json does not list" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [400, 10, 20, 20]}, ": bbox [400, 10, 20, 20] lies outside its 320 x 240 image"),
        ({"bbox": [NAN, 10, 20, 20]}, " has bbox [nan, 10, 20, 20], not [x, y, width, height]"),
        ({"bbox": [1, 2]}, " has bbox [1, 2], not"),
        ({"bbox": {"x": 1}}, " has bbox {'x': 1}, not"),
        ({"score": NAN}, ": score nan is no number"),
        ({"score": None}, ": score None is no number"),
    ],
)
def test_detections(people, change, message):
    folder, content = people
    save(folder, content)
    box = {"image_id": 3, "category_id": 1, "bbox": [10.0, 20.0, 60.0, 100.0], "score": 0.75}
    (folder / "boxes.json").write_text(json.dumps([box, {**box, **change}]))
    line = complaint(folder, content, boxes=folder / "boxes.json")
    assert f"boxes.json: detection number 1{message}" in line


def test_detections_partly_outside_stay_as_they_are(people):
    """mmpose does not cut detections: the detector knew the image's border."""
    folder, content = people
    save(folder, content)
    box = {"image_id": 3, "category_id": 1, "bbox": [-10.0, 20.0, 60.0, 400.0], "score": 0.75}
    (folder / "boxes.json").write_text(json.dumps([box]))
    person = open_people(folder, boxes=folder / "boxes.json").people.get_data_info(0)
    assert person["bbox"].tolist() == [[-10, 20, 50, 420]]


def test_images_without_annotations(people):
    """image_info_test-dev2017.json: no annotations, and categories without keypoints."""
    folder, content = people
    box = {"image_id": 3, "category_id": 1, "bbox": [10.0, 20.0, 60.0, 100.0], "score": 0.75}
    (folder / "boxes.json").write_text(json.dumps([box, {**box, "image_id": 5}]))
    listed = {"images": content["images"], "categories": [{"id": 1, "name": "person"}]}
    save(folder, listed)
    data = open_people(folder, boxes=folder / "boxes.json")
    assert [int(data[i]["image_id"]) for i in range(2)] == [3, 5]
    assert (data.counts["people"], data.category_id) == (2, 1)
    assert "`annotations` is missing" in complaint(folder, listed)
    assert "`images` is missing" in complaint(folder, {"info": {}}, boxes=folder / "boxes.json")
