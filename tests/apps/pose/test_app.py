"""The pose app's network, losses and entry points, on people that it draws itself."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.special import rel_entr, softmax

from apps.pose import eval as pose_eval
from apps.pose import predict as pose_predict
from apps.pose import train as pose_train
from apps.pose.config import EmbeddedConfig, EvalConfig, ModelConfig, PoseConfig
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.data.source import PoseData
from apps.pose.evaluation.inference import predict_people
from apps.pose.evaluation.protocol import evaluate, rehearse
from apps.pose.models.losses import pose_losses
from apps.pose.models.network import PoseNet
from apps.pose.people import make_people
from apps.pose.prediction.samples import HEIGHT
from apps.pose.presets import PRESETS, debug
from core import InputError, create_backbone
from core.config import cli, load_config, to_plain
from core.training.files.folder import read_metrics
from core.training.run import Run
from core.training.session import Session
from tests.core import toy
from tests.core.launch import launch

COCO = KeypointSet.of(list(COCO_NAMES))
TINY = {"backbone": "mixer_c16_l1_p16", "image_size": (64, 48)}
FILES = [
    "--data.train-json",
    "annotations/train.json",
    "--data.train-images",
    "images/train",
    "--data.val-json",
    "annotations/val.json",
    "--data.val-images",
    "images/val",
]


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """12 training images, and 11 people to evaluate on."""
    root = make_people(tmp_path_factory.mktemp("people") / "data", 12, 12, seed=5, workers=1)
    path = root / "annotations/val.json"
    content = json.loads(path.read_text())
    content["annotations"] = content["annotations"][:11]
    path.write_text(json.dumps(content))
    return root


@pytest.fixture
def data(people, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(people, tmp_path / "data")


@pytest.fixture(scope="session")
def trained(people, tmp_path_factory):
    """The folder of a run of the debug preset."""
    folder = tmp_path_factory.mktemp("runs") / "debug"
    done = launch(pose_train.main, "debug", "--data.root", people, *FILES, "--run.folder", folder)
    assert done.returncode == 0, done.output
    return folder


def test_an_evaluation_leaves_a_sheet_of_people(trained):
    with Image.open(trained / "pictures" / "people-00000002.png") as sheet:
        assert sheet.height > HEIGHT
        assert sheet.width > sheet.height


def train(data, folder, *words):
    words = ["debug", "--data.root", data, *FILES, "--run.folder", folder, *words]
    return launch(pose_train.main, *words)


def complaint(done):
    """The one line for a person."""
    assert done.returncode == 2, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("error:")]
    return line


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
    assert PRESETS[preset]().run.folder == f"runs/pose/{preset}"


def test_simcc_loss_is_the_divergence_over_labelled_keypoints():
    rng = np.random.default_rng(0)
    logits = {axis: rng.normal(size=(2, 3, bins)) for axis, bins in (("x", 8), ("y", 12))}
    target = {axis: softmax(rng.normal(size=v.shape), -1) for axis, v in logits.items()}
    weight = np.array([[1, 0, 1], [0, 0, 0]])
    batch = {f"target_{axis}": torch.tensor(v) for axis, v in target.items()}
    outputs = {axis: torch.tensor(v) for axis, v in logits.items()}
    losses = pose_losses(outputs, {**batch, "weight": torch.tensor(weight)})
    for axis in ("x", "y"):
        by_scipy = rel_entr(target[axis], softmax(logits[axis], -1)).sum(-1) * weight
        np.testing.assert_allclose(losses[axis].numpy(), by_scipy.sum(1), atol=1e-6)


def test_heatmap_loss_by_hand():
    outputs = {"heatmap": torch.zeros(1, 2, 4, 4)}
    target = torch.zeros(1, 2, 4, 4)
    target[0, 0, 1, 1], target[0, 1] = 2.0, 9.0
    batch = {"heatmap": target, "weight": torch.tensor([[1.0, 0.0]])}
    assert float(pose_losses(outputs, batch)["heatmap"]) == pytest.approx(4 / 16)


@pytest.mark.parametrize("backbone", ["mixer_c16_l1_p16", "mixer_c16_l1_p8", "timm:resnet18"])
def test_heads(backbone):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    simcc = PoseNet(ModelConfig(backbone, (64, 64), simcc_split=2.0), COCO)(images)
    assert simcc["x"].shape == simcc["y"].shape == (2, 17, 128)
    heatmap = PoseNet(ModelConfig(backbone, (64, 64), head="heatmap", sigma=2.0), COCO)(images)
    assert heatmap["heatmap"].shape == (2, 17, 16, 16)


def test_a_stride_that_no_deconvolution_reaches():
    with pytest.raises(InputError, match="stride 4, 8, 16 or 32, this one has 12 x 12"):
        PoseNet(ModelConfig("mixer_c16_l1_p12", (96, 96), head="heatmap"), COCO)


def test_a_network_is_rebuilt_from_its_description():
    net = PoseNet(ModelConfig(**TINY), COCO)
    info = json.loads(json.dumps(to_plain(net.describe())))
    again = PoseNet.from_description(info, "here")
    assert again.keypoints == COCO
    assert again.state_dict().keys() == net.state_dict().keys()
    with pytest.raises(InputError, match="no checkpoint of apps/pose"):
        PoseNet.from_description({"app": "style"}, "here")


def test_an_untrained_network_scores_near_zero(people):
    data = data_of(people)
    net = PoseNet(ModelConfig(**TINY, sigma=3.0), COCO).eval()
    metrics = evaluate(Session(), net, data, data.val(), EvalConfig(4))
    assert 0 <= metrics["AP"] < 0.05


def data_of(root, files=None, **model):
    config = debug()
    config = replace(config, model=replace(config.model, **model))
    files = replace(
        config.data,
        root=str(root),
        train_json="annotations/train.json",
        train_images="images/train",
        val_json="annotations/val.json",
        val_images="images/val",
        **(files or {}),
    )
    return PoseData(replace(config, data=files), Session())


def test_a_share_of_the_training_images_validates(people):
    data, whole = data_of(people, {"tune_share": 0.25}), data_of(people)
    train, tuning = data.train(), data.val()
    images = [
        {part.people.get_data_info(i)["img_id"] for i in range(len(part))}
        for part in (train, tuning, whole.train())
    ]
    assert images[0] | images[1] == images[2]
    assert not images[0] & images[1]
    assert {image["id"] for image in data.truth["images"]} == images[1]
    assert {person["image_id"] for person in data.truth["annotations"]} == images[1]
    assert tuning[0].keys() == whole.val()[0].keys()
    assert rehearse(data, tuning).keys() == rehearse(whole, whole.val()).keys()
    with pytest.raises(InputError, match="tune_share: MPII's head boxes"):
        data_of(people, {"tune_share": 0.25, "format": "mpii"})


class Oracle(torch.nn.Module):
    """Answers the people of a data set, in their order, with sharp logits at their keypoints."""

    def __init__(self, data):
        super().__init__()
        annotations = json.loads(data.val_json.read_text())["annotations"]
        self.truth = {a["id"]: np.reshape(a["keypoints"], (-1, 3)) for a in annotations}
        self.dataset, self.bins = data.val(), np.array([192 * 2, 256 * 2])

    def places(self, person):
        """Bins (17, 2) of the keypoints of one item of the data set."""
        points = self.truth[int(person["annotation"])][:, :2]
        center, scale = person["center"].numpy(), person["scale"].numpy()
        return np.rint((points - center + scale / 2) / scale * self.bins).astype(int)

    def in_crop(self):
        """Ids of the people none of whose labelled keypoints is outside their crop."""
        for person in self.dataset:
            labelled = self.truth[int(person["annotation"])][:, 2] > 0
            places = self.places(person)[labelled]
            if np.all((places >= 0) & (places < self.bins)):
                yield int(person["annotation"])

    def forward(self, images):
        x, y = (torch.zeros(len(images), 17, int(n)) for n in self.bins)
        for i in range(len(images)):
            places = np.clip(self.places(self.dataset[i]), 0, self.bins - 1)
            x[i, range(17), places[:, 0]] = y[i, range(17), places[:, 1]] = 50.0
        return {"x": x, "y": y}


def test_perfect_outputs_score_one(data):
    """Ground truth through crop, bins, decoding and evaluation."""
    source = data_of(data, image_size=(256, 192), simcc_split=2.0)
    content = json.loads(source.val_json.read_text())
    kept = set(Oracle(source).in_crop())
    assert len(kept) >= 8
    content["annotations"] = [a for a in content["annotations"] if a["id"] in kept]
    source.val_json.write_text(json.dumps(content))
    metrics = evaluate(Session(), Oracle(source), source, source.val(), EvalConfig(len(kept)))
    assert metrics["AP"] == pytest.approx(1.0)


def test_the_same_figures_on_one_and_two_processes(people, trained):
    """11 people, batches of 4."""
    lines = {}
    for processes in (1, 2):
        words = [trained, "--eval.batch-size", 4]
        done = launch(pose_eval.main, *words, processes=processes)
        assert done.returncode == 0, done.output
        lines[processes] = [x for x in done.output.splitlines() if x.startswith("  A")]
        assert "ground-truth boxes" in done.output
        name = "results-step-00000002-ground-truth-boxes.json"
        results = json.loads((trained / name).read_text())
        lines[f"results of {processes}"] = [r["keypoints"] for r in results]
    assert len(lines[1]) == 10
    assert lines[1] == lines[2]
    assert len(lines["results of 1"]) == 11
    np.testing.assert_allclose(lines["results of 1"], lines["results of 2"], atol=1e-3)


def test_every_person_once_in_order(people):
    data = data_of(people)
    net = PoseNet(ModelConfig(**TINY, sigma=3.0), COCO).eval()
    dataset = data.val()
    found = predict_people(Session(), net, dataset, EvalConfig(4), data.files)
    assert found.annotation.tolist() == [int(dataset[i]["annotation"]) for i in range(11)]


def test_detection_boxes(people, trained, tmp_path):
    truth = json.loads((people / "annotations/val.json").read_text())
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}
        for a in truth["annotations"]
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    done = launch(pose_eval.main, trained, "--boxes", tmp_path / "boxes.json", "--flip-test")
    assert done.returncode == 0, done.output
    assert "detection boxes" in done.output
    assert ", flip test" in done.output


def test_prediction_of_images_and_boxes(people, trained, tmp_path):
    image = sorted((people / "images/val").iterdir())[0]
    boxes = [{"file_name": image.name, "bbox": [10, 10, 80, 150], "score": 0.8}] * 2
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    words = [trained, image, "--boxes", tmp_path / "boxes.json", "--output", tmp_path / "out"]
    for more, count in (["--no-nms"], 2), ([], 1):  # the box twice is one person
        done = launch(pose_predict.main, *words, *more)
        assert done.returncode == 0, done.output
        results = json.loads((tmp_path / "out/predictions.json").read_text())
        assert [r["file_name"] for r in results] == [image.name] * count
        assert len(results[0]["keypoints"]) == 51
    assert Image.open(tmp_path / f"out/{image.stem}.png").size == Image.open(image).size


def test_other_keypoints_than_coco(people, tmp_path):
    """Five keypoints of a fish: no sigmas, so PCK; nothing is fixed at 17."""
    root = tmp_path / "fish"
    shutil.copytree(people / "images", root / "images")
    names = ["mouth", "left_fin", "right_fin", "tail", "eye"]
    for split in ("train", "val"):
        content = json.loads((people / f"annotations/{split}.json").read_text())
        content["categories"] = [{"id": 3, "name": "fish", "keypoints": names, "skeleton": []}]
        for a in content["annotations"]:
            a["category_id"], a["keypoints"] = 3, a["keypoints"][15:30]
            a["num_keypoints"] = sum(v > 0 for v in a["keypoints"][2::3])
        content["annotations"] = [a for a in content["annotations"] if a["num_keypoints"]]
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/{split}.json").write_text(json.dumps(content))
    done = train(root, tmp_path / "run", "--run.best", "PCK@0.2 box")
    assert done.returncode == 0, done.output
    assert any("eval/PCK@0.2 box" in row for row in read_metrics(tmp_path / "run"))
    assert (tmp_path / "run/checkpoints/best").is_symlink()


# ---- bad input ---------------------------------------------------------------------------------


def test_a_missing_data_root(tmp_path):
    done = train(tmp_path / "nowhere", tmp_path / "run")
    assert "nowhere is no folder" in complaint(done)
    again = train(tmp_path / "nowhere2", tmp_path / "run")
    assert "nowhere2 is no folder" in complaint(again), "a run that never began leaves no trap"


def _lose_the_json(data):
    (data / "annotations/val.json").unlink()


def _lose_the_images(data):
    shutil.rmtree(data / "images/val")


def _move_a_keypoint_outside(data):
    path = data / "annotations/val.json"
    content = json.loads(path.read_text())
    next(a for a in content["annotations"] if a["num_keypoints"])["keypoints"][:3] = [5000, 10, 2]
    path.write_text(json.dumps(content))


def _spoil_an_annotation(data):
    path = data / "annotations/val.json"
    content = json.loads(path.read_text())
    content["annotations"].append({"id": 999, "image_id": 1, "category_id": 1, "keypoints": [1, 2]})
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_lose_the_json, "val.json"),
        (_lose_the_images, "images/val is no folder"),
        (_move_a_keypoint_outside, "val.json: annotation"),
        (_spoil_an_annotation, "annotation 999"),
    ],
)
def test_validation_data_are_opened_before_the_first_step(data, tmp_path, spoil, message):
    """At the first evaluation the same would be said after hours of training."""
    spoil(data)
    assert message in complaint(train(data, tmp_path / "run"))
    assert not list((tmp_path / "run").rglob("checkpoints/*"))
    assert not [row for row in read_metrics(tmp_path / "run") if "loss" in row]


def test_a_truth_that_no_metric_can_read_is_said_before_the_first_step(data, tmp_path):
    """What only the metric looks at: CrowdPose's crowdIndex, MPII's heads."""
    source = data_of(data)
    dataset = source.val()
    assert "AP" in rehearse(source, dataset)
    for format, message in (("crowdpose", "no crowdIndex"), ("mpii", "holds no list of people")):
        source.files = replace(source.files, format=format)
        with pytest.raises(InputError, match=message):
            rehearse(source, dataset)


def test_a_metric_that_these_data_do_not_have_is_said_before_the_first_step(data, tmp_path):
    """Names that are not COCO's have no sigmas, hence no AP: no checkpoint would be the best."""
    for split in ("train", "val"):
        path = data / f"annotations/{split}.json"
        content = json.loads(path.read_text())
        content["categories"][0]["keypoints"] = [str(i) for i in range(17)]
        path.write_text(json.dumps(content))
    done = train(data, tmp_path / "run", "--run.best", "AP")
    assert 'choose one, such as "PCK@0.2 box"' in complaint(done)
    assert "mirrored pictures and the flip test are off: no keypoint has" in done.output
    assert not list((tmp_path / "run").rglob("checkpoints/*"))


def test_a_json_without_keypoints(data, tmp_path):
    path = data / "annotations/train.json"
    content = json.loads(path.read_text())
    for category in content["categories"]:
        del category["keypoints"]
    path.write_text(json.dumps(content))
    assert str(path) in complaint(train(data, tmp_path / "run"))


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_bad_image_is_named_and_skipped_only_if_allowed(data, tmp_path, damage):
    image = sorted((data / "images/train").iterdir())[0]
    content = image.read_bytes()
    image.unlink()
    if damage == "truncated":
        image.write_bytes(content[: len(content) // 2])
    words = ["--run.epochs", 1, "--run.steps", 0]
    assert image.name in complaint(train(data, tmp_path / "run", *words))
    allowed = train(data, tmp_path / "allowed", *words, "--data.skip-bad", 1)
    assert allowed.returncode == 0, allowed.output
    named = (tmp_path / "allowed/skipped.txt").read_text().splitlines()
    assert len(named) == 1
    assert image.name in named[0]


def test_a_keypoint_outside_its_image(data, tmp_path):
    path = data / "annotations/train.json"
    content = json.loads(path.read_text())
    annotation = next(a for a in content["annotations"] if a["num_keypoints"])
    annotation["keypoints"][:3] = [5000, 10, 2]
    path.write_text(json.dumps(content))
    line = complaint(train(data, tmp_path / "run"))
    assert f"annotation {annotation['id']}" in line
    assert train(data, tmp_path / "ignored", "--data.outside", "ignore").returncode == 0


def test_words_that_do_not_exist(tmp_path):
    assert "no preset 'demoo'. Did you mean demo?" in complaint(
        launch(pose_train.main, "demoo", "--run.folder", tmp_path / "run")
    )
    wrong = launch(pose_train.main, "debug", "--model.bakcbone", "mixer_b16")
    assert wrong.returncode == 2
    assert "bakcbone" in wrong.output


def test_a_backbone_that_does_not_exist(people, tmp_path):
    done = train(people, tmp_path / "run", "--model.backbone", "mixer_b17")
    assert "mixer_b17" in complaint(done)


def test_a_folder_in_use(people, trained):
    assert "exists already" in complaint(train(people, trained))


def test_a_checkpoint_of_another_model(people, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "run", symlinks=True)
    words = ["--run.resume", "--run.steps", 4, "--model.backbone", "mixer_c16_l2_p16"]
    assert "another network" in complaint(train(people, copy, *words))
    assert launch(toy.main, "--run.folder", tmp_path / "toy").returncode == 0
    assert complaint(launch(pose_eval.main, tmp_path / "toy"))


def test_no_run_at_all(tmp_path):
    assert "holds no checkpoint" in complaint(launch(pose_eval.main, tmp_path))


def test_the_backbone_of_a_run_starts_another_network(trained):
    backbone = create_backbone("mixer_c32_l2_p16", (64, 48), weights=trained)
    saved = load_file(trained / "checkpoints/best/model.safetensors")
    assert torch.equal(backbone.stem.weight, saved["backbone.stem.weight"])


def test_settings_that_have_moved(trained, tmp_path):
    """A run of before opens; an option of before says what it is called now."""
    plain = to_plain(debug())
    people = plain.pop("embedded")
    plain["data"].update({f"people_{name}": value for name, value in people.items()})
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(plain))
    assert load_config(PoseConfig, path) == debug()
    for old, new in (("people-train", "train"), ("people-val", "val"), ("people_seed", "seed")):
        with pytest.raises(InputError, match=f"--data.{old} is now --embedded.{new}"):
            cli(PRESETS, ["debug", f"--data.{old}", "3"])


def test_the_embedded_people_are_those_of_the_settings(tmp_path, monkeypatch):
    """Each split reads its own json and its own images; another seed lies in another folder."""
    monkeypatch.chdir(tmp_path)
    config = replace(debug(), embedded=EmbeddedConfig(train=3, val=2, seed=4))
    data = PoseData(config, Session())
    assert data.root == Path("data/pose-people-3-2-seed4")
    for split, count, dataset in (("train", 3, data.train()), ("val", 2, data.val())):
        paths = {Path(dataset.people.get_data_info(i)["img_path"]) for i in range(len(dataset))}
        assert {path.parent for path in paths} == {data.root / "images" / split}
        assert dataset.counts["images"] == count


def test_losses_are_divided_by_the_labelled_keypoints(people, tmp_path, monkeypatch):
    """Of the people in the batch, as the loop gives them to the run."""
    batches, counts = [], []
    losses_of, backward = pose_train.pose_losses, Run.backward

    def losses(outputs, batch):
        batches.append(batch)
        return losses_of(outputs, batch)

    def counted(run, values, valid=None):
        counts.append(valid)
        return backward(run, values, valid=valid)

    monkeypatch.setattr(pose_train, "pose_losses", losses)
    monkeypatch.setattr(Run, "backward", counted)
    config = data_of(people).config
    pose_train.train(replace(config, run=replace(config.run, folder=str(tmp_path / "run"))))
    assert len(batches) == len(counts) == 2
    for batch, count in zip(batches, counts, strict=True):
        assert torch.equal(count, (batch["weight"] > 0).sum(1).to(count))
        assert 0 < count.min() <= count.max() <= 17
