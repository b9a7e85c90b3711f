"""CrowdPose, OCHuman, AIC and MPII in their own formats: opened, cut out, measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

pytest.importorskip("mmpose")

from apps.pose import predict as pose_predict
from apps.pose.config import AugmentConfig, DataConfig, ModelConfig, PoseConfig
from apps.pose.data.dataset import crop_box
from apps.pose.data.formats import keypoint_set
from apps.pose.data.joining import join
from apps.pose.data.keypoints import COCO_NAMES, COCO_SIGMAS, KeypointSet
from apps.pose.data.mpii import head_sizes, mpii_truth, read_mpii
from apps.pose.data.records.mending import COVERED
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import People
from apps.pose.evaluation.metrics import coco_ap, coco_results, crowd_ap
from apps.pose.evaluation.pck import PARTS, pckh
from apps.pose.evaluation.protocol import compute_metrics, report_tables
from core.config import save_config
from core.errors import InputError
from core.training.session import Session
from tests.apps.pose.toys import SIMCC, make_run, network

MODEL = ModelConfig("mixer_c16_l1_p16", (64, 48), sigma=3.0)
STILL = AugmentConfig(flip=0, half_body=0, scale=(1, 1), rotation=0, shift=0)
FILES = {
    "train_json": "val.json",
    "train_images": "images",
    "val_json": "val.json",
    "val_images": "images",
}
COCO_LIKE = pytest.mark.parametrize("format", ["crowdpose", "ochuman", "aic"])


def opened(root, format, **data):
    config = PoseConfig(data=DataConfig(root=str(root), format=format, **FILES, **data))
    return PoseData(replace(config, model=MODEL, augment=STILL), Session())


def write_coco_like(root, format):
    """Three images with two people each, as the data set's json has them."""
    rng, keypoints = np.random.default_rng(0), keypoint_set(format, "")
    count, content = len(keypoints), {"images": [], "annotations": [], "categories": []}
    (root / "images").mkdir(parents=True)
    for i in range(3):
        name = f"{100 + i}.jpg"
        Image.new("RGB", (200, 160), (40 * i, 90, 90)).save(root / "images" / name)
        image = {"id": 100 + i, "file_name": name, "width": 200, "height": 160}
        content["images"].append(image | ({"crowdIndex": 0.4 * i} if format == "crowdpose" else {}))
        for k in range(2):
            points = rng.uniform(20, 140, (count, 2)).round(1)
            visible = rng.integers(1, 3, count)
            person = {
                "id": 10 * i + k,
                "image_id": 100 + i,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [18.0, 18.0, 124.0, 124.0],
                "num_keypoints": count,
                "keypoints": np.c_[points, visible].ravel().tolist(),
            }
            content["annotations"].append(
                person | ({"area": 5000.0} if format == "ochuman" else {})
            )
    names = {} if format == "aic" else {"keypoints": list(keypoints.names), "skeleton": []}
    content["categories"] = [{"id": 1, "name": "person", **names}]
    (root / "val.json").write_text(json.dumps(content))
    return content


def perfect(data, noise=0.0):
    """`People` who are where they are annotated, up to noise."""
    rng = np.random.default_rng(1)
    truth = data.truth["annotations"]
    points = np.array([np.reshape(a["keypoints"], (-1, 3))[:, :2] for a in truth])
    count = len(truth)
    return People(
        keypoints=points + noise * rng.standard_normal(points.shape),
        scores=np.ones(points.shape[:2]),
        image_id=np.array([a["image_id"] for a in truth]),
        annotation=np.array([a["id"] for a in truth]),
        box_score=np.ones(count),
        center=np.full((count, 2), 80.0),
        scale=np.full((count, 2), 155.0),
    )


def results_of(people):
    return coco_results(people.keypoints, people.scores, people.image_id, people.box_score)


def test_known_keypoints():
    crowdpose, aic, mpii = (keypoint_set(f, "") for f in ("crowdpose", "aic", "mpii"))
    ochuman = keypoint_set("ochuman", "")
    assert (len(crowdpose), len(aic), len(mpii), len(ochuman)) == (14, 14, 16, 17)
    assert (ochuman.names, ochuman.sigmas) == (COCO_NAMES, COCO_SIGMAS)
    # The evaluation code of CrowdPose and that of AI Challenger, whose deltas are twice the sigmas.
    hands = [0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107]
    assert list(crowdpose.sigmas) == [*hands, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079]
    assert aic.sigmas[:3] == (0.01388152, 0.01515228, 0.01057665)
    assert mpii.sigmas is None
    for keypoints in (crowdpose, aic, mpii):
        for name, partner in zip(keypoints.names, keypoints.swap, strict=True):
            mirrored = name.replace("left", "?").replace("right", "left").replace("?", "right")
            assert keypoints.names[partner] == mirrored
        assert keypoints.side(keypoints.names.index("left_knee")) == "left"
    with pytest.raises(InputError, match=r"data\.keypoints.*goes with data\.format coco"):
        keypoint_set("aic", "", "mine.yaml")


@COCO_LIKE
def test_coco_like_people(tmp_path, format):
    content = write_coco_like(tmp_path, format)
    data = opened(tmp_path, format)
    dataset = data.val()
    assert dataset.counts["people"] == len(dataset) == 6
    assert [int(dataset[i]["annotation"]) for i in range(6)] == [0, 1, 10, 11, 20, 21]
    item = data.train()[0]
    assert item["weight"].sum() == len(data.keypoints)
    assert item["target_x"].shape == (len(data.keypoints), 96)
    area = COVERED * 124 * 124  # of those who have none
    assert data.truth["annotations"] == [{"area": area, **a} for a in content["annotations"]]


@COCO_LIKE
def test_coco_like_metrics(tmp_path, format):
    write_coco_like(tmp_path, format)
    data = opened(tmp_path, format)
    people = perfect(data)
    assert compute_metrics(data, people, results_of(people))["AP"] == 1
    people = perfect(data, noise={"crowdpose": 12, "ochuman": 4, "aic": 2}[format])
    results = results_of(people)
    found, truth, sigmas = compute_metrics(data, people, results), data.truth, data.keypoints.sigmas
    assert 0 < found["AP"] < 1
    if format == "crowdpose":
        assert found == crowd_ap(truth, results, sigmas)
        assert set(found) > {"AP easy", "AP medium", "AP hard"}
    else:
        assert found == coco_ap(truth, results, sigmas, use_area=format != "aic")
    for annotation in truth["annotations"]:
        annotation["area"] = 0.53 * 124 * 124
    if format != "ochuman":
        assert coco_ap(truth, results, sigmas)["AP"] == found["AP"]
        for annotation in truth["annotations"]:
            annotation["area"] = 9.0  # whatever a json says: nobody has a segment in these sets
        assert compute_metrics(data, people, results)["AP"] == found["AP"]
        assert coco_ap(truth, results, sigmas)["AP"] < found["AP"]
    report = {table.title: table for table in report_tables(data, people, results)}
    assert [row[0] for row in report["Keypoints"].rows[:-1]] == list(data.keypoints.names)
    gain = {row[0]: row[3] for row in report["Errors"].rows}
    assert max(gain.values()) > 0


def test_aic_as_it_is_distributed_by_ai_challenger(tmp_path):
    """Visibility 3 is its "not labelled"; mmpose's converted json has 0, and this says so."""
    content = write_coco_like(tmp_path, "aic")
    content["annotations"][1]["keypoints"][2] = 3
    (tmp_path / "val.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="annotation 1: visibility must be 0, 1 or 2"):
        opened(tmp_path, "aic").val()


def test_a_json_of_another_format(tmp_path):
    write_coco_like(tmp_path, "crowdpose")
    with pytest.raises(InputError, match="has 14 keypoints, but this run is about 17"):
        opened(tmp_path, "ochuman").val()
    with pytest.raises(InputError, match=r"head_boxes .* is no file: PCKh needs mpii_gt_val\.mat"):
        opened(tmp_path, "mpii")


# ---- MPII --------------------------------------------------------------------------------------


def write_mpii(root, people=5):
    """mpii_val.json and mpii_gt_val.mat: everything counts from 1."""
    rng, records = np.random.default_rng(0), []
    (root / "images").mkdir(parents=True)
    for i in range(people):
        Image.new("RGB", (300, 260), (40 * i, 90, 90)).save(root / "images" / f"0{i}5.jpg")
        joints = rng.uniform(40, 200, (16, 2)).round(1)
        visible = np.ones(16, dtype=int)
        visible[i] = 0
        joints[i] = -1
        records.append(
            {
                "image": f"0{i}5.jpg",
                "center": [120.0, 115.0],
                "scale": 0.9,
                "joints": joints.tolist(),
                "joints_vis": visible.tolist(),
            }
        )
    (root / "val.json").write_text(json.dumps(records))
    corners = np.stack([np.full((2, people), 10.0), 10.0 + rng.uniform(20, 60, (2, people))])
    savemat(root / "heads.mat", {"headboxes_src": corners})
    return records, corners


@pytest.fixture
def mpii(tmp_path):
    records, corners = write_mpii(tmp_path)
    return opened(tmp_path, "mpii", head_boxes="heads.mat"), records, corners


def test_mpii_people(mpii):
    """Center and joints count from 0; the crop is 1.25 x 200 x scale, moved down by 15 x scale."""
    data, records, _ = mpii
    dataset = data.val()
    assert dataset.counts == {"images": 5, "annotations": 5, "people": 5}
    item = dataset[2]
    assert (int(item["annotation"]), int(item["image_id"])) == (2, 25)
    assert item["center"].tolist() == pytest.approx([119, 115 + 15 * 0.9 - 1])
    assert item["scale"].tolist() == pytest.approx([225, 300]), "1.25 x 200 x 0.9, made 3 : 4"
    person = dataset.people.get_data_info(2)
    expected = np.array(records[2]["joints"]) - 1
    np.testing.assert_allclose(person["keypoints"][0], expected, atol=1e-4)
    assert person["keypoints_visible"][0].tolist() == records[2]["joints_vis"]


def test_mpii_people_are_predicted_without_inputs(mpii, tmp_path, command):
    """Their json has no annotations of COCO's kind; the boxes are those of the crops."""
    data, *_ = mpii
    run = make_run(tmp_path / "run", network(keypoints=data.keypoints))
    save_config(replace(data.config, model=SIMCC), run / "config.yaml")
    done = command(pose_predict.main, run, "--count", 3)
    assert done.returncode == 0, done.output
    assert "people: annotated boxes" in done.output
    records = json.loads((run / "predictions" / "predictions.json").read_text())
    assert [Path(record["input"]).name for record in records] == ["005.jpg", "025.jpg", "045.jpg"]
    boxes = pose_predict.annotated_people(data.config, Session(), 5).people
    crop = crop_box(
        np.zeros((260, 300, 3), np.uint8), boxes[tmp_path / "images/025.jpg"][0][0], MODEL
    )
    for name in ("center", "scale"):
        np.testing.assert_allclose(crop[name], data.val()[2][name], atol=1e-3)


def test_mpii_training_items(mpii):
    data, records, _ = mpii
    item = data.train()[0]
    assert item["weight"].tolist() == records[0]["joints_vis"]
    assert item["target_x"].shape == (16, 96)
    data.config = replace(data.config, augment=AugmentConfig())
    assert data.train()[1]["image"].shape == (3, 64, 48)


def test_mpii_joined_with_coco(mpii):
    """Its 16 joints go to their names, 12 of them COCO's; none of them can be left out of PCKh."""
    data, records, _ = mpii
    alone, coco = data.train()[0], KeypointSet.of(COCO_NAMES)
    data.join(join({"coco": coco, "mpii": data.keypoints}), "mpii")
    item, places = data.train()[0], list(data.shared.places)
    assert item["target_x"].shape == (17 + 4, 96)
    assert item["weight"][places].tolist() == records[0]["joints_vis"]
    assert item["weight"].sum() == sum(records[0]["joints_vis"])
    assert (item["target_x"][places] == alone["target_x"]).all()
    with pytest.raises(InputError, match=r"mpii: PCKh is over MPII's 16 keypoints, .* has 12 of"):
        data.join(coco, "mpii")


def predicted(data, noise):
    truth, _ = mpii_truth(data.val_json, data.head_boxes)
    points = truth[..., :2] + noise * np.random.default_rng(3).standard_normal((5, 16, 2))
    ones = np.ones(5)
    return People(points, np.ones((5, 16)), ones, np.arange(5), ones, np.ones((5, 2)), None)


def test_pckh_is_mmpose_s(mpii):
    """MpiiPCKAccuracy takes predictions that count from 0 and truth that counts from 1."""
    from apps.pose.data.mmpose_compat import MpiiPCKAccuracy

    data, records, corners = mpii
    people, metric = predicted(data, 12.0), MpiiPCKAccuracy(prefix="mpii")
    heads = 0.6 * np.linalg.norm(corners[1] - corners[0], axis=0)
    for i, record in enumerate(records):
        truth = {
            "keypoints": np.array([record["joints"]]),
            "keypoints_visible": np.array([record["joints_vis"]]),
            "head_size": heads[i].reshape(1, 1),
        }
        found = {"keypoints": people.keypoints[i : i + 1]}
        metric.process([], [{"gt_instances": truth, "pred_instances": found}])
    expected = metric.compute_metrics(metric.results)
    ours = compute_metrics(data, people, [])
    assert 0.2 < ours["PCKh@0.5"] < 0.9
    assert ours["PCKh@0.5"] == pytest.approx(expected["PCK"] / 100)
    assert ours["PCKh@0.1"] == pytest.approx(expected["PCK@0.1"] / 100)
    for part in PARTS:
        assert ours[part] == pytest.approx(expected[f"{part} PCK"] / 100)
    (table,) = report_tables(data, people, [])
    assert dict(zip(table.columns, table.rows[6], strict=True))["part"] == "not counted"
    assert table.rows[9][2] == pytest.approx(ours["Head"])


def test_pckh_by_hand():
    """Heads of 60: half of one is 30 pixels, and a distance of 30 is right."""
    truth = np.zeros((1, 16, 3))
    truth[..., 2] = 1
    points = np.zeros((1, 16, 2))
    points[0, 9], points[0, 12], points[0, 13] = [30, 0], [0, 31], [3, 0]
    points[0, 6:8] = 500  # pelvis and thorax do not count
    found = pckh(points, truth, np.array([60.0]))
    assert (found["Head"], found["Shoulder"], found["Ankle"]) == (1, 0.5, 1)
    assert found["PCKh@0.5"] == pytest.approx(13 / 14)
    assert found["PCKh@0.1"] == pytest.approx(12 / 14)


def test_head_boxes_of_another_split(mpii, tmp_path):
    data, _, corners = mpii
    assert head_sizes(data.head_boxes)[0] == pytest.approx(0.6 * np.hypot(*(corners[1] - 10)[:, 0]))
    savemat(tmp_path / "other.mat", {"headboxes_src": corners[..., :3]})
    with pytest.raises(InputError, match=r"3 head boxes, .* 5 people"):
        mpii_truth(data.val_json, tmp_path / "other.mat")
    savemat(tmp_path / "no.mat", {"boxes": corners})
    (tmp_path / "text.mat").write_text("no matlab")
    for name in ("no.mat", "text.mat"):
        with pytest.raises(InputError, match=r"data\.head_boxes"):
            head_sizes(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[1].pop("center"), "number 1 has no center"),
        (lambda r: r[1].update(joints=[[1, 2]]), "number 1: joints is not"),
        (lambda r: r[1]["joints"][3].__setitem__(0, float("nan")), "number 1: joints is not"),
        (lambda r: r[1]["joints_vis"].__setitem__(3, 2), "joints_vis must be 0 or 1"),
        (lambda r: r[1].update(scale=0), "scale 0 must be above 0"),
        (lambda r: r[1].update(image="a.jpg"), "'a.jpg' is no number"),
        (lambda r: [x.update(image=f"9{x['image']}") for x in r], "none of the first images"),
        (lambda r: r.clear(), "no list of people"),
    ],
)
def test_mpii_errors(tmp_path, change, message):
    records, _ = write_mpii(tmp_path)
    change(records)
    (tmp_path / "val.json").write_text(json.dumps(records))
    with pytest.raises(InputError, match=message) as error:
        opened(tmp_path, "mpii", head_boxes="heads.mat").val()
    assert "\n" not in str(error.value)


def test_mpii_has_no_detection_boxes(mpii):
    with pytest.raises(InputError, match="its own center and scale"):
        mpii[0].val("boxes.json")
    assert len(read_mpii(mpii[0].val_json)) == 5
