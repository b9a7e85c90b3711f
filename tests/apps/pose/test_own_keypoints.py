"""One's own keypoints, from the json to predictions; what is said of definitions that are wrong."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("mmpose")

from apps.pose import eval as pose_eval
from apps.pose import predict as pose_predict
from apps.pose import train as pose_train
from apps.pose.config import EvalConfig, ModelConfig
from apps.pose.data.keypoints import KeypointSet, read_json
from apps.pose.data.records.annotations import ground_truth
from apps.pose.data.sigmas import estimate
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import predict_people
from apps.pose.evaluation.pck import box_size, pck
from apps.pose.models.network import PoseNet
from apps.pose.models.start import start_from
from apps.pose.presets import debug
from core import InputError
from core.training.files.folder import read_metrics
from core.training.session import Session
from tests.apps.pose.fish import NAMES, SIGMAS, make_fish
from tests.apps.pose.toys import COCO, make_run
from tests.core.launch import launch

FILES = {"train_json": "train.json", "val_json": "val.json"}
FILES |= {"train_images": "images", "val_images": "images"}
WORDS = [w for name, value in FILES.items() for w in (f"--data.{name.replace('_', '-')}", value)]
MODEL = ModelConfig("mixer_c32_l2_p16", (64, 64), sigma=3.0, simcc_maps=4)


@pytest.fixture(scope="module")
def fish(tmp_path_factory):
    return make_fish(tmp_path_factory.mktemp("fish") / "fish", 48, 12)


@pytest.fixture(scope="module")
def trained(fish, tmp_path_factory):
    """A run that has seen enough of them."""
    run = tmp_path_factory.mktemp("runs") / "fish"
    done = launch(
        pose_train.main,
        "debug",
        "--data.root",
        fish,
        *WORDS,
        "--run.folder",
        run,
        "--run.steps",
        120,
        "--run.batch-size",
        16,
        "--run.log-every",
        40,
        "--run.best",
        "PCK@0.2 box",
        "--model.image-size",
        64,
        64,
        "--model.simcc-maps",
        4,
    )
    assert done.returncode == 0, done.output
    return run


def data_of(root, **files):
    config = debug()
    values = {**FILES, "root": str(root), **files}
    return PoseData(replace(config, model=MODEL, data=replace(config.data, **values)), Session())


def correct(network, data):
    """Share of each keypoint found within 0.2 of the box."""
    people = predict_people(Session(), network, data.val(), EvalConfig(8), data.files)
    truth, boxes = ground_truth(data.truth, people.annotation, len(data.keypoints))
    return pck(people.keypoints, truth, box_size(boxes))["per_keypoint"]


def test_training_evaluation_and_prediction(fish, trained, tmp_path):
    (row,) = [row for row in read_metrics(trained) if "eval/PCK@0.2 box" in row]
    assert row["eval/PCK@0.2 box"] > 0.9
    assert (trained / "checkpoints/best").is_symlink()
    (tmp_path / "fish.yaml").write_text(SIGMAS)
    done = launch(pose_eval.main, trained, "--data.keypoints", tmp_path / "fish.yaml", "--report")
    assert done.returncode == 0, done.output
    (ap,) = [float(x.split()[1]) for x in done.output.splitlines() if x.startswith("  AP ")]
    assert ap > 0.5
    assert "left_fin" in done.output
    done = launch(pose_predict.main, trained, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    results = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {len(r["keypoints"]) for r in results} == {15}


def renamed(fish, root, names):
    """The same fish with keypoints of these names and order; those with new names at the mouth."""
    root.mkdir()
    (root / "images").symlink_to(fish / "images")
    for split in ("train", "val"):
        content = read_json(fish / f"{split}.json")
        content["categories"][0].update(keypoints=names, skeleton=[])
        order = [NAMES.index(name) if name in NAMES else 0 for name in names]
        for a in content["annotations"]:
            a["keypoints"] = np.reshape(a["keypoints"], (5, 3))[order].ravel().tolist()
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def test_what_a_run_knows_of_other_keypoints_is_taken_by_name(fish, trained, tmp_path):
    names = ["right_fin", "nostril", "middle", "left_fin"]
    data, said = data_of(renamed(fish, tmp_path / "other", names)), []
    network = PoseNet(replace(MODEL, weights=str(trained)), data.keypoints).eval()
    start_from(network, str(trained), said.append)
    found = correct(network, data)
    assert found[[0, 2, 3]].min() > 0.9
    assert "backbone, right_fin, middle, left_fin, head.x, head.y; new: nostril" in said[0]


def test_neck_and_keypoints_of_a_larger_run(tmp_path):
    """COCO's 17 to five, through an MLP-Pose whose mixer over keypoints does not fit."""
    parts = {"fuse": True, "levels": (0, 1), "mixer_depth": 1, "mixer_width": 16}
    torch.manual_seed(1)
    for tokens, new in (("grid", "nothing"), ("keypoints", "head.mix")):
        model = replace(MODEL, **parts, mixer_tokens=tokens)
        source = PoseNet(model, COCO)
        run, said = make_run(tmp_path / tokens, source), []
        keypoints = KeypointSet.of(["nose", "left_eye", "right_eye", "left_ear", "right_ear"])
        network = PoseNet(replace(model, weights=str(run)), keypoints)
        start_from(network, str(run), said.append)
        assert said[0].endswith(f"new: {new}")
        state = source.state_dict()
        for name, value in network.state_dict().items():
            if "head.mix" not in name:
                assert torch.equal(value, state[name][: len(value)]), name


def test_other_weights_than_a_run_of_this_app_are_the_backbones(tmp_path, capsys, monkeypatch):
    """Kept ones too, where a folder happens to be called so."""
    network = PoseNet(MODEL, COCO)
    kept = network.backbone.save_pretrained(tmp_path / "kept" / "photos")
    (tmp_path / "here" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("core.models.weights.names.FOLDER", kept.parent)
    start_from(network, "photos")
    start_from(network, "")
    start_from(network, "timm")
    assert capsys.readouterr().out == ""


# ---- definitions that are wrong ----------------------------------------------------------------


def complaint(fish, tmp_path, side="", change=None):
    """What is said of the fish's json with this change and this side file."""
    content = read_json(fish / "train.json")
    if change:
        change(content["categories"][0])
    (tmp_path / "fish.json").write_text(json.dumps(content))
    (tmp_path / "side.yaml").write_text(side)
    with pytest.raises(InputError) as error:
        KeypointSet.read(tmp_path / "fish.json", tmp_path / "side.yaml" if side else "")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip_pairs: [[left_fin, right_ear]]", "flip_pairs has 'right_ear': use a name, or"),
        ("flip_pairs: [[left_fin, right_fin], [tail, left_fin]]", "names 'left_fin' twice"),
        ("flip_pairs: [[2, 2]]", "'left_fin' with itself"),
        ("flip_pairs: [[0, 1]]", "flip_pairs has 0: use a name, or a number of 1 to 5"),
        ("flip_pairs: [[left_fin, tail]]", "but flip_pairs pairs it with 'tail'"),
        ("flip_pairs: [[mouth, tail]]", "'left_fin' mirrors 'right_fin' .* leaves it out"),
        ("flip_pairs: [left_fin, right_fin]", "'left_fin', which is no pair"),
        ("sigmas: [0.05, 0, 0.08, 0.08, 0.1]", "above 0, 'left_fin' has 0"),
        ("sigmas: [0.05, -0.1, 0.08, 0.08, 0.1]", "above 0, 'left_fin' has -0.1"),
        ("sigmas: [0.05, .nan, 0.08, 0.08, 0.1]", "above 0, 'left_fin' has nan"),
        ("sigmas: [0.05, .inf, 0.08, 0.08, 0.1]", "fractions .* 'left_fin' has inf"),
        ("sigmas: [0.05, 3, 0.08, 0.08, 0.1]", "'left_fin' has 3: divide pixels"),
        ("sigmas: [0.05, 8e-2, 0.08, 0.08, 0.1]", "above 0, 'left_fin' has '8e-2'"),
        ("sigmas: [0.05, 0.08]", "2 sigmas for 5 keypoints: give one for each"),
        ("skeleton: [[1, 6]]", "skeleton has 6: use a name, or a number of 1 to 5"),
        ("names: [a, b, c]", "3 names, but the people of .* have 5 keypoints"),
        ("names: [a, b, c, d, a]", "two keypoints share a name: a"),
        ("names: [a, b, c, d, no]", "names must be a list of words, got .*False"),
    ],
)
def test_side_files(fish, tmp_path, text, message):
    said = complaint(fish, tmp_path, text)
    assert said.startswith(str(tmp_path))
    assert re.search(message, said), said


def test_no_pairs_at_all_can_be_meant(fish, tmp_path):
    (tmp_path / "side.yaml").write_text("flip_pairs: []")
    assert KeypointSet.read(fish / "train.json", tmp_path / "side.yaml").swap == (0, 1, 2, 3, 4)
    assert KeypointSet.read(fish / "train.json").swap == (0, 2, 1, 3, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keypoints": [*NAMES[:4], "tail"]}, "two keypoints share a name: tail"),
        ({"keypoints": "mouth"}, "names must be a list of words, got 'mouth'"),
        ({"keypoints": [*NAMES[:4], None]}, "names must be a list of words"),
        ({"skeleton": [[1, 6]]}, "skeleton has 6: use a name, or a number of 1 to 5"),
        ({"skeleton": [[0, 1]]}, "skeleton has 0: use a name, or a number of 1 to 5"),
        ({"skeleton": [[2, 2]]}, "skeleton has 'left_fin' with itself"),
        ({"skeleton": {"1": 2}}, "skeleton must be a list of pairs"),
    ],
)
def test_categories(fish, tmp_path, values, message):
    assert message in complaint(fish, tmp_path, change=lambda category: category.update(values))


def test_categories_of_one_json_have_the_same_keypoints(fish, tmp_path):
    content = read_json(fish / "train.json")
    content["categories"].append({"id": 8, "name": "eel", "keypoints": NAMES[::-1]})
    (tmp_path / "fish.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="category 'eel' has 'middle' as keypoint 1, not 'mouth'"):
        KeypointSet.read(tmp_path / "fish.json")


def test_training_and_validation_have_the_same_keypoints(fish, tmp_path):
    other = renamed(fish, tmp_path / "other", [*NAMES[:3], "middle", "tail"])
    (other / "train.json").write_text((fish / "train.json").read_text())
    with pytest.raises(InputError, match=r"val.json, unlike .*train.json, has 'middle' as keyp"):
        data_of(other)
    with pytest.raises(InputError, match=r"val.json, unlike .*train.json, has 4 keypoints, not 5"):
        data_of(replaced(fish, other, NAMES[:4]))


def replaced(fish, other, names):
    """The folder with the fish's training json and a validation json of these keypoints."""
    content = read_json(renamed(fish, other / "again", names) / "val.json")
    (other / "val.json").write_text(json.dumps(content))
    return other


def test_a_run_is_evaluated_on_its_own_keypoints(fish, trained, tmp_path):
    other = renamed(fish, tmp_path / "other", ["left_fin", "right_fin", "mouth", "tail", "middle"])
    done = launch(pose_eval.main, trained, "--data.root", other)
    assert done.returncode == 2, done.output
    assert "has 'left_fin' as keypoint 1, not 'mouth'" in done.output


# ---- sigmas ------------------------------------------------------------------------------------


def annotated_again(fish, path, change):
    """The validation json with each point (N, 5, 3) of each fish changed."""
    content = read_json(fish / "val.json")
    points = np.array([a["keypoints"] for a in content["annotations"]]).reshape(-1, 5, 3)
    areas = np.array([0.53 * a["bbox"][2] * a["bbox"][3] for a in content["annotations"]])
    for a, moved in zip(content["annotations"], change(points.copy(), areas), strict=True):
        a["keypoints"] = moved.ravel().tolist()
    path.write_text(json.dumps(content))
    return path


def test_sigmas_are_the_spread_of_two_annotations_in_sizes_of_the_fish(fish, tmp_path):
    """Each keypoint i of a fish is moved by i hundredths of the square root of its area."""

    def move(points, areas):
        points[..., 0] += np.arange(5) * np.sqrt(areas)[:, None] / 100
        points[0, 4, 2] = 0
        return points

    again = annotated_again(fish, tmp_path / "again.json", move)
    _, sigmas, counts = estimate(fish / "val.json", again)
    np.testing.assert_allclose(sigmas, np.arange(5) / 100, atol=1e-6)
    people = len(read_json(again)["annotations"])
    assert counts.tolist() == [people] * 4 + [people - 1]


def test_sigmas_of_a_keypoint_that_nobody_labelled_twice(fish, tmp_path):
    def hide(points, _):
        points[:, 3, 2] = 0
        return points

    with pytest.raises(InputError, match=r"'tail' is labelled in both .* for nobody"):
        estimate(fish / "val.json", annotated_again(fish, tmp_path / "again.json", hide))
