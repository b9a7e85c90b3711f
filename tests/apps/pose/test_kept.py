"""A network kept under a name: written from a run, and opened wherever a run is."""

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

pytest.importorskip("mmpose")

from apps.pose import eval as pose_eval
from apps.pose import export as pose_export
from apps.pose import keep as pose_keep
from apps.pose import predict as pose_predict
from apps.pose.config import PoseConfig
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.keep import keep
from apps.pose.models.network import PoseNet
from apps.pose.models.start import start_from
from apps.pose.people import make_people
from apps.pose.presets import people_lsp
from core import InputError, create_backbone
from core.app.kept import KeptNetworks
from core.app.runs import open_network, reopen
from core.checkpoints import find_checkpoint
from core.models.weights.writing import LIMIT
from core.training.session import Session
from tests.apps.pose.toys import COCO, HEATMAP, SIMCC, make_run, network

WORDS = {"trained_on": "Drawn people.", "terms": "Free."}
NECK = KeypointSet.of([*COCO_NAMES, "neck"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", network(keypoints=NECK))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder, and an empty place for what is kept."""
    monkeypatch.setattr(PoseNet, "KEPT", KeptNetworks(tmp_path / "kept", "people"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Image.new("RGB", (40, 60), (9, 99, 200)).save("photo.jpg")
    return tmp_path / "here"


@pytest.fixture
def people(run, here):
    return keep(run, "people", **WORDS)


@pytest.fixture
def predict(command):
    return partial(command, pose_predict.main)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make_people(tmp_path_factory.mktemp("people") / "data", 2, 6, seed=5, workers=1)


def test_a_round_trip_rounds_once(run, people):
    assert sorted(file.name for file in people.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    written = load_file(people / "model.safetensors")
    assert {value.dtype for value in written.values()} == {torch.float16}
    exact = open_network(find_checkpoint(run), PoseNet)
    kept = reopen("people", PoseConfig, PoseNet, Session())
    assert kept.kept == "people"
    assert kept.network.keypoints == NECK
    assert kept.network.config == kept.config.model == replace(SIMCC, weights="")
    state = kept.network.state_dict()
    assert all(torch.equal(state[k], v.half().float()) for k, v in exact.state_dict().items())
    crops = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        one, other = exact(crops)["x"], kept.network(crops)["x"]
    said = json.loads((people / "config.json").read_text())["about"]["rounding"]
    assert 0 < float((one - other).abs().max() / one.abs().max()) < 3 * said < 0.01


def test_counts_of_a_batchnorm_stay_whole(here, tmp_path):
    keep(make_run(tmp_path / "maps", network(HEATMAP)), "maps", **WORDS)
    counts = {v.dtype for v in load_file(tmp_path / "kept/maps/model.safetensors").values()}
    assert counts == {torch.float16, torch.int64}
    assert reopen("maps", PoseConfig, PoseNet, Session()).network.config.head == "heatmap"


def test_the_card(people, run):
    card = (people / "README.md").read_text()
    for words in (
        "pipeline_tag: keypoint-detection",
        "# people: keypoints of people",
        "crop of 64x48 pixels",
        "18 keypoints by a simcc head",
        "predict.py people photo.jpg",
        "| 5 | left_shoulder | right_shoulder |",
        "Drawn people.",
        "Terms: Free.",
        "Stored in float16",
        "checkpoint `step-00000001`",
        "Settings:",
    ):
        assert words in card, words
    assert str(run) not in card


def test_predict_takes_it_where_no_run_is_named(predict, people, here):
    for words in (["photo.jpg"], ["people", "photo.jpg"], [people, "photo.jpg"]):
        done = predict(*words, "--min-score", 0)
        assert done.returncode == 0, done.output
        out = here / "runs/pose/kept/people/predictions"
        (record,) = json.loads((out / "predictions.json").read_text())
        assert (record["input"], len(record["keypoints"])) == ("photo.jpg", 3 * 18)
        shutil.rmtree(here / "runs")


def test_predict_without_inputs(predict, people, here):
    (here / "people").mkdir()
    for words in ([], ["people"]):
        done = predict(*words)
        assert done.returncode == 2
        assert "people is a kept network, without data of its own: name images" in done.output
        assert "the folder of that name is ./people" in done.output


def test_nothing_is_kept(predict, command, here):
    (line,) = predict("photo.jpg").output.strip().splitlines()
    assert "no run is named, and no network is kept in this package" in line
    for main in (pose_eval.main, pose_export.main):
        assert "no network is kept in this package" in command(main).output


def test_eval(command, people, drawn, here):
    data = [f"people={drawn}"]
    done = command(pose_eval.main, "people", "--data.sets", *data)
    assert done.returncode == 0, done.output
    assert "people AP" in done.output
    figures = json.loads((here / "runs/pose/kept/people/eval.json").read_text())["figures"]
    assert command(pose_eval.main, "--data.sets", *data).returncode == 0
    again = json.loads((here / "runs/pose/kept/people/eval.json").read_text())["figures"]
    assert figures == again
    single = ["--data.root", drawn, "--data.val-json", "annotations/val.json"]
    done = command(pose_eval.main, *single, "--data.val-images", "images/val")
    assert done.returncode == 0, done.output
    assert "people is a kept network, without data" in command(pose_eval.main, "people").output


def test_export(command, people, here):
    pytest.importorskip("onnxruntime")
    done = command(pose_export.main, "--output", "pose.onnx")
    assert done.returncode == 0, done.output
    assert (here / "pose.onnx").is_file()


def test_a_training_starts_from_it(people, run):
    config = replace(SIMCC, weights="people")
    network, said = PoseNet(config, COCO), []
    start_from(network, config.weights, said.append)
    kept = reopen("people", PoseConfig, PoseNet, Session()).network
    assert torch.equal(network.backbone.stem.weight, kept.backbone.stem.weight)
    assert torch.equal(network.head.x.weight, kept.head.x.weight)
    assert torch.equal(network.head.to_keypoints.weight, kept.head.to_keypoints.weight[:17])
    assert "new: nothing" in said[0]


def test_what_cannot_be_kept(run, people, here, tmp_path):
    with pytest.raises(InputError, match="people exists already"):
        keep(run, "people", **WORDS)
    for name in ("imagenet1k", "timm", "People", "a/b"):
        with pytest.raises(InputError, match=r"name is .*small letters"):
            keep(run, name, **WORDS)
    other = create_backbone("mixer_c16_l1_p16", 32).describe()
    (tmp_path / "style").mkdir()
    (tmp_path / "style/config.json").write_text(json.dumps({"app": "style", "backbone": other}))
    save_file({"bias": torch.zeros(1)}, tmp_path / "style/model.safetensors")
    with pytest.raises(InputError, match="is no checkpoint of apps/pose, but of style"):
        keep(tmp_path / "style", "other", **WORDS)


def test_the_command(run, here, tmp_path, capsys):
    (run / "eval.json").write_text(json.dumps({"data": "val", "figures": {"AP": 0.25}}))
    words = [str(run), "--data", "Few.", "--terms", "Free.", "--limits", "Crowds."]
    pose_keep.main(words)
    assert "people: 0." in capsys.readouterr().out
    about = json.loads((tmp_path / "kept/people/config.json").read_text())["about"]
    assert about["evaluations"] == {"tiny/eval.json, on val": {"figures.AP": 0.25}}
    assert "- Crowds." in (tmp_path / "kept/people/README.md").read_text()
    with pytest.raises(SystemExit) as left:
        pose_keep.main(words)
    assert left.value.code == 2


def test_what_the_preset_makes_is_small_enough_to_keep():
    model = replace(people_lsp().model, weights="")
    with torch.device("meta"):
        made = PoseNet(model, KeypointSet.of([*COCO_NAMES, "neck", "head_top"]))
    header = 20_000  # names and places of its tensors
    assert 2 * sum(value.numel() for value in made.state_dict().values()) + header <= LIMIT


@pytest.mark.parametrize("name", PoseNet.KEPT.names())
def test_what_the_repository_keeps(name):
    """Opens, says what it should, is small, and has what predict.py wants."""
    kept = reopen(name, PoseConfig, PoseNet, Session())
    crops = torch.zeros(1, 3, *kept.network.config.image_size, dtype=torch.uint8)
    with torch.no_grad():
        assert all(values.isfinite().all() for values in kept.network(crops).values())
    assert kept.network.keypoints.sigmas
    assert (kept.checkpoint / "model.safetensors").stat().st_size <= LIMIT
    card = (kept.checkpoint / "README.md").read_text()
    for heading in ("## Use", "## Data", "## Not for", "## Training", "## Metrics"):
        assert heading in card
