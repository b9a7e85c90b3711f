"""Shuffled patches and pixels: loops as oracle, and what permuted weights undo exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.images.labelled import ImagesConfig
from core.data.shuffle import random_permutations, shuffle_patches, shuffle_pixels
from core.errors import InputError
from core.evaluation import shuffle
from core.evaluation.common import BackboneConfig
from core.evaluation.shuffle import (
    UNDONE,
    Config,
    accuracies,
    conditions,
    example_sheet,
    model_config,
    plot,
    run,
    undo_shuffle,
)
from core.models.networks.mixer import Mixer, MixerConfig
from core.ranges import check_ranges
from core.training.session import Session


def mixer(**changes):
    """Grid 2x4, patch 4x3; no parameter is constant, so that no permutation is hidden."""
    sizes = {"image_size": (8, 12), "patch_size": (4, 3), "hidden_dim": 16, "num_blocks": 3}
    mlps = {"tokens_mlp_dim": 10, "channels_mlp_dim": 24}
    network = Mixer(MixerConfig(**{**sizes, **mlps, **changes})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def test_shuffle_patches_by_loops():
    images, (ph, pw), grid = torch.randn(2, 3, 4, 9), (2, 3), (2, 3)
    order, pixels, _ = random_permutations(5, (4, 9), (ph, pw))
    shuffled = shuffle_patches(images, (ph, pw), order, pixels)
    for s in range(6):
        for i in range(6):
            row, column = divmod(s, grid[1])
            y, x = row * ph + i // pw, column * pw + i % pw
            row, column = divmod(int(order[s]), grid[1])
            from_y, from_x = row * ph + int(pixels[i]) // pw, column * pw + int(pixels[i]) % pw
            assert torch.equal(shuffled[:, :, y, x], images[:, :, from_y, from_x])


def test_shuffles_move_every_pixel_once_and_all_images_alike():
    images = torch.arange(2.0 * 3 * 8 * 12).view(2, 3, 8, 12)
    ways = random_permutations(0, (8, 12), (4, 3))
    patches = shuffle_patches(images, (4, 3), ways.order, ways.pixels)
    everywhere = shuffle_pixels(images, ways.everywhere)
    for shuffled in (patches, everywhere):
        assert not torch.equal(shuffled, images)
        assert torch.equal(shuffled[1] - images[1, 0, 0, 0], shuffled[0])
        assert torch.equal(shuffled.flatten(2).sort().values, images.flatten(2))
    torch.testing.assert_close(everywhere.flatten(2), images.flatten(2)[:, :, ways.everywhere])


def test_permutations_are_a_pure_function_of_the_seed():
    first = random_permutations(1, (8, 12), (4, 3))
    torch.manual_seed(7)
    again, other = (random_permutations(seed, (8, 12), (4, 3)) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert [len(part) for part in first] == [8, 12, 96]


def test_a_patch_that_does_not_fit_is_an_error():
    with pytest.raises(InputError, match=r"8x12.*patches of 4x5.*--patch"):
        random_permutations(0, (8, 12), (4, 5))


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"image_size": (12, 6), "patch_size": (2, 6), "in_channels": 4},
        {"image_size": 16, "patch_size": 4},
    ],
)
def test_permuted_weights_undo_the_shuffle(shapes):
    network = mixer(**shapes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    size, patch = network.image_size, network.stride
    images = torch.randn(2, network.config.in_channels, *size)
    order, pixels, everywhere = random_permutations(3, size, patch)
    shuffled, undone = shuffle_patches(images, patch, order, pixels), None
    with torch.no_grad():
        tokens, undone = network(images), undo_shuffle(network, order, pixels)
        torch.testing.assert_close(undone(shuffled), tokens[:, order], rtol=0, atol=1e-5)
        torch.testing.assert_close(undone(shuffled).mean(1), tokens.mean(1), rtol=0, atol=1e-5)
        assert (network(shuffled).mean(1) - tokens.mean(1)).abs().max() > 1e-2
        globally = shuffle_pixels(images, everywhere)
        assert (undone(globally).mean(1) - tokens.mean(1)).abs().max() > 1e-2
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_training_on_shuffled_images_takes_the_same_course():
    """The identical curves of Figure 4, where the first weights are permuted likewise."""
    network, images, targets = mixer(), torch.randn(8, 3, 8, 12), torch.randn(8, 16)
    order, pixels, _ = random_permutations(3, (8, 12), (4, 3))
    shuffled = shuffle_patches(images, (4, 3), order, pixels)
    pairs = ((network, images), (undo_shuffle(network, order, pixels), shuffled))
    courses = [course(trained, inputs, targets) for trained, inputs in pairs]
    assert courses[0] == pytest.approx(courses[1], rel=1e-4)
    assert courses[0][-1] < 0.9 * courses[0][0]


def course(network, inputs, targets):
    optimizer, losses = torch.optim.AdamW(network.parameters(), lr=3e-3), []
    for _ in range(6):
        loss = (network(inputs).mean(1) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_conditions_of_another_patch_have_nothing_to_undo():
    network = mixer(image_size=(8, 12), patch_size=(4, 4))
    assert list(conditions(network, (4, 4), 0)) == ["original", "patches", UNDONE, "pixels"]
    assert list(conditions(network, (2, 2), 0)) == ["original", "patches", "pixels"]


def test_a_patch_of_0_is_allowed():
    check_ranges(Config(patch=0))
    with pytest.raises(InputError, match="patch is -1"):
        check_ranges(Config(patch=-1))


def test_what_is_done_to_the_images():
    network, images = mixer(), torch.randn(2, 3, 8, 12)
    pairs = conditions(network, (4, 3), 5)
    order, pixels, everywhere = random_permutations(5, (8, 12), (4, 3))
    assert pairs["original"] == (network, None)
    for name, expected in {
        "patches": shuffle_patches(images, (4, 3), order, pixels),
        UNDONE: shuffle_patches(images, (4, 3), order, pixels),
        "pixels": shuffle_pixels(images, everywhere),
    }.items():
        assert torch.equal(pairs[name][1](images), expected)
    assert pairs["pixels"][0] is network
    assert pairs[UNDONE][0] is not network


def test_the_examples_are_the_images_and_their_shuffles(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "val" / "a").mkdir(parents=True)
    for i, pixels in enumerate(levels):
        Image.fromarray(pixels).save(tmp_path / "val" / "a" / f"{i}.png")
    network = mixer(image_size=8, patch_size=4)
    config = Config(patch=4, seed=2, protocol="direct", test=ImagesConfig(str(tmp_path), "val"))
    page = np.asarray(example_sheet(config, network))
    scale, top = 128 // 8, 22 + 4  # a title and a margin
    rows = [page[top + i * (22 + 136) :, 4:][:128:scale] for i in range(3)]
    cells = [[row[:, x : x + 128 : scale] for x in (0, 132)] for row in rows]  # (8, 8, 3) each
    images = torch.from_numpy(levels).permute(0, 3, 1, 2).float()
    order, pixels, everywhere = random_permutations(2, (8, 8), (4, 4))
    expected = [images, shuffle_patches(images, (4, 4), order, pixels)]
    expected.append(shuffle_pixels(images, everywhere))
    for drawn, wanted in zip(cells, expected, strict=True):
        np.testing.assert_array_equal(np.stack(drawn), wanted.permute(0, 2, 3, 1))


def test_bars_have_the_range_of_the_seeds(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    figures = []
    monkeypatch.setattr(shuffle, "save_figure", lambda path, figure: figures.append(figure))
    results = {"m": {"original": {"mean": 0.5, "min": 0.4, "max": 0.8}}, "n": {}}
    plot(results, 5, tmp_path / "a.png")
    (axes,) = figures[0].axes
    ((bar,),) = axes.containers[1:] if len(axes.containers) > 1 else axes.containers
    assert bar.get_height() == pytest.approx(50)
    low, high = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(40), pytest.approx(80))
    assert axes.get_ylabel() == "linear 5-shot top-1 (%)"


def test_changes_are_relative_to_the_original(tmp_path, monkeypatch, capsys):
    means = iter([0.8, 0.8, 0.4])
    monkeypatch.setattr(
        shuffle.fewshot,
        "probe_rows",
        lambda *_: [{"mean": (mean := next(means)), "min": mean, "max": mean}],
    )
    network = mixer(image_size=8, patch_size=2)
    accuracies(Config(patch=4), Session(), BackboneConfig("m"), network)
    changes = [line.rpartition(", ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert changes == ["+0.0%", "-50.0%"]


def test_models_by_name_weights_and_folder(tmp_path):
    assert model_config("mixer_b16", (32, 64)) == BackboneConfig("mixer_b16", (32, 64))
    assert model_config("timm:resnet50=timm") == BackboneConfig("timm:resnet50", weights="timm")
    assert model_config(str(tmp_path)) == BackboneConfig(weights=str(tmp_path))


def test_run(tmp_path, capsys):
    generator = np.random.default_rng(0)
    for split, each in (("train", 4), ("val", 8)):
        for name in ("flat", "noisy"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(each):
                pixels = generator.normal(128, 60 if name == "noisy" else 30, (8, 8, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(tmp_path / split / name / f"{i}.png")
    models = ("mixer_c16_l2_p4", "mixer_c8_l1_p2")
    images = [ImagesConfig(str(tmp_path), split, workers=0) for split in ("train", "val")]
    config = Config(models, (8, 8), *images, patch=4, shots=3, protocol="direct")
    record = run(replace(config, out=str(tmp_path / "out")), Session())
    first, second = (record["results"][name] for name in models)
    assert first[UNDONE]["accuracies"] == first["original"]["accuracies"]
    assert set(second) == {"original", "patches", "pixels"}
    saved = json.loads((tmp_path / "out" / "shuffle.json").read_text())
    assert saved["results"] == record["results"]
    with Image.open(tmp_path / "out" / "shuffle_examples.png") as sheet:
        assert sheet.size == (6 * 132 + 4, 3 * (22 + 136))  # six images, three rows under a title
    with Image.open(tmp_path / "out" / "shuffle.png") as plot:
        assert len(plot.convert("RGB").getcolors(10**6)) > 4
    assert "patches, weights permuted" in capsys.readouterr().out
