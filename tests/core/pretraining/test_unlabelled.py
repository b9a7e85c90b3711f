"""Pretraining without labels: the objective, the views, the monitor and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core import InputError, create_backbone
from core.config import cli
from core.data.augment import AugmentConfig
from core.data.batched.draws import Draws
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.sources import open_unlabelled
from core.data.views import BatchViews, PictureViews, ViewsConfig, local_size
from core.models.classifier import create_classifier
from core.models.network import ClassifierConfig
from core.pretrain import main
from core.pretraining.sizes import GrowthConfig
from core.pretraining.unlabelled.collapse import Moments, collapsed
from core.pretraining.unlabelled.config import UNLABELLED, LejepaConfig, UnlabelledConfig
from core.pretraining.unlabelled.lejepa import POINTS, REACH, Sketch, prediction_losses
from core.pretraining.unlabelled.training import train
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig
from core.training.stop import StopSignals
from tests.core.data.packed_toy import write_packed
from tests.core.data.stream_toy import write_shards
from tests.core.launch import launch

HALVES = ((0.5,) * 3, (0.5,) * 3)
SMALL = LejepaConfig(slices=16, projector=(24, 8))


def config(root, folder, **changes) -> UnlabelledConfig:
    run = RunConfig(
        str(folder),
        steps=4,
        batch_size=8,
        log_every=1,
        save_every=2,
        trackers=(),
        schedule=ScheduleConfig("constant", warmup=0),
    )
    options = {
        "model": ClassifierConfig("mixer_c16_l2_p4", (16,), sizes=(16, 24)),
        "train": TrainImagesConfig(str(root), on_device=24),
        "views": ViewsConfig(local_views=2),
        "lejepa": SMALL,
        "optim": OptimConfig(lr=1e-3),
        "run": run,
    }
    return UnlabelledConfig(**{**options, **changes})


def rows(folder, name="loss"):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row[name] for row in lines if name in row}


@pytest.fixture
def packed(tmp_path):
    return write_packed(tmp_path)


# ---- the objective -----------------------------------------------------------------------------


def statistic(z, directions):
    """T of (N, D), as the paper's formula has it: the oracle, on a grid over both signs of t."""
    t = torch.linspace(-REACH, REACH, 2 * POINTS - 1, dtype=torch.float64)
    normal = torch.exp(-t.square() / 2)
    waves = torch.exp(1j * (z.double() @ directions.double())[..., None] * t)  # (N, M, 2K - 1)
    off = (waves.mean(0) - normal).abs().square() * normal
    return len(z) * torch.trapezoid(off, t, dim=-1).mean()


def test_sigreg_is_the_statistic_and_has_its_gradient_however_it_is_shared_out():
    torch.manual_seed(0)
    z = (0.7 * torch.randn(12, 3, 8) + 0.2).requires_grad_()
    sketch = Sketch(SMALL, seed=3, step=5, device=torch.device("cpu"))
    expected = torch.stack([statistic(z[:, v], sketch.directions) for v in range(3)]).mean()
    (gradient,) = torch.autograd.grad(expected, z)
    mean = sketch.waves(z).detach().mean(0)
    parts = [sketch.sigreg_losses(sketch.waves(z[i : i + 4]), mean, 12) for i in (0, 4, 8)]
    torch.testing.assert_close(torch.cat(parts).mean(), expected.float(), rtol=1e-5, atol=1e-6)
    (ours,) = torch.autograd.grad(torch.cat(parts).mean(), z)
    torch.testing.assert_close(ours, gradient, rtol=1e-4, atol=1e-6)


def test_sigreg_tells_a_normal_distribution_from_a_point_and_from_a_line():
    torch.manual_seed(0)
    sketch = Sketch(LejepaConfig(projector=(8,)), seed=0, step=1, device=torch.device("cpu"))
    clouds = {"normal": torch.randn(256, 1, 8), "point": torch.full((256, 1, 8), 0.3)}
    clouds["line"] = torch.randn(256, 1, 1).expand(-1, -1, 8)
    values = {}
    for name, z in clouds.items():
        waves = sketch.waves(z)
        values[name] = float(sketch.sigreg_losses(waves, waves.mean(0), 256).mean())
    assert 10 * values["normal"] < values["line"] < values["point"]


def test_directions_are_a_function_of_seed_and_step():
    one, same, next_step = (Sketch(SMALL, 1, step, torch.device("cpu")) for step in (7, 7, 8))
    assert torch.equal(one.directions, same.directions)
    assert not torch.equal(one.directions, next_step.directions)
    torch.testing.assert_close(one.directions.norm(dim=0), torch.ones(16))


def test_prediction_is_the_distance_from_the_middle_of_the_global_views():
    z = torch.tensor([[[0.0, 2.0], [2.0, 2.0], [1.0, 5.0]]])  # (1, 3, 2); two are global
    assert prediction_losses(z, 2).tolist() == [pytest.approx((1 + 1 + 9) / 6)]


# ---- views -------------------------------------------------------------------------------------


def test_views_of_both_ways_have_the_sizes_of_their_kind():
    views, augment = ViewsConfig(global_views=2, local_views=3), AugmentConfig(jitter=1.0, grey=0.2)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8))
    one = PictureViews(views, augment, {"global": (32, 32), "local": (16, 16)}, HALVES)(picture)
    batch = BatchViews(views, augment, lambda size: (size[0] // 2, size[1] // 2), HALVES)
    held = torch.randint(0, 256, (4, 3, 36, 36), dtype=torch.uint8)
    draws = Draws(torch.rand(4, batch.columns))
    many = batch(held, draws, (32, 32), torch.Generator())
    assert [tuple(v.shape) for v in one.values()] == [(2, 3, 32, 32), (3, 3, 16, 16)]
    assert [tuple(v.shape) for v in many.values()] == [(4, 2, 3, 32, 32), (4, 3, 3, 16, 16)]
    assert not torch.equal(many["global"][:, 0], many["global"][:, 1])


def test_local_views_are_smaller_where_the_network_takes_any_size():
    views = ViewsConfig()
    assert local_size(views, (64, 96), (8, 8), any_size=True) == (32, 48)
    assert local_size(views, (16, 16), (8, 8), any_size=True) == (16, 16)  # two tokens a side
    assert local_size(views, (64, 96), (8, 8), any_size=False) == (64, 96)


# ---- the monitor -------------------------------------------------------------------------------


def test_moments_know_std_and_rank():
    torch.manual_seed(0)
    for z, std, rank in (
        (torch.randn(4000, 1, 6), 1.0, 6.0),
        (torch.randn(4000, 1, 1).expand(-1, -1, 6) + 3, 1.0, 1.0),
        (torch.full((40, 1, 6), 0.7), 0.0, 1.0),
    ):
        moments = Moments(6)
        moments.add(z[:10]), moments.add(z[10:])
        measures = moments.measures(moments.sums)
        assert measures["std"] == pytest.approx(std, abs=0.05)
        assert std == 0 or measures["rank"] == pytest.approx(rank, abs=0.05)
    healthy, small = {"std": 0.8, "rank": 5.0}, {"std": 0.05, "rank": 5.0}
    assert not collapsed(healthy, 0.2, 6)
    assert not collapsed(small, 0.02, 6)  # it began smaller, and grows
    assert collapsed(small, 0.2, 6)
    assert collapsed({"std": 0.8, "rank": 1.1}, 0.2, 6)


def test_a_provoked_collapse_is_told_within_50_steps_and_a_healthy_run_is_not(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(32):  # each of four colours of its own
        picture = Image.fromarray(rng.integers(0, 256, (2, 2, 3), np.uint8))
        picture.resize((16, 16)).save(tmp_path / f"{i}.png")
    base = config(tmp_path, tmp_path / "well", model=ClassifierConfig("mixer_c16_l2_p8", (16,)))
    base = replace(
        base,
        train=TrainImagesConfig(str(tmp_path), on_device=16),
        views=ViewsConfig(local_views=0),
        run=replace(base.run, steps=50, save_every=0, batch_size=32),
        optim=OptimConfig(lr=3e-3),
    )
    train(base)
    assert "COLLAPSED" not in capsys.readouterr().out
    assert rows(tmp_path / "well", "embedding/std")[50] > 0.3
    run = replace(base.run, folder=str(tmp_path / "ill"))
    train(replace(base, run=run, lejepa=replace(SMALL, weight=0.0)))
    assert "COLLAPSED: the embeddings of all pictures are nearly" in capsys.readouterr().out
    assert rows(tmp_path / "ill", "embedding/std")[50] < 0.1


# ---- the command -------------------------------------------------------------------------------


def test_the_steps_are_the_same_however_they_are_shared_out(packed, tmp_path):
    words = ["unlabelled", "--train.root", packed, "--train.on-device", 24]
    words += ["--model.backbone", "mixer_c16_l2_p4", "--model.image-size", 16]
    words += ["--model.sizes", 16, 24, "--lejepa.projector", 24, 8, "--lejepa.slices", 16]
    words += ["--views.local-views", 2, "--run.steps", 4, "--run.batch-size", 8]
    words += ["--run.log-every", 1, "--run.trackers", "--run.schedule.warmup", 0]
    losses = {}
    for processes, accumulate in ((1, 1), (1, 2), (2, 1)):
        folder = tmp_path / f"{processes}-{accumulate}"
        parts = [*words, "--run.folder", folder, "--run.accumulate", accumulate]
        if processes == 1:
            train(cli(UNLABELLED, [str(word) for word in parts]))
        else:
            done = launch(main, *parts, processes=processes)
            assert done.returncode == 0, done.output
        losses[processes, accumulate] = rows(folder)
    alone = losses.pop((1, 1))
    assert list(alone) == [1, 2, 3, 4]
    for other in losses.values():
        assert other == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("on_device", [24, 0])
def test_a_stopped_run_goes_on_as_one_that_was_not(on_device, packed, tmp_path, monkeypatch):
    data = TrainImagesConfig(str(packed), on_device=on_device, workers=0)
    train(config(packed, tmp_path / "whole", train=data))
    stop_at_2 = lambda self, done: done == 2  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "requested", stop_at_2)
        with pytest.raises(SystemExit):
            train(config(packed, tmp_path / "run", train=data))
    again = config(packed, tmp_path / "run", train=data)
    train(replace(again, run=replace(again.run, resume=True)))
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize("name", ["timm:resnet18", "convmlp_s", "vit_c64_l1_p8"])
def test_other_backbones_and_precisions(name, packed, tmp_path):
    run = replace(config("", tmp_path / "run").run, steps=1, precision="bf16", batch_size=2)
    model = ClassifierConfig(name, (32,))
    train(config(packed, tmp_path / "run", model=model, run=run))
    assert np.isfinite(rows(tmp_path / "run")[1])


def test_pictures_in_any_nesting_without_labels_become_weights(tmp_path):
    rng = np.random.default_rng(0)
    for place in ("", "a", "a/b c"):
        (tmp_path / "photos" / place).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 255, (30, 20, 3), np.uint8))
        picture.save(tmp_path / "photos" / place / "one.JPG", "JPEG")
    (tmp_path / "photos" / "a" / "broken.png").write_text("no picture")
    data = TrainImagesConfig(str(tmp_path / "photos"), on_device=24, skip_bad=2)
    run = train(config("", tmp_path / "run", train=data))
    assert "broken.png" in (tmp_path / "run" / "skipped.txt").read_text()
    assert f"could not be read, 1: {tmp_path / 'run' / 'skipped.txt'}" in run.files.where()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty and the folders below hold no picture"):
        open_unlabelled(ImagesConfig(str(tmp_path / "empty"), "train"), FractalsConfig())

    network = create_backbone("mixer_c16_l2_p4", 16, weights=tmp_path / "run")
    state = run.parts.plain["model"].backbone.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    classifier = create_classifier("mixer_c16_l2_p4", 24, 5, weights=tmp_path / "run")
    assert classifier.head.weight.shape == (5, 16)


def test_streams_and_class_folders_are_read_too(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    write_shards(shards, [6, 6])
    run = replace(config("", tmp_path / "run").run, steps=2)
    data = TrainImagesConfig(str(shards), workers=0)
    train(config("", tmp_path / "run", train=data, run=run))
    assert len(rows(tmp_path / "run")) == 2
    for place in ("train/cat", "train/dog", "val/cat"):
        (tmp_path / "set" / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / place / "1.png")
    images = open_unlabelled(ImagesConfig(str(tmp_path / "set"), "train"), FractalsConfig())
    assert [images[i]["label"] for i in range(len(images))] == [0, 0]  # and not val's


def test_labelled_images_probe_the_features_as_it_goes(packed, tmp_path):
    val = ImagesConfig(str(packed), workers=0)
    run = replace(config("", tmp_path / "run").run, eval_every=2)
    train(config(packed, tmp_path / "run", val=val, shots=3, run=run))
    top1 = rows(tmp_path / "run", "eval/top1")
    assert list(top1) == [2, 4]
    assert all(0 <= value <= 1 for value in top1.values())
    with pytest.raises(InputError, match=r"class 'blue' has 8 training images, 9 shots"):
        train(config(packed, tmp_path / "few", val=val, shots=9))
    (tmp_path / "plain/a").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "plain/a/1.png")
    plain = ImagesConfig(str(tmp_path / "plain"), workers=0)
    with pytest.raises(InputError, match=r"val.root, .*plain, has no train and val below it"):
        train(config(packed, tmp_path / "one", val=plain, shots=1))


def test_settings_that_cannot_be_are_refused(packed, tmp_path):
    for changes, message in (
        ({"lejepa": LejepaConfig(weight=1.5)}, r"lejepa.weight is 1.5"),
        ({"lejepa": LejepaConfig(projector=())}, r"lejepa.projector is \(\)"),
        ({"views": ViewsConfig(1, 0)}, r"views: 1 global and 0 local ones"),
        ({"views": ViewsConfig(local_scale=0.0)}, r"views.local_scale is 0.0"),
        ({"views": ViewsConfig(local_area=(0.9, 0.2))}, r"views.local_area is \(0.9, 0.2\)"),
        ({"run": RunConfig(str(tmp_path / "run"), steps=1, batch_size=1)}, r"batch_size is 1"),
        ({"model": ClassifierConfig("timm:resnet10t", (32,), sizes=(32,))}, r"--model.sizes with"),
        ({"augment": AugmentConfig(mixup=0.2)}, r"mix labels"),
        ({"augment": AugmentConfig(jitter=9.0)}, r"augment.jitter is 9.0"),
        ({"growth": GrowthConfig((0.5, 0.5))}, r"growth.start"),
    ):
        with pytest.raises(InputError, match=message):
            train(config(packed, tmp_path / "run", **changes))


def test_the_preset_is_one_that_trains():
    preset = UNLABELLED["unlabelled"]()
    assert preset.run.steps > 0
    assert preset.train.on_device >= max(preset.model.sizes)
