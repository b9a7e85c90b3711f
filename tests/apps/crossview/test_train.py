"""Cross-view training: both optimizers against a loop by hand, resume, evaluation, prediction."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from apps.crossview import compare, predict
from apps.crossview import eval as view_eval
from apps.crossview import train as view_train
from apps.crossview.config import PRESETS, debug
from apps.crossview.data.pairs import DataConfig, Pairs
from apps.crossview.data.source import PairData, build_discriminator, build_generator
from apps.crossview.models.discriminator import PatchDiscriminator
from apps.crossview.models.network import Generator
from apps.crossview.towns import write_towns
from core import InputError
from core.checkpoints import find_checkpoint
from core.data.loading import TrainLoader, seed_everything
from core.training.folder import read_metrics
from core.training.session import Session
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
    optimizers = [torch.optim.SGD(module.parameters(), rate, momentum=0.5)
                  for module, rate in zip((generator, critic), RATES, strict=True)]  # fmt: skip
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
    together = view_train.judged(network, source, images)
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


# ---- a run -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(towns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["--data.root", towns, "--run.folder", folder, "--run.eval-every", 1]
    done = launch(view_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    return folder


def test_sheets_during_training(trained):
    names = sorted(path.name for path in (trained / "pictures").glob("samples-*.png"))
    assert names == ["samples-00000001.png", "samples-00000002.png"]


def test_evaluation_has_floors_and_says_what_is_missing(trained, tmp_path):
    records = []
    for processes in (1, 2):
        output = tmp_path / str(processes)
        words = [trained, "--output", output, "--weights", tmp_path]
        done = launch(view_eval.main, *words, processes=processes)
        assert done.returncode == 0, done.output
        records.append(json.loads((output / "eval.json").read_text())["metrics"])
    for row in ("crossmlp", "mean image", "another photograph", "painted map"):
        assert f"| {row} " in done.output
        for name, value in records[0][row].items():
            assert records[1][row][name] == pytest.approx(value, abs=1e-4), (row, name)
    assert "not measured, places: " in done.output
    assert (tmp_path / "1/pictures/samples.png").is_file()


def test_evaluation_by_hand(trained, towns):
    """PSNR and the map's accuracy of the evaluation from the network's own outputs."""
    session = Session()
    config, network, _ = view_eval.open_run(str(trained), session)
    val = PairData(config, session).val()
    found = view_eval.evaluate(session, network, val, config)
    psnr, right, count = [], 0, 0
    for i in range(len(val)):
        item = val[i]
        given = 2 * F.one_hot(item["ground_map"], 6).movedim(-1, 0).float() - 1
        with torch.no_grad():
            made = network(item["aerial"][None], given[None])
        error = ((made["image"][0] - item["ground"]) / 2) ** 2
        psnr.append(-10 * np.log10(float(error.mean())))
        right += int((made["map_final"][0].argmax(0) == item["ground_map"]).sum())
        count += item["ground_map"].numel()
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert found["map_accuracy"] == pytest.approx(100 * right / count, abs=1e-3)


def test_prediction_of_validation_pairs(trained, command, tmp_path):
    done = command(predict.main, trained, "--count", 2, "--output", tmp_path)
    assert done.returncode == 0, done.output
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == [f"0000{i}{end}.png" for i in (0, 2) for end in ("-candidates", "-sheet", "")]
    assert Image.open(tmp_path / "00000.png").size == (32, 32)


@pytest.fixture
def photographs(towns, tmp_path):
    """The first validation town's panels in files of their own, as a user has them."""
    folder = tmp_path / "own"
    (folder / "maps").mkdir(parents=True)
    panels = np.split(np.asarray(Image.open(towns / "val/00000.png")), 4, axis=1)
    Image.fromarray(panels[0]).resize((90, 70)).save(folder / "square.png")
    Image.fromarray(panels[3]).save(folder / "maps/square.png")
    return folder


def test_prediction_of_own_images(trained, command, photographs, tmp_path):
    words = [trained, photographs / "square.png", "--output", tmp_path / "out", "--map"]
    for given in (photographs / "maps", photographs / "maps/square.png"):
        done = command(predict.main, *words, given)
        assert done.returncode == 0, done.output
    assert (tmp_path / "out/square.png").is_file()
    config, network, _ = view_eval.open_run(str(trained), Session())
    image, ids = predict._reader(network, photographs / "square.png", given)()
    assert image.shape == (3, 32, 32)
    val = Pairs(config.data, "val")
    assert ids.equal(val[0]["ground_map"])


def test_bad_input_to_prediction(trained, command, photographs, tmp_path):
    image, out = photographs / "square.png", ["--output", tmp_path / "out"]
    cases = [([image], "give it as --map, with the classes sky, building"),
             ([image, "--map", tmp_path / "none.png"], "does not exist"),
             ([tmp_path / "none.png"], "does not exist"),
             ([image, image, "--map", photographs / "maps/square.png"], "one map for 2 images"),
             ([image, "--map", image], "is no map of this palette"),
             (["--count", 0], "--count is 0")]  # fmt: skip
    for words, said in cases:
        done = command(predict.main, trained, *words, *out)
        assert done.returncode == 2, words
        assert said in done.output
    (photographs / "broken.png").write_bytes(b"no image")
    Image.open(photographs / "maps/square.png").save(photographs / "maps/broken.png")
    words = [photographs / "broken.png", image, "--map", photographs / "maps"]
    done = command(predict.main, trained, *words, *out)
    assert done.returncode == 2
    assert "left out" in done.output
    assert (tmp_path / "out/square.png").is_file(), "the others go on"
    before = image.read_bytes()
    words = [image, "--map", photographs / "maps", "--output", photographs]
    done = command(predict.main, trained, *words)
    assert "would be overwritten" in done.output
    assert image.read_bytes() == before


def test_pairs_without_maps(tmp_path, command):
    """A folder of photographs: one class, no map needed to predict, one bad file skipped."""
    rng = np.random.default_rng(0)
    for split, view in itertools.product(("train", "val"), ("aerial", "ground")):
        (tmp_path / split / view).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / view / f"{number}.png")
    (tmp_path / "val/ground/0.png").write_bytes(b"no image")
    words = ["debug", "--data.root", tmp_path, "--data.layout", "folders", "--data.skip-bad", 1]
    done = command(view_train.main, *words, "--run.folder", tmp_path / "run")
    assert done.returncode == 0, done.output
    done = command(predict.main, tmp_path / "run", tmp_path / "val/aerial/1.png")
    assert done.returncode == 0, done.output
    done = command(predict.main, tmp_path / "run", "--count", 3)
    assert done.returncode == 2
    assert "1 of 3 images could not be drawn" in done.output


def test_comparison(towns, tmp_path, command):
    words = ["debug", "--base.data.root", towns, "--out", tmp_path / "c"]
    done = command(compare.main, *words)
    assert done.returncode == 0, done.output
    for said in ("crossmlp ", "pix2pix ", "floor, painted map", "compare.png", "grid.png"):
        assert said in done.output
    again = command(compare.main, *words)
    assert "it/s" not in again.output
    done = command(compare.main, *words, "--rows", "mixer-pretrained")
    assert done.returncode == 2
    assert "give --weights" in done.output


def test_a_direction_needs_maps_of_what_it_draws(towns, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for path in itertools.islice((towns / split).iterdir(), 2):
            panels = np.split(np.asarray(Image.open(path)).copy(), 4, axis=1)
            panels[2][:] = 0
            Image.fromarray(np.concatenate(panels, 1)).save(tmp_path / split / path.name)
    (tmp_path / "palette.yaml").write_text((towns / "palette.yaml").read_text())
    config = replace(debug(), direction="g2a", data=DataConfig(root=str(tmp_path), size=(32, 32)))
    with pytest.raises(InputError, match="needs maps of the aerial images"):
        PairData(config, Session())


def test_another_app_s_run_is_told(tmp_path, trained, command):
    from core import create_backbone

    create_backbone("mixer_c16_l1_p8", 32).save_pretrained(tmp_path / "w")
    with pytest.raises(InputError):
        Generator.from_description(json.loads((tmp_path / "w/config.json").read_text()), "w")
