"""What converters write into keypoint jsons: taken with its right value, or refused by its name."""

from __future__ import annotations

import codecs
import json
import math
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmpose")

from apps.pose.config import AugmentConfig, ModelConfig
from apps.pose.data.dataset import PoseDataset, read_image
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.records.annotations import check_detections, read_coco, read_images, read_truth
from apps.pose.data.records.mending import COVERED, Mender, box_around
from apps.pose.evaluation.inference import People, to_results
from apps.pose.evaluation.metrics import coco_ap, one_category
from core.data.loading import BadSample
from core.errors import InputError

K = 3
SIGMAS = (0.05,) * K
POINTS = [20, 20, 2, 60, 30, 1, 40, 90, 2]
MODEL = ModelConfig("mixer_c16_l1_p16", (64, 48), sigma=3.0)


def content(people=1, **fields):
    """A person in an image of 120 x 100 each, with these fields in the annotation."""
    person = {"category_id": 1, "iscrowd": 0, "bbox": [10, 10, 60, 85], "area": 2000.0}
    person |= {"num_keypoints": K, "keypoints": POINTS, **fields}
    sizes = {"width": 120, "height": 100}
    return {
        "images": [{"id": i, "file_name": f"{i}.png", **sizes} for i in range(people)],
        "annotations": [{"id": 10 + i, "image_id": i, **person} for i in range(people)],
        "categories": [{"id": 1, "name": "fish", "keypoints": ["0", "1", "2"]}],
    }


def save(folder, value, name="val.json"):
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def mended(value):
    """The first person, and how many of each kind were mended."""
    mender = Mender("val.json", K)
    person = mender.content(value)["annotations"][0]
    return person, {kind: n for kind, n in mender.mended.items() if n}


def refusal(value):
    with pytest.raises(InputError) as error:
        Mender("val.json", K).content(value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_right_stays_as_it_is():
    value = content()
    assert mended(value) == (value["annotations"][0], {})


@pytest.mark.parametrize("area", [0, 1, 0.4, -3, 60000])
def test_areas_that_no_person_has_are_those_of_a_missing_area(area):
    person, kinds = mended(content(area=area))
    assert person["area"] == pytest.approx(COVERED * 60 * 85)
    assert kinds == {"area": 1}


def test_what_may_be_missing_is_filled_in_without_a_word():
    value = content(iscrowd=None, area=None)
    del value["annotations"][0]["num_keypoints"]
    person, kinds = mended(value)
    assert (person["num_keypoints"], person["iscrowd"], kinds) == (K, 0, {})
    assert person["area"] == pytest.approx(COVERED * 60 * 85)


def test_num_keypoints_is_counted():
    assert mended(content(num_keypoints=0))[0]["num_keypoints"] == K
    assert mended(content(num_keypoints="0"))[1] == {"counted": 1}


@pytest.mark.parametrize("box", [None, [], [0, 0, 0, 0]])
def test_a_missing_box_is_made_of_the_keypoints(box):
    person, kinds = mended(content(bbox=box, area=None))
    assert person["bbox"] == [15, 11.25, 50, 87.5]  # 20 to 60, 20 to 90, an eighth more each way
    assert kinds == {"bbox": 1}
    assert box_around([0, 0, 2, 100, 50, 1, 5, 5, 0], (100, 60)) == [0, 0, 100, 56.25]
    nobody = content(bbox=box, keypoints=[0] * 9, num_keypoints=0)
    assert mended(nobody)[0]["bbox"] == [0, 0, 0, 0]


def test_keypoints_in_triples_and_nulls_that_are_not_labelled():
    nested = [POINTS[i : i + 3] for i in (0, 3, 6)]
    assert mended(content(keypoints=nested)) == (content()["annotations"][0], {"nested": 1})
    empty = [None, None, 0, *POINTS[3:6], math.nan, 5, 0]
    person, kinds = mended(content(keypoints=empty, num_keypoints=1))
    assert person["keypoints"] == [0, 0, 0, *POINTS[3:6], 0, 0, 0]
    assert kinds == {"empty": 2}


def test_whole_numbers_as_pandas_writes_them():
    value = content(image_id=0.0, category_id=1.0)
    value["images"][0]["width"] = 120.0
    person, kinds = mended(value)
    assert [type(person[name]) for name in ("image_id", "category_id")] == [int, int]
    assert kinds == {"whole": 3}


SHARES = [0.2, 0.2, 2, 0.5, 0.3, 1, 0.3, 0.9, 2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keypoints": SHARES}, "all keypoints lie from 0 to 1, as shares of the image"),
        ({"bbox": [0.1, 0.1, 0.5, 0.85]}, "all boxes lie from 0 to 1"),
        ({"bbox": [18, 18, 70, 97], "area": None}, "all boxes look like two corners"),
    ],
)
def test_other_units_than_pixels_are_refused(fields, message):
    assert message in refusal(content(3, **fields))


def test_units_are_told_from_all_people_together():
    """One person in a corner, and boxes that leave the image, are no other unit."""
    value = content(3, bbox=[18, 18, 70, 97], area=None)
    value["annotations"][1]["keypoints"] = [0, 0, 2, 0.5, 0, 1, 0, 1, 2]
    assert mended(value)[0]["bbox"] == [18, 18, 70, 97]
    value = content(3, bbox=[50, 10, 80, 85])  # 8 % wider than the image, as drawn by hand
    assert mended(value)[0]["bbox"] == [50, 10, 80, 85]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "1"}, "annotation number 0: id is '1', no whole number"),
        ({"id": 2**70}, "annotation number 0: id is 1180591620717411303424, no whole number"),
        ({"area": 10**400}, "annotation 10: area is 1000"),
        ({"image_id": "0"}, "annotation 10: image_id is '0', no whole number"),
        ({"image_id": 7}, "annotation 10 is of image 7, which the json does not list"),
        ({"category_id": "fish"}, "annotation 10: category_id is 'fish', no whole number"),
        ({"category_id": None}, "annotation 10: category_id is None, no whole number"),
        ({"category_id": 9}, "annotation 10: category_id is 9, and the json's categories are 1"),
        ({"iscrowd": "0"}, "annotation 10: iscrowd is '0', not 0 or 1"),
        ({"area": "2000"}, "annotation 10: area is '2000', no number of pixels"),
        ({"area": math.nan}, "annotation 10: area is nan, no number of pixels"),
        ({"bbox": ["1", 2, 3, 4]}, "annotation 10 has bbox ['1', 2, 3, 4], not [x, y, width"),
        ({"bbox": "1 2 3 4"}, "annotation 10 has bbox '1 2 3 4', not"),
        ({"keypoints": ["20", *POINTS[1:]]}, "annotation 10: keypoints has '20', which is no"),
        ({"keypoints": "20 20 2"}, "annotation 10: keypoints is '20 20 2', no list"),
        ({"keypoints": POINTS[:6]}, "annotation 10 has 6 keypoint values, not 3 x 3 numbers"),
        ({"keypoints": [[20, 20], [1, 1], [2, 2]]}, "annotation 10: keypoints has [20, 20]"),
    ],
)
def test_what_is_refused_of_an_annotation(fields, message):
    line = refusal(content(**fields))
    assert line.startswith(f"val.json: {message}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": "120"}, "image 0 (0.png): width is '120', no whole number"),
        ({"height": None}, "image 0 (0.png): height is None, no whole number"),
        ({"height": 0}, "image 0 (0.png): height is 0"),
        ({"width": math.nan}, "image 0 (0.png): width is nan, no whole number"),
        ({"file_name": 1}, "image 0: file_name is 1, no name of a file"),
        ({"file_name": None}, "image 0: file_name is None, no name of a file"),
        ({"id": None}, "image number 0: id is None, no whole number"),
    ],
)
def test_what_is_refused_of_an_image(fields, message):
    value = content()
    value["images"][0] |= fields
    assert message in refusal(value)


def test_records_that_are_none_and_keypoints_of_a_category_without():
    assert "annotation number 0 is None" in refusal({**content(), "annotations": [None]})
    value = content(category_id=2)
    value["categories"].append({"id": 2, "name": "boat"})
    assert "annotation 10 has keypoints, and its category 2 ('boat') has none" in refusal(value)
    value["categories"][1]["id"] = 1
    assert "two categories have the id 1" in refusal(value)


def test_a_line_says_what_was_mended(tmp_path):
    value, said = content(3, area=0, num_keypoints=0), []
    path = save(tmp_path, value)
    read_coco(path, K, report=said.append)
    assert said == [
        f"{path}: mended: 3 x area 0, 1 or larger than its box: 0.53 of the box; "
        "3 x num_keypoints other than the labelled keypoints: counted"
    ]


def test_a_byte_order_mark(tmp_path):
    path = save(tmp_path, content())
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    folder = pictures(tmp_path, 1)
    assert len(open_people(path, folder)) == 1


def pictures(folder, count, size=(120, 100), **options):
    for i in range(count):
        Image.new("RGB", size, (90, 90, 90)).save(folder / f"{i}.png", **options)
    return folder


def open_people(path, folder, **options):
    return PoseDataset(path, folder, KeypointSet.of(["0", "1", "2"]), MODEL, **options)


def perfect(data, truth):
    """COCO results of a network that is right to the pixel's fraction, as float32 rounds it."""
    people = [data.people.get_data_info(i) for i in range(len(data))]
    points = np.concatenate([p["keypoints"] for p in people]).astype(np.float32)
    count = len(people)
    ids = (np.array([p[name] for p in people]) for name in ("img_id", "id"))
    found = People(points, np.ones((count, K)), *ids, np.ones(count), *np.ones((2, count, 2)))
    return coco_ap(truth, to_results(found, data), SIGMAS)["AP"]


@pytest.mark.parametrize("fields", [{"area": 0}, {"area": 1}, {"num_keypoints": 0}, {"bbox": None}])
def test_perfect_keypoints_have_an_ap_of_one(tmp_path, fields):
    shifted = [v + 0.123 if v > 2 else v for v in POINTS]
    path = save(tmp_path, content(3, keypoints=shifted, **fields))
    data = open_people(path, pictures(tmp_path, 3))
    assert len(data) == 3
    assert perfect(data, read_truth(path, K)) == 1


def test_categories_with_the_same_keypoints(tmp_path):
    value = content(4)
    value["categories"] = [{**value["categories"][0], "id": i} for i in (5, 6, 9)]
    for annotation, category in zip(value["annotations"], (5, 6, 6, 9), strict=True):
        annotation["category_id"] = category
    path = save(tmp_path, value)
    data = open_people(path, pictures(tmp_path, 4))
    truth = read_truth(path, K)
    assert perfect(data, truth) == 1
    alike = one_category(truth, 5)
    results = [{**r, "category_id": 5} for r in results_of(truth)]
    assert coco_ap(alike, results, SIGMAS)["AP"] == 1
    assert coco_ap(truth, results, SIGMAS)["AP"] < 1


def results_of(truth):
    keys = ("image_id", "keypoints")
    return [{**{k: a[k] for k in keys}, "score": 1.0} for a in truth["annotations"]]


def test_names_without_left_and_right_are_not_mirrored(tmp_path):
    path = save(tmp_path, content())
    numbered = KeypointSet.read(path)
    assert not numbered.can_mirror
    folder, augment = pictures(tmp_path, 1), AugmentConfig(1.0, 0.0, (1.0, 1.0), 0.0, 0.0)
    item = open_people(path, folder, train=True, augment=augment)[0]
    still = open_people(path, folder, train=True, augment=replace(augment, flip=0.0))[0]
    assert item["target_x"].equal(still["target_x"])
    (tmp_path / "k.yaml").write_text("flip_pairs: []")
    assert KeypointSet.read(path, tmp_path / "k.yaml").can_mirror  # each is its own mirror image
    (tmp_path / "k.yaml").write_text("flip_pairs: [[1, 3]]")
    assert KeypointSet.read(path, tmp_path / "k.yaml").can_mirror


def test_a_yaml_replaces_names_and_skeletons_that_cannot_be_used(tmp_path):
    (tmp_path / "k.yaml").write_text("names: [a, b, c]\nskeleton: [[1, 2]]")
    value = content()
    for names, skeleton in (([0, 1, 2], []), (["x", "x", "x"], [[0, 1]]), (["x"] * 3, "none")):
        value["categories"][0] |= {"keypoints": names, "skeleton": skeleton}
        path = save(tmp_path, value)
        keypoints = KeypointSet.read(path, tmp_path / "k.yaml", [path])
        assert (keypoints.names, keypoints.skeleton) == (("a", "b", "c"), ((0, 1),))
    del value["categories"][0]["keypoints"]
    keypoints = KeypointSet.read(save(tmp_path, value), tmp_path / "k.yaml")
    assert (keypoints.names, mended(value)[1]) == (("a", "b", "c"), {})
    value["categories"][0]["keypoints"] = ["a", "b"]
    with pytest.raises(InputError, match=r"3 names, but the people of .* have 2 keypoints"):
        KeypointSet.read(save(tmp_path, value), tmp_path / "k.yaml")


@pytest.mark.parametrize("name", ["caf\u00e9.png", "sub\\0.png", "sub\\caf\u00e9.png"])
def test_names_of_other_systems(tmp_path, name):
    place = tmp_path / unicodedata.normalize("NFD", name).replace("\\", "/")
    place.parent.mkdir(exist_ok=True)
    Image.new("RGB", (120, 100)).save(place)
    value, said = content(), []
    value["images"][0]["file_name"] = name
    path = save(tmp_path, value)
    data = open_people(path, tmp_path, report=said.append)
    assert Path(data.people.get_data_info(0)["img_path"]) == place
    assert "mended: 1 x file_name" in said[0]


def test_two_spellings_of_one_name_are_one_image(tmp_path):
    (tmp_path / "sub").mkdir()
    pictures(tmp_path / "sub", 1)
    value = content()
    image = value["images"][0]
    value["images"] = [{**image, "id": i, "file_name": f"sub{s}0.png"} for i, s in enumerate("/\\")]
    with pytest.raises(InputError, match=r"sub/0\.png is listed twice"):
        read_coco(save(tmp_path, value), K, tmp_path)


def test_names_of_other_systems_in_a_json_of_images_alone(tmp_path):
    (tmp_path / "sub").mkdir()
    pictures(tmp_path / "sub", 1)
    image, said = {**content()["images"][0], "file_name": "sub\\0.png"}, []
    images = read_images(save(tmp_path, {"images": [image]}), tmp_path, said.append)["images"]
    assert images[0]["file_name"] == "sub/0.png"
    assert "mended: 1 x file_name" in said[0]


def turned(folder, points):
    """A json of the stored size, 120 x 100, of a picture that EXIF makes 100 x 120."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures(folder, 1, exif=exif)
    return save(folder, content(keypoints=points, bbox=[10, 10, 60, 85]))


def test_sizes_of_before_the_exif_turn(tmp_path):
    said = []
    path = turned(tmp_path, [20, 20, 2, 60, 30, 1, 40, 115, 2])
    data = open_people(path, tmp_path, report=said.append)
    assert "mended: 1 x size of before the EXIF turn" in said[0]
    assert data.people.get_data_info(0)["img_shape"] == (120, 100)
    assert data[0]["image"].shape == (3, 64, 48)
    assert read_truth(path, K, folder=tmp_path)["images"][0]["height"] == 120


@pytest.mark.parametrize("points", [POINTS, [115, 20, 2, 60, 30, 1, 40, 90, 2]])
def test_a_turn_that_the_keypoints_do_not_tell_is_refused(tmp_path, points):
    with pytest.raises(InputError, match=r"0.png, have the size \(120 x 100\) of before their EX"):
        open_people(turned(tmp_path, points), tmp_path)


def test_a_turn_is_no_matter_where_nobody_is_labelled(tmp_path):
    path = turned(tmp_path, [0] * 9)
    assert read_coco(path, K, tmp_path)["images"][0]["height"] == 100


def test_images_of_16_bits_and_floats(tmp_path):
    levels = np.linspace(0, 65535, 100, dtype=np.uint16).reshape(10, 10)
    for suffix in ("png", "tif"):
        Image.fromarray(levels).save(tmp_path / f"a.{suffix}")
        image = read_image(tmp_path / f"a.{suffix}")
        assert np.array_equal(
            image, np.round(levels / 257).astype(np.uint8)[..., None].repeat(3, 2)
        )
    Image.fromarray(np.float32(levels) / 65535).save(tmp_path / "f.tif")
    with pytest.raises(BadSample, match="32-bit float image has no agreed range"):
        read_image(tmp_path / "f.tif")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_id": "0"}, "of image '0', which"),
        ({"image_id": [0]}, r"of image \[0\], which"),
        ({"bbox": ["1", "2", "3", "4"]}, r"has bbox \['1', '2', '3', '4'\], not"),
        ({"score": "0.5"}, "score '0.5' is no number"),
        ({"score": True}, "score True is no number"),
    ],
)
def test_what_is_refused_of_a_detection(tmp_path, fields, message):
    box = {"image_id": 0, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}
    path = save(tmp_path, [{**box, **fields}])
    with pytest.raises(InputError, match=message):
        check_detections(path, content()["images"])
