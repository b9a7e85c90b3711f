"""Cross-view training: both optimizers against a loop by hand, resume, evaluation, prediction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from apps.crossview import train as view_train
from apps.crossview.data.pairs import Pairs
from apps.crossview.models.discriminator import PatchDiscriminator, build_discriminator
from apps.crossview.models.network import build_generator
from apps.crossview.presets import PRESETS, debug
from apps.crossview.towns import write_towns
from core.checkpoints import find_checkpoint
from core.data.loading import TrainLoader, seed_everything
from core.training.files.folder import read_metrics
from tests.core.launch import launch

STEPS, BATCH, MICRO = 10, 4, 2
WORDS = ["--run.steps", STEPS, "--run.batch-size", BATCH, "--run.eval-every", 0]
RATES = (5e-6, 1e-3)
# Adam turns the rounding noise of gradients that are zero into whole steps: SGD shows equality
SGD = ["--optim.name", "sgd", "--optim.lr", RATES[0], "--optim.momentum", 0.5]
SGD += ["--d-optim.name", "sgd", "--d-optim.lr", RATES[1], "--d-optim.momentum", 0.5]
SGD += ["--model.norm", "group"]  # batch norm's statistics are those of one pass over all images


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    """Seven training towns, so that epochs end inside steps."""
    return write_towns(tmp_path_factory.mktemp("towns"), 7, 3, size=32, workers=1)


def weights(run):
    folder = find_checkpoint(run, "last")
    return {n: load_file(folder / f"{n}.safetensors") for n in ("model", "discriminator", "ema")}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
    assert PRESETS[preset]().run.folder == f"runs/crossview/{preset}"


# ---- both steps ------------------------------------------------------------------------------


def bce(logits, truth):
    target = torch.full_like(logits, truth)
    return F.binary_cross_entropy_with_logits(logits, target)


def pair_loss(coarse, final, truth, doubt, weight):
    """L_img or L_seg of CrossMLP, over a micro-batch of samples of one size."""
    refined = ((coarse - truth).abs() + (final - truth).abs()) / doubt + doubt.log()
    total = 1.5 * weight * (refined + 0.5 * (final - coarse) ** 2).mean()
    total = total + weight * (coarse - truth).abs().mean()
    return 0.5 * (total + 2 * weight * (final - truth).abs().mean())


def reference_loop(root, world):
    """Ten steps without Run: two networks and optimizers, BATCH / MICRO micro-batches a step."""
    config = debug()
    model = replace(config.model, norm="group")
    config = replace(config, data=replace(config.data, root=str(root)), model=model)
    pairs = Pairs(config.data, "train", training=True)
    seed_everything(config.run.seed)
    generator, critic = build_generator(config, pairs.palette), build_discriminator(config)
    optimizers = [
        torch.optim.SGD(module.parameters(), rate, momentum=0.5)
        for module, rate in zip((generator, critic), RATES, strict=True)
    ]
    batches = TrainLoader(pairs, MICRO, seed=config.run.seed).batches()
    parts = BATCH // MICRO
    for step in range(STEPS):
        warm, factor = config.run.schedule.warmup * STEPS, 1.0
        factor = 1 - (step - warm) / (STEPS - warm) if step >= warm else (step + 1) / (warm + 1)
        for optimizer, rate in zip(optimizers, RATES, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
        for part in range(parts):
            batch = next(batches)
            seed_everything(config.run.seed, step, part // world, part % world)
            source, real = batch["aerial"], batch["ground"]
            given = 2 * F.one_hot(batch["ground_map"], 6).movedim(-1, 1).float() - 1
            made = generator(source, given)
            coarse, final = made["coarse"], made["image"]
            d_loss = 0.5 * (
                bce(critic(source, coarse.detach()), 0.0)
                + 4 * bce(critic(source, final.detach()), 0.0)
                + 5 * bce(critic(source, real), 1.0)
            )
            g_loss = bce(critic(source, coarse), 1.0) + 4 * bce(critic(source, final), 1.0)
            g_loss = config.loss.adversarial * g_loss
            doubt = made["uncertainty"].clamp(min=1e-3)
            g_loss = g_loss + pair_loss(coarse, final, real, doubt, 100)
            g_loss = g_loss + pair_loss(made["map"], made["map_final"], given, doubt, 1)
            down, right = final.diff(dim=2).abs().sum(), final.diff(dim=3).abs().sum()
            g_loss = g_loss + 4e-6 * (down + right) / MICRO
            for loss, module in ((d_loss, critic), (g_loss, generator)):
                parameters = list(module.parameters())
                grads = torch.autograd.grad(loss / parts, parameters, retain_graph=True)
                for p, g in zip(parameters, grads, strict=True):
                    p.grad = g if p.grad is None else p.grad + g
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return {"model": generator.state_dict(), "discriminator": critic.state_dict()}


def build_start(root):
    """The weights before the first step."""
    config = replace(debug(), model=replace(debug().model, norm="group"))
    pairs = Pairs(replace(config.data, root=str(root)), "train")
    seed_everything(config.run.seed)
    generator, critic = build_generator(config, pairs.palette), build_discriminator(config)
    return {"model": generator.state_dict(), "discriminator": critic.state_dict()}


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 2), (2, 1)])
def test_both_steps_equal_a_loop_by_hand(towns, tmp_path, processes, accumulate):
    """With dropout on: every micro-batch has the seed of its step, place and process."""
    words = ["debug", *WORDS, *SGD, "--run.accumulate", accumulate, "--data.root", towns]
    words += ["--run.folder", tmp_path / "run"]
    done = launch(view_train.main, *words, processes=processes)
    assert done.returncode == 0, done.output
    expected = reference_loop(towns, processes)
    found, moved = weights(tmp_path / "run"), 0.0
    start = build_start(towns)
    for name, state in expected.items():
        for key, value in state.items():
            moved = max(moved, float((start[name][key] - value).abs().max()))
            apart = float((found[name][key] - value).abs().max())
            assert apart < 1e-6, (name, key, apart)
    assert moved > 1e-3, "ten steps that go nowhere would show nothing"


def test_a_resumed_run_is_the_same(towns, tmp_path):
    """Adam, dropout and averaged weights; a constant rate, since a schedule ends with its run."""
    words = ["debug", "--data.root", towns, *WORDS, "--run.ema", 0.9, "--run.resume"]
    words += ["--run.schedule.name", "constant", "--run.schedule.warmup", 0]
    for folder, parts in (("whole", (STEPS,)), ("parts", (4, STEPS))):
        for steps in parts:
            end = ["--run.steps", steps, "--run.folder", tmp_path / folder]
            done = launch(view_train.main, *words, *end)
            assert done.returncode == 0, done.output
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, state in whole.items():
        for key, value in state.items():
            assert parts[name][key].equal(value), (name, key)


def test_the_generator_leaves_the_discriminator_alone(towns):
    """No gradient of the generator's loss stays in the discriminator, and it learns again after."""
    network = PatchDiscriminator(4, 1)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    with view_train.frozen(network):
        network(image, image).sum().backward()
    assert all(p.grad is None for p in network.parameters())
    assert image.grad.abs().sum() > 0
    assert all(p.requires_grad for p in network.parameters())


def test_one_pass_over_real_and_made_is_as_several():
    torch.manual_seed(0)
    network, source = PatchDiscriminator(4, 1, "group"), torch.rand(2, 3, 32, 32)
    images = [torch.rand(2, 3, 32, 32) for _ in range(3)]
    together = view_train.patch_logits(network, source, images)
    for logits, image in zip(together, images, strict=True):
        torch.testing.assert_close(logits, network(source, image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["a2g", "g2a"])
@pytest.mark.parametrize("generator", ["selectiongan", "pix2pix", "xfork", "xseq", "mixer"])
def test_every_generator_trains(towns, tmp_path, command, generator, direction):
    words = ["--data.root", towns, "--run.folder", tmp_path / "run", "--direction", direction]
    words += ["--model.generator", generator, "--model.maps", "rgb"]
    done = command(view_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    rows = [row for row in read_metrics(tmp_path / "run") if "d_real" in row]
    assert {"image", "d_image", "g_image"} <= rows[-1].keys()


def test_batch_norm_on_two_processes(towns, tmp_path):
    """As released; every process keeps the first one's running statistics."""
    words = ["debug", "--data.root", towns, "--run.folder", tmp_path / "run", "--run.steps", 3]
    done = launch(view_train.main, *words, processes=2)
    assert done.returncode == 0, done.output
    state = weights(tmp_path / "run")["model"]
    means = [value for key, value in state.items() if key.endswith("running_mean")]
    assert means
    assert all(value.isfinite().all() and value.abs().max() > 0 for value in means)


def test_bfloat16(towns, tmp_path, command):
    words = ["--data.root", towns, "--run.folder", tmp_path / "run", "--run.precision", "bf16"]
    done = command(view_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    assert all(np.isfinite(row["loss"]) for row in read_metrics(tmp_path / "run") if "loss" in row)


def test_learning(towns, tmp_path, command):
    """Without a discriminator, a few steps on seven towns bring the image nearer."""
    words = ["--data.root", towns, "--run.folder", tmp_path / "run", "--loss.adversarial", 0]
    words += ["--run.steps", 60, "--run.batch-size", 4, "--model.generator", "pix2pix"]
    done = command(view_train.main, "debug", *words, "--model.width", 8)
    assert done.returncode == 0, done.output
    losses = [row["image"] for row in read_metrics(tmp_path / "run") if "image" in row]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
