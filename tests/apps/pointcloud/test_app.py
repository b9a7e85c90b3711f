"""Training, evaluation and comparison of the point cloud app, on solids of its own."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from apps.pointcloud import compare
from apps.pointcloud import eval as cloud_eval
from apps.pointcloud import train as cloud_train
from apps.pointcloud.config import EmbeddedConfig, EvalConfig, ModelConfig, PointCloudConfig
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.evaluation import validation
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
from core.app.commands import Words
from core.app.runs import reopen
from core.config import load_config
from core.training.files.folder import read_metrics
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
    run = reopen(learned, PointCloudConfig, ReconNet, session)
    network, val = run.network, CloudData(run.config, session).val()
    assert float(network.spacing) == pytest.approx(typical_spacing(val))
    metrics = evaluate_items(session, network, val, SHAPE_THRESHOLDS, 4)
    logged = [row for row in read_metrics(learned) if "eval/chamfer_l1" in row][-1]
    assert metrics["chamfer_l1"] == pytest.approx(logged["eval/chamfer_l1"])
    untrained = ReconNet(run.config.model).eval()
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
        record = json.loads((tmp_path / f"by{ranks}/eval.json").read_text())
        outputs.append(record["figures"]["pointmixer"])
        assert record["clouds"] == 11
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-6)  # float32 sums, other threads


def test_evaluation_beside_the_baselines(learned, command):
    done = command(cloud_eval.main, learned, "--output", learned / "figures")
    assert done.returncode == 0, done.output
    for row in ("pointmixer", *available()):
        assert f"| {row} |" in done.output
    assert len(list((learned / "figures/pictures").glob("val-*.png"))) == 6


def test_settings_told_anew_make_other_validation_clouds(learned, command, tmp_path):
    words = [learned, "--no-baselines", "--corruption.points", 40, "--output", tmp_path]
    done = command(cloud_eval.main, *words)
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "eval.json").read_text())
    assert list(record)[:5] == ["what", "data", "network", "figures", "commit"]
    (step,) = [row for row in read_metrics(learned) if "eval/chamfer_l1" in row]
    assert record["figures"]["pointmixer"]["chamfer_l1"] != pytest.approx(step["eval/chamfer_l1"])
    done = command(cloud_eval.main, learned, "--suite", "rooms", "--corruption.points", 40)
    assert done.returncode == 2
    assert "--corruption.points is of the run's validation data" in done.output


def test_settings_of_the_network_are_those_it_was_trained_with(learned, command):
    done = command(cloud_eval.main, learned, "--model.blocks", 3)
    assert done.returncode == 2
    assert "--model.blocks: the network is the one that was trained" in done.output
    assert "but for model.smoothing" in done.output
    done = command(cloud_eval.main, learned, "--model.smoothing", 64)
    assert done.returncode == 2
    assert "a network of voxels has no second pass" in done.output


def test_a_root_without_a_suite_and_a_suite_without_a_root(learned, command):
    done = command(cloud_eval.main, learned, "--root", "x")
    assert done.returncode == 2
    assert "name that too" in done.output
    done = command(cloud_eval.main, learned, "--suite", "icl")
    assert done.returncode == 2
    assert "give their folder or file as --root" in done.output


OLD_SETTINGS = """
data: {root: '', outputs: 256, solids_train: 3, solids_val: 2, solids_seed: 5, workers: 0}
eval_batch: 6
"""


def test_the_settings_of_an_old_run_open(tmp_path, command):
    (tmp_path / "config.yaml").write_text(OLD_SETTINGS)
    config = load_config(PointCloudConfig, tmp_path / "config.yaml")
    assert config.embedded == EmbeddedConfig(train=3, val=2, seed=5)
    assert (config.eval.batch_size, config.data.outputs) == (6, 256)
    done = command(cloud_train.main, "debug", "--data.solids-train", 3)
    assert done.returncode == 2
    assert "--data.solids-train is now --embedded.train" in done.output


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


def test_validation_takes_its_settings_from_the_run(monkeypatch):
    calls = []
    monkeypatch.setattr(
        validation, "evaluate_items", lambda *words, **rest: calls.append((words, rest))
    )
    data = replace(debug().data, workers=3, skip_bad=7)
    config = replace(debug(), data=data, eval=EvalConfig(batch_size=5))
    validation.evaluate("session", "network", "clouds", config)
    expected = ("session", "network", "clouds", SHAPE_THRESHOLDS, 5)
    assert calls == [(expected, {"workers": 3, "skip_bad": 7})]


def test_several_clouds_at_once_are_each_alone(learned):
    session = Session()
    network = reopen(learned, PointCloudConfig, ReconNet, session).network
    clouds = [torch.rand(n, 3) for n in (100, 1, 60)]
    together = reconstruct(session, network, clouds)
    for cloud, found in zip(clouds, together, strict=True):
        (alone,) = reconstruct(session, network, [cloud])
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_a_network_as_a_method_gives_as_many_points_as_are_asked_for(learned):
    session = Session()
    network = reopen(learned, PointCloudConfig, ReconNet, session).network
    method = network_method(session, network)
    for count in (1, 100, 5000):
        found = method(np.random.default_rng(0).random((80, 3)).astype(np.float32), count)
        assert found.shape == (count, 3)


class Nearby(nn.Module):
    """Gives each point back, and one beside it."""

    def forward(self, points, batch):
        moved = torch.stack([points, points + 0.01], 1).flatten(0, 1)
        return {"points": moved, "batch": batch.repeat_interleave(2), "levels": []}


def random_item(generator, points, outputs):
    """A cloud of any points in, and others out."""
    clouds = {"input": points, "target": outputs}
    item = {name: torch.rand(n, 3, generator=generator) for name, n in clouds.items()}
    return {**item, "center": torch.zeros(3), "scale": torch.ones(())}


def test_items_in_batches_are_measured_as_single_clouds():
    generator = torch.Generator().manual_seed(0)
    items = [random_item(generator, n, 40) for n in (20, 30, 50)]
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


def test_scenes_go_to_the_network_as_predictions_take_them(learned, tmp_path, monkeypatch):
    """By eval.py and compare.py alike: in the unit of its spacing, and measured in metres."""
    generator, session = torch.Generator().manual_seed(0), Session()
    items = [{**random_item(generator, 80, 60), "scale": torch.tensor(3.0)}]
    suite = Suite("toy", items, SHAPE_THRESHOLDS, metres=True)
    run = reopen(learned, PointCloudConfig, ReconNet, session)
    by_unit, plain = (
        evaluate_suite(session, network_method(session, run.network, scenes), suite)
        for scenes in (True, False)
    )
    assert by_unit["chamfer_l1"] != pytest.approx(plain["chamfer_l1"])
    monkeypatch.setattr(cloud_eval, "open_suite", lambda name, root: suite)
    options = cloud_eval.Options(suite="toy", no_baselines=True)
    words = Words(run, options, tmp_path, frozenset())
    assert cloud_eval.report(session, words).figures == {"pointmixer": pytest.approx(by_unit)}
    finished = SimpleNamespace(folder=learned, session=session)
    assert compare.suite_metrics(finished, suite) == pytest.approx(by_unit)


def test_a_share_of_the_training_clouds_validates(solids):
    base = debug()
    data = CloudData(
        replace(base, data=replace(base.data, root=str(solids), tune_share=0.25)), Session()
    )
    train, tuning = data.train().clouds.names, data.val().clouds.names
    whole = replace(base, data=replace(base.data, root=str(solids)))
    assert sorted(train + tuning) == sorted(CloudData(whole, Session()).train().clouds.names)
    assert 0.2 < len(tuning) / 22 < 0.3


# ---- comparison ------------------------------------------------------------------------------


def test_a_comparison_trains_measures_and_goes_on(command, monkeypatch, solids, tmp_path):
    generator = torch.Generator().manual_seed(0)
    items = [random_item(generator, 60, 90) for _ in range(2)]
    suite = Suite("toy", items, SHAPE_THRESHOLDS)
    monkeypatch.setattr(compare, "open_suite", lambda name, root: suite)
    out = tmp_path / "compare"
    words = ["debug", "--out", out, "--base.run.steps", 1, "--base.data.root", solids]
    done = command(compare.main, *words)
    assert done.returncode == 0, done.output
    record = json.loads((out / "compare.json").read_text())
    assert {len(v) for v in record["scores"]["chamfer_l1"]["toy"].values()} == {2}
    assert (out / "compare.png").is_file()
    kept = out / "pointmixer-1/eval-toy.json"
    changed = json.loads(kept.read_text())
    changed["figures"]["chamfer_l1"] = 5.0
    kept.write_text(json.dumps(changed))
    assert command(compare.main, *words).returncode == 0  # nothing is trained or measured again
    record = json.loads((out / "compare.json").read_text())
    assert record["scores"]["chamfer_l1"]["toy"]["pointmixer"][1] == 5.0


def test_starts_of_the_mixer_over_points(monkeypatch, solids, tmp_path):
    generator = torch.Generator().manual_seed(0)
    suite = Suite("toy", [random_item(generator, 60, 90)], SHAPE_THRESHOLDS)
    monkeypatch.setattr(compare, "open_suite", lambda name, root: suite)
    create_backbone("mixer_c32_l2_p8", 16).save_pretrained(tmp_path / "weights")
    base = debug()
    base = replace(
        base,
        data=replace(base.data, root=str(solids)),
        model=replace(base.model, operator="core_mixer_c32"),
        run=replace(base.run, steps=1),
    )
    config = compare.StartsConfig(
        (f"permuted=permuted:{tmp_path / 'weights'}",),
        lr_factors=(1.0,),
        seeds=(0,),
        out=str(tmp_path / "out"),
        base=base,
        suites=("toy",),
    )
    assert list(compare.compare(config)["toy"]) == ["scratch", "permuted"]
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert any(line.startswith("floor, toy, input: Chamfer L1") for line in record["table"])
    refused = replace(base, model=replace(base.model, operator="core_mixer_c64"))
    with pytest.raises(InputError, match="choose the operator core_mixer_c32"):
        compare.compare(replace(config, base=refused, out=str(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--operators", "pointmix"), "unknown operator 'pointmix'. Did you mean pointmixer"),
        (("--seeds", 1, 1), "none twice"),
        (("--suites", "icl"), "give their folder or file as --root"),
        (("--suites", "moon"), "no suite 'moon'"),
    ],
)
def test_a_comparison_of_what_is_not_there(command, words, message):
    done = command(compare.main, "debug", *words)
    assert done.returncode == 2
    assert message in done.output
