"""The embedded people: their labels, their left and right, and the folder they are written to."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from apps.pose.people import contact_sheet, dataset, draw_scene, make_people
from apps.pose.people.__main__ import main
from apps.pose.people.canvas import OBJECT, Canvas
from apps.pose.people.labels import OWN, THROUGH, annotate, label_keypoints
from apps.pose.people.outfit import sample_outfit
from apps.pose.people.poses import POSES, sample_pose, stand
from apps.pose.people.scene import Spot, paint_figure, paint_scene, stand_at
from apps.pose.people.shapes import PARTS, PERSON
from apps.pose.people.skeleton import KEYPOINTS, Body, Build, turn
from core.errors import InputError

TRAIN, VAL, SEED = 10, 4, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_people(tmp_path_factory.mktemp("people") / "set", TRAIN, VAL, SEED, workers=2)


def standing(yaw: float):
    """A painted person who stands still, at a yaw in degrees: canvas and figure."""
    rng = np.random.default_rng(3)
    body, canvas = Body(Build.sample(rng), stand(rng)), Canvas(240, 240)
    light = np.array([-0.6, -0.8])
    figure = stand_at(body, Spot(120, 230, 200), turn(1, yaw), light, sample_outfit(rng))
    paint_figure(canvas, 0, figure)
    return canvas, figure


def keypoints(yaw: float) -> dict[str, np.ndarray]:
    canvas, figure = standing(yaw)
    return dict(zip(KEYPOINTS, label_keypoints(figure, 0, canvas.owners), strict=True))


def await_end_of_drawing(folder, seconds: float = 5.0) -> bool:
    """Whether the number of files in a folder comes to rest."""
    end, count = time.monotonic() + seconds, -1
    while time.monotonic() < end:
        before, count = count, sum(1 for _ in folder.rglob("*"))
        if before == count:
            return True
        time.sleep(0.3)
    return False


def files(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_scene_is_a_function_of_its_key():
    image, labels = draw_scene(1, "train", 4)
    again, same = draw_scene(1, "train", 4)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert np.array_equal(image, again)
    assert labels == same
    for other in ((1, "val", 4), (1, "train", 5), (2, "train", 4)):
        assert not np.array_equal(image, draw_scene(*other)[0])


def test_workers_and_counts_change_no_image(root, tmp_path):
    alone = make_people(tmp_path / "alone", TRAIN, VAL, SEED, workers=1)
    assert files(alone) == files(root)
    fewer = make_people(tmp_path / "fewer", 3, 1, SEED, workers=1)
    for name, content in files(fewer / "images").items():
        assert (root / "images" / name).read_bytes() == content


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_json_is_coco(root, split):
    pycocotools = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = pycocotools.COCO(str(root / "annotations" / f"{split}.json"))
    assert len(coco.imgs) == {"train": TRAIN, "val": VAL}[split]
    assert coco.cats[1]["keypoints"] == list(KEYPOINTS)
    assert coco.cats[1]["skeleton"][0] == [16, 14]  # one-based, as COCO's own
    for image in coco.imgs.values():
        pixels = cv2.imread(str(root / "images" / split / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)
        assert coco.getAnnIds(imgIds=[image["id"]], catIds=[1], iscrowd=0)
    for annotation in coco.anns.values():
        check_annotation(annotation, coco.imgs[annotation["image_id"]])


def check_annotation(annotation: dict, image: dict) -> None:
    x, y, v = np.array(annotation["keypoints"]).reshape(17, 3).T
    assert set(v) <= {0, 1, 2}
    assert annotation["num_keypoints"] == (v > 0).sum() > 0
    assert np.all((x[v == 0] == 0) & (y[v == 0] == 0))
    assert np.all((x >= 0) & (x < image["width"]) & (y >= 0) & (y < image["height"]))
    left, top, width, height = annotation["bbox"]
    assert left >= 0
    assert top >= 0
    assert left + width <= image["width"]
    assert top + height <= image["height"]
    assert 0 < annotation["area"] <= width * height


def test_train_and_val_differ(root):
    train, val = files(root / "images" / "train"), files(root / "images" / "val")
    assert not set(train.values()) & set(val.values())


def test_visible_joints_are_on_their_own_person():
    seen = hidden = 0
    for index in range(25):
        scene = paint_scene(np.random.default_rng(index))
        for person, figure in enumerate(scene.figures):
            labels = label_keypoints(figure, person, scene.canvas.owners)
            for name, (x, y, v) in zip(KEYPOINTS, labels, strict=True):
                if v == 2:
                    owner = int(scene.canvas.owners[round(y), round(x)])
                    assert owner // PERSON == person + 1
                    assert PARTS[owner % PERSON] in OWN[name] + THROUGH.get(name, ())
            seen, hidden = seen + (labels[:, 2] == 2).sum(), hidden + (labels[:, 2] == 1).sum()
    assert 0.65 < seen / (seen + hidden) < 0.92


def test_left_is_right_of_right_seen_from_the_front_and_left_of_it_from_behind():
    front, back = keypoints(0), keypoints(180)
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert front[f"left_{joint}"][0] > front[f"right_{joint}"][0]
        assert back[f"left_{joint}"][0] < back[f"right_{joint}"][0]
        assert front[f"left_{joint}"][2] == back[f"right_{joint}"][2] == 2


def test_the_face_is_labelled_where_it_can_be_seen():
    assert all(keypoints(0)[name][2] == 2 for name in KEYPOINTS[:5])
    assert all(keypoints(180)[name][2] == 0 for name in KEYPOINTS[:3])
    profile = keypoints(90)  # facing the right of the image: the person's right side is near
    assert profile["nose"][0] > profile["right_ear"][0]
    assert profile["right_eye"][2] == 2
    assert profile["left_eye"][2] != 2
    assert profile["left_ear"][2] == 0


def test_the_far_side_of_a_profile_is_occluded():
    profile = keypoints(90)
    assert profile["right_shoulder"][2] == profile["right_knee"][2] == 2
    assert profile["left_shoulder"][2] == profile["left_hip"][2] == 1


def test_an_object_in_front_of_a_joint_hides_it():
    canvas, figure = standing(0)
    before = annotate(figure, 0, canvas.owners)
    x, y, v = keypoints(0)["left_knee"]
    assert v == 2
    canvas.box(x - 5, y - 5, x + 5, y + 5, (0, 0, 0), OBJECT)
    after = annotate(figure, 0, canvas.owners)
    changed = np.flatnonzero(np.array(before["keypoints"]) != np.array(after["keypoints"]))
    assert changed.tolist() == [3 * KEYPOINTS.index("left_knee") + 2]
    assert after["keypoints"][changed[0]] == 1
    assert after["area"] < before["area"]


def test_a_nearer_person_hides_one_behind():
    canvas, figure = standing(0)
    paint_figure(canvas, 1, figure)  # at the very same place
    assert annotate(figure, 0, canvas.owners)["area"] == 0
    assert not (label_keypoints(figure, 0, canvas.owners)[:, 2] == 2).any()


def test_joints_outside_the_image_are_not_labelled():
    canvas, figure = standing(0)
    knee = keypoints(0)["left_knee"][1]
    labels = label_keypoints(figure, 0, canvas.owners[: int(knee) - 4])
    assert not labels[-4:].any()
    assert labels[5:13, 2].all()


def test_limbs_keep_their_lengths_in_every_pose():
    rng = np.random.default_rng(0)
    build = Build.sample(rng)
    names = set()
    for _ in range(300):
        pose = sample_pose(rng)
        names.add(pose.name)
        joints = Body(build, pose).joints
        for first, last, length in (
            ("shoulder", "elbow", build.arm[0]),
            ("elbow", "wrist", build.arm[1]),
            ("hip", "knee", build.leg[0]),
            ("knee", "ankle", build.leg[1]),
        ):
            bone = joints[f"left_{first}"] - joints[f"left_{last}"]
            assert np.linalg.norm(bone) == pytest.approx(length * build.height)
    assert len(names) >= len(POSES) - 2


def test_a_complete_set_is_used_again(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert make_people(root, TRAIN, VAL, SEED) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_an_interrupted_set_does_not_look_complete(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "_coco", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_people(tmp_path / "set", 4, 2, workers=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert (make_people(tmp_path / "set", 4, 2, workers=1) / dataset.MANIFEST).is_file()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_leaves_the_wanted_folder_untouched(tmp_path):
    arguments = (tmp_path / "set", 4000, 10, SEED, 2)
    process = multiprocessing.get_context("fork").Process(target=make_people, args=arguments)
    process.start()
    while process.is_alive() and not list(tmp_path.glob(".set.partial-*/images/train/*.jpg")):
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert await_end_of_drawing(tmp_path), "the workers outlive their parent"
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.rglob(dataset.MANIFEST))


def test_the_loser_of_a_race_uses_what_the_winner_made(root, tmp_path, monkeypatch):
    target = tmp_path / "set"
    write = dataset._write

    def beaten(folder, **arguments):
        write(folder, **arguments)
        monkeypatch.setattr(dataset, "_write", write)
        make_people(target, 3, 1, workers=1)  # another process is done first

    monkeypatch.setattr(dataset, "_write", beaten)
    assert make_people(target, 3, 1, workers=1) == target
    assert list(tmp_path.iterdir()) == [target]


def test_other_folders_are_refused(root, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        make_people(tmp_path, 3, 1)
    with pytest.raises(InputError, match=r"'seed': 5.*'seed': 6"):
        make_people(root, TRAIN, VAL, SEED + 1)
    with pytest.raises(InputError, match="at least"):
        make_people(tmp_path / "none", 0, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_missing_images_are_reported(tmp_path):
    folder = make_people(tmp_path / "set", 3, 1, workers=1)
    (folder / "images" / "train" / "000001.jpg").unlink()
    with pytest.raises(InputError, match="2 of 3"):
        make_people(folder, 3, 1)


def test_the_command_line_writes_sheet_and_set(command, tmp_path):
    words = ["--root", tmp_path / "set", "--train", 2, "--val", 1, "--workers", 1]
    assert command(main, "write", *words).returncode == 0
    done = command(main, "sheet", "--out", tmp_path / "people.png", "--skeletons")
    assert done.returncode == 0, done.output
    document = json.loads((tmp_path / "set" / "annotations" / "train.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["000000.jpg", "000001.jpg"]
    assert cv2.imread(str(tmp_path / "people.png")).shape[1] == 1600


def test_a_sheet_with_skeletons_differs_from_one_without():
    plain = contact_sheet(rows=1, columns=2, width=400)
    labelled = contact_sheet(rows=1, columns=2, width=400, skeletons=True)
    assert plain.size == labelled.size
    assert not np.array_equal(plain, labelled)
