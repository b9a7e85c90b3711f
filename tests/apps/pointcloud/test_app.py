"""Training, evaluation and comparison of the point cloud app, on solids of its own."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from apps.pointcloud import compare
from apps.pointcloud import eval as cloud_eval
from apps.pointcloud import train as cloud_train
from apps.pointcloud.config import ModelConfig
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.eval import open_run
from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.benchmark import evaluate_suite, item_metrics
from apps.pointcloud.evaluation.inference import network_method, reconstruct
from apps.pointcloud.evaluation.metrics import cloud_metrics
from apps.pointcloud.evaluation.suites import SHAPE_THRESHOLDS, Suite
from apps.pointcloud.evaluation.validation import evaluate_items
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.spacing import spacing_of, typical_spacing
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.presets import PRESETS, debug
from apps.pointcloud.solids import write_solids
from core import InputError, create_backbone
from core.training.folder import read_metrics
from core.training.session import Session
from tests.core.launch import launch


@pytest.fixture(scope="module")
def solids(tmp_path_factory):
    """Two training solids of each kind, one to validate."""
    return write_solids(tmp_path_factory.mktemp("solids"), 2, 1, 1, points=1024, workers=1)


@pytest.fixture(scope="module")
def learned(solids, tmp_path_factory):
    """A run of 60 steps on 22 solids."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    words = ["--run.steps", 60, "--run.batch-size", 8, "--run.log-every", 20]
    words += ["--corruption.points", 128, "--data.outputs", 512]
    words += ["--data.root", solids, "--run.folder", folder]
    done = launch(cloud_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    return folder


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
    assert PRESETS[preset]().run.folder == f"runs/pointcloud/{preset}"


# ---- a run -----------------------------------------------------------------------------------


def test_training_learns_and_leaves_what_evaluation_needs(learned):
    losses = [row["occupancy"] for row in read_metrics(learned) if "occupancy" in row]
    assert losses[-1] < 0.8 * losses[0]
    session = Session()
    config, network, _ = open_run(str(learned), session)
    val = CloudData(config, session).val()
    assert float(network.spacing) == pytest.approx(typical_spacing(val))
    metrics = evaluate_items(session, network, val, SHAPE_THRESHOLDS, 4)
    logged = [row for row in read_metrics(learned) if "eval/chamfer_l1" in row][-1]
    assert metrics["chamfer_l1"] == pytest.approx(logged["eval/chamfer_l1"])
    untrained = ReconNet(config.model).eval()
    assert (
        metrics["chamfer_l1"]
        < 0.5 * evaluate_items(session, untrained, val, SHAPE_THRESHOLDS, 4)["chamfer_l1"]
    )


def test_two_processes_evaluate_as_one(learned, tmp_path):
    outputs = []
    for ranks in (1, 2):
        words = [learned, "--no-baselines", "--output", tmp_path / f"by{ranks}"]
        done = launch(cloud_eval.main, *words, processes=ranks)
        assert done.returncode == 0, done.output
        record = json.loads((tmp_path / f"by{ranks}/eval-val.json").read_text())
        outputs.append(record["metrics"]["pointmixer"])
        assert record["clouds"] == 11
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-6)  # float32 sums, other threads


def test_evaluation_beside_the_baselines(learned, command):
    done = command(cloud_eval.main, learned, "--output", learned / "figures")
    assert done.returncode == 0, done.output
    for row in ("pointmixer", *available()):
        assert f"| {row} |" in done.output
    assert len(list((learned / "figures/pictures").glob("val-*.png"))) == 6


def test_a_root_without_a_suite_and_a_suite_without_a_root(learned, command):
    done = command(cloud_eval.main, learned, "--root", "x")
    assert done.returncode == 2
    assert "name that too" in done.output
    done = command(cloud_eval.main, learned, "--suite", "icl")
    assert done.returncode == 2
    assert "give their folder or file as --root" in done.output


def test_channel_mixing_comes_from_an_image_mixer(tmp_path):
    mixer = create_backbone("mixer_c16_l2_p8", 32)
    mixer.save_pretrained(tmp_path / "mixer")
    model = replace(debug().model, operator="core_mixer", blocks=2)
    config = replace(debug(), model=model, mixer_weights=str(tmp_path / "mixer"))
    for block in cloud_train.build_network(config).refine.blocks:
        for own, other in zip(block.operator.mixer.blocks, mixer.blocks, strict=True):
            assert own.mlp_channels.fc1.weight.equal(other.mlp_channels.fc1.weight)
    with pytest.raises(InputError, match="goes from a Mixer to core_mixer alone"):
        cloud_train.build_network(replace(config, model=replace(model, operator="pointnet")))


# ---- inference -------------------------------------------------------------------------------


def test_several_clouds_at_once_are_each_alone(learned):
    session = Session()
    _, network, _ = open_run(str(learned), session)
    clouds = [torch.rand(n, 3) for n in (100, 1, 60)]
    together = reconstruct(session, network, clouds)
    for cloud, found in zip(clouds, together, strict=True):
        (alone,) = reconstruct(session, network, [cloud])
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_a_network_as_a_method_gives_as_many_points_as_are_asked_for(learned):
    session = Session()
    _, network, _ = open_run(str(learned), session)
    method = network_method(session, network)
    for count in (1, 100, 5000):
        found = method(np.random.default_rng(0).random((80, 3)).astype(np.float32), count)
        assert found.shape == (count, 3)


class Nearby(nn.Module):
    """Gives each point back, and one beside it."""

    def forward(self, points, batch):
        moved = torch.stack([points, points + 0.01], 1).flatten(0, 1)
        return {"points": moved, "batch": batch.repeat_interleave(2), "levels": []}


def test_measuring_against_single_clouds():
    generator = torch.Generator().manual_seed(0)
    items = [
        {"input": torch.rand(n, 3, generator=generator), "center": torch.zeros(3),
         "target": torch.rand(40, 3, generator=generator), "scale": torch.ones(())}
        for n in (20, 30, 50)
    ]  # fmt: skip
    found = evaluate_items(Session(), Nearby(), items, SHAPE_THRESHOLDS, 2)
    each = []
    for item in items:
        every = torch.stack([item["input"], item["input"] + 0.01], 1).flatten(0, 1)
        each.append(
            cloud_metrics(resample_cloud(every, 40), item["target"].numpy(), SHAPE_THRESHOLDS)
        )
    for name, value in found.items():
        assert value == pytest.approx(np.mean([row[name] for row in each]))
    suite = Suite("three", items, SHAPE_THRESHOLDS)
    method = network_method(Session(), Nearby())
    assert evaluate_suite(Session(), method, suite)["chamfer_l1"] == pytest.approx(
        np.mean([item_metrics(method, suite, item)["chamfer_l1"] for item in suite])
    )


def test_spacing_by_hand():
    line = np.array([[x, 0, 0] for x in range(11)], np.float32)
    assert spacing_of(line) == 2  # two neighbours on each side, but at the ends
    assert spacing_of(line[:2] * 3) == 3
    assert spacing_of(line[:1]) == 0
    assert spacing_of(line * 7 + 1e3) == pytest.approx(14)


def test_a_checkpoint_of_another_app(tmp_path):
    with pytest.raises(InputError, match="no checkpoint of apps/pointcloud, but of pose"):
        ReconNet.from_description({"app": "pose", "model": {}}, "this")
    network = ReconNet(ModelConfig(channels=16, hourglasses=1, depth=1, blocks=1))
    again = ReconNet.from_description(network.describe(), "that")
    assert again.config == network.config


# ---- comparison ------------------------------------------------------------------------------


def test_a_comparison_trains_measures_and_goes_on(command, monkeypatch, solids, tmp_path):
    generator = torch.Generator().manual_seed(0)
    items = [
        {"input": torch.rand(60, 3, generator=generator), "center": torch.zeros(3),
         "target": torch.rand(90, 3, generator=generator), "scale": torch.ones(())}
        for _ in range(2)
    ]  # fmt: skip
    suite = Suite("toy", items, SHAPE_THRESHOLDS)
    monkeypatch.setattr(compare, "open_suite", lambda name, root: suite)
    out = tmp_path / "compare"
    words = ["debug", "--out", out, "--base.run.steps", 1, "--base.data.root", solids]
    done = command(compare.main, *words)
    assert done.returncode == 0, done.output
    record = json.loads((out / "compare.json").read_text())
    assert {len(v) for v in record["scores"]["toy"].values()} == {2}
    assert (out / "compare.png").is_file()
    kept = out / "pointmixer-1/eval-toy.json"
    told = json.loads(kept.read_text())
    told["metrics"]["chamfer_l1"] = 5.0
    kept.write_text(json.dumps(told))
    assert command(compare.main, *words).returncode == 0  # nothing is trained or measured again
    record = json.loads((out / "compare.json").read_text())
    assert record["scores"]["toy"]["pointmixer"][1] == 5.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--operators", "pointmix"), "operators: no 'pointmix'. Did you mean pointmixer"),
        (("--seeds", 1, 1), "none twice"),
        (("--suites", "icl"), "give their folder or file as --root"),
        (("--suites", "moon"), "no suite 'moon'"),
    ],
)
def test_a_comparison_of_what_is_not_there(command, words, message):
    done = command(compare.main, "debug", *words)
    assert done.returncode == 2
    assert message in done.output
