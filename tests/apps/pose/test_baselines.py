"""The median pose, by hand, and through the command."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("mmpose")

from apps.pose.evaluation import baselines

NAMES = ["head", "foot"]


def person(number, box, shares, visible=2):
    """An annotation with both keypoints at these shares of the box."""
    x, y, width, height = box
    points = [(x + a * width, y + b * height, visible) for a, b in shares]
    values = [value for point in points for value in point]
    fields = {"id": number, "image_id": 0, "category_id": 1, "iscrowd": 0, "num_keypoints": 2}
    return {**fields, "bbox": box, "area": width * height, "keypoints": values}


def write(path, people):
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}
    image = {"id": 0, "file_name": "none.png", "width": 400, "height": 400}
    path.write_text(
        json.dumps({"images": [image], "annotations": people, "categories": [category]})
    )


def test_the_median_pose(tmp_path, monkeypatch, capsys):
    """Of three people the middle one; a person in that pose is right, and one far from it wrong."""
    poses = {0.2: (0.1, 0.9), 0.3: (0.2, 0.8), 0.9: (0.0, 0.7)}
    boxes = [[10, 20, 100, 200], [150, 30, 50, 300], [220, 10, 150, 60]]
    people = [
        person(i, box, [(x, ys[0]), (x, ys[1])])
        for i, (box, (x, ys)) in enumerate(zip(boxes, poses.items(), strict=True))
    ]
    hidden = person(9, [10, 20, 100, 200], [(0.9, 0.9), (0.9, 0.9)])
    hidden["keypoints"][:3] = [0, 0, 0]
    hidden["num_keypoints"] = 1
    write(tmp_path / "train.json", [*people, hidden])
    right = person(1, [30, 40, 200, 100], [(0.3, 0.1), (0.6, 0.85)])
    wrong = person(2, [30, 40, 200, 100], [(0.9, 0.9), (0.0, 0.0)])
    write(tmp_path / "val.json", [right, wrong])
    words = ["--data.train-json", "train.json", "--data.val-json", "val.json"]
    words += ["--data.train-images", ".", "--data.val-images", "."]
    monkeypatch.setattr(sys, "argv", ["x", "demo", "--data.root", str(tmp_path), *words])
    (tmp_path / "none.png").touch()  # nobody looks into it
    seen = []
    pose_of = baselines.median_pose
    monkeypatch.setattr(
        baselines, "median_pose", lambda dataset: seen.append(pose_of(dataset)) or seen[0]
    )
    baselines.main()
    # x of three heads 0.2 0.3 0.9, of four feet 0.2 0.3 0.9 0.9
    np.testing.assert_allclose(seen[0], [[0.3, 0.1], [0.6, 0.85]], atol=1e-6)
    assert "PCK@0.2 box    0.5000" in capsys.readouterr().out


def test_of_joined_sets(tmp_path, monkeypatch, capsys):
    """On the keypoints that data.keypoints leaves, wherever they are among the network's."""
    people = [person(i, [10, 20, 100, 200], [(0.2, 0.1), (0.5, 0.8)]) for i in range(3)]
    far = person(9, [10, 20, 100, 200], [(0.9, 0.9), (0.5, 0.8)])  # its foot is right
    write(tmp_path / "train.json", people)
    write(tmp_path / "val.json", [far])
    (tmp_path / "none.png").touch()
    names = {"train_json": "train.json", "val_json": "val.json"}
    folders = {"train_images": ".", "val_images": "."}
    (tmp_path / "own.yaml").write_text(json.dumps(names | folders | {"root": "."}))
    words = ["--data.sets", str(tmp_path / "own.yaml"), "--data.keypoints"]
    for keypoints, right in (("foot", 1.0), ("foot,head", 0.5)):
        monkeypatch.setattr(sys, "argv", ["x", "demo", *words, keypoints])
        baselines.main()
        assert f"PCK@0.2 box    {right:.4f}" in capsys.readouterr().out
