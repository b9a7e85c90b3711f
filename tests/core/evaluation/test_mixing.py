"""Token-mixing weights as pictures: pairs, frequencies, and the pixels of a sheet."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import InputError
from core.evaluation.common import BackboneConfig
from core.evaluation.mixing import (
    Config,
    _pair_figures,
    run,
    token_mixing_weights,
)
from core.evaluation.mixing_pictures import BLUE, RED, UNIT_SIDE, WHITE, mixing_sheet
from core.evaluation.opposites import mean_frequency, opposite_pairs
from core.models.backbone import create_backbone
from core.models.networks.mixer import Mixer, MixerConfig
from core.training.session import Session


def waves(grid, *cycles):
    """Cosines of whole numbers of cycles along the width: (len(cycles), S)."""
    x = np.arange(grid[1]) / grid[1]
    return np.stack([np.tile(np.cos(2 * np.pi * n * x), grid[0]) for n in cycles])


def scrambled_opposites(units, rng):
    """(2 * units, 30) weights in which i and i + units are opposite, their order, and strengths."""
    kernels = rng.normal(size=(units, 30))
    weights = np.concatenate([kernels, -kernels * rng.uniform(0.5, 2, (units, 1))])
    return weights, rng.permutation(2 * units)


def test_opposite_units_are_put_together():
    weights, scramble = scrambled_opposites(12, np.random.default_rng(0))
    order = scramble[opposite_pairs(weights[scramble])].reshape(-1, 2)
    assert (np.abs(order[:, 0] - order[:, 1]) == 12).all()
    assert sorted(order.flatten()) == list(range(24))


def test_the_most_opposite_pair_is_first_and_a_single_unit_last():
    angles = np.deg2rad([0, 175, 90, 100, 278])  # 90 and 278 are 188 apart: 172 degrees
    weights = np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [5], [2], [1], [9]]
    order = opposite_pairs(weights)
    assert [set(order[:2]), set(order[2:4]), order[4]] == [{3, 4}, {0, 1}, 2]


def test_units_of_zeros_take_part():
    order = opposite_pairs(np.array([[0.0, 0.0], [1, 0], [0, 0], [-1, 0]]))
    assert [set(order[:2]), set(order[2:])] == [{1, 3}, {0, 2}]


def test_frequencies_of_waves():
    weights = np.concatenate([waves((3, 8), 0, 1, 2, 4), np.zeros((1, 24))])
    np.testing.assert_allclose(mean_frequency(weights, (3, 8)), [0, 1 / 8, 2 / 8, 4 / 8, 0])
    down = waves((8, 3)[::-1], 2).reshape(3, 8).T.reshape(1, 24)
    np.testing.assert_allclose(mean_frequency(down, (8, 3)), [2 / 8])


def test_pixels_of_a_sheet():
    """One unit on a 2x4 grid: squares of 14 pixels behind white margins, white is 0."""
    scale = UNIT_SIDE // 4
    sheet = mixing_sheet(np.array([[-2.0, 0, 1, 0, 0, 0, 0, 0]]), (2, 4), pairs=False)
    assert sheet.dtype == np.uint8
    margin = 1 + 5  # of the unit, and of the sheet
    assert sheet.shape == (2 * scale + 2 * margin, 4 * scale + 2 * margin, 3)
    inner = sheet[margin:-margin, margin:-margin].reshape(2, scale, 4, scale, 3)
    half_red = np.round((np.array(WHITE) + RED) / 2)
    for (row, column), colour in {(0, 0): BLUE, (0, 1): WHITE, (0, 2): half_red}.items():
        assert (inner[row, :, column] == colour).all()
    assert (inner[1] == WHITE).all()
    assert (sheet[:margin] == 255).all()


def test_pairs_stand_side_by_side_by_frequency():
    high, low = waves((8, 8), 3)[0], waves((8, 8), 1)[0]
    sheet = mixing_sheet(np.stack([high, low, -0.5 * high, -low, 0.1 * low]), (8, 8))
    rows = [5 + 1 + i * (UNIT_SIDE + 2 + 5) for i in range(3)]  # three pairs below each other
    pairs = [[values(sheet, row, 6 + i * (UNIT_SIDE + 1)) for i in range(2)] for row in rows]
    for pair, expected in (
        (pairs[0], ([low, -low], [-low, low])),
        (pairs[1], ([high, -0.5 * high], [-0.5 * high, high])),  # the pair has one colour range
    ):
        assert any(np.allclose(pair, units, atol=0.01) for units in expected)
    np.testing.assert_allclose(pairs[2][0], low, atol=0.01)
    assert (sheet[rows[2] : rows[2] + UNIT_SIDE, 6 + UNIT_SIDE + 1 :] == 255).all()


def values(sheet, y, x):
    """Read a unit of 8x8 back from its colours: (64,) in -1..1."""
    step = UNIT_SIDE // 8
    colours = sheet[y : y + UNIT_SIDE : step, x : x + UNIT_SIDE : step].reshape(64, 3).astype(float)
    red = (WHITE[2] - colours[:, 2]) / (WHITE[2] - RED[2])
    blue = (WHITE[0] - colours[:, 0]) / (WHITE[0] - BLUE[0])
    return np.where(colours[:, 0] > colours[:, 2], red, -blue)


def test_block_diagonal_weights_stay_in_their_corner():
    weights, corner = np.zeros((4, 8, 8)), np.random.default_rng(0).normal(size=(4, 4))
    for unit, (row, column) in enumerate([(0, 0), (0, 4), (0, 0), (0, 4)]):
        weights[unit, row : row + 4, column : column + 4] = corner * (-1) ** (unit // 2)
    flat = weights.reshape(4, 64)
    assert {frozenset(pair) for pair in opposite_pairs(flat).reshape(2, 2).tolist()} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }
    assert mixing_sheet(flat, (8, 8)).shape[2] == 3


def test_the_blocks_asked_for():
    mixer = create_backbone("mixer_c8_l4_p4", (8, 12))
    assert list(token_mixing_weights(mixer)) == [1, 2, 3]
    chosen = token_mixing_weights(mixer, (-1, 2))
    assert list(chosen) == [4, 2]
    np.testing.assert_allclose(chosen[4], mixer.blocks[3].mlp_tokens.fc1.weight.detach())
    for wrong in (0, 5, -5):
        with pytest.raises(InputError, match=rf"blocks has {wrong}; this model has 1\.\.4"):
            token_mixing_weights(mixer, (1, wrong))


def test_a_model_without_token_mixing():
    convolutional = create_backbone("timm:test_resnet", 32)
    with pytest.raises(InputError, match=r"timm:test_resnet has no token-mixing MLPs"):
        token_mixing_weights(convolutional)


def test_run(tmp_path):
    config = Config(BackboneConfig("mixer_c20_l2_p4", (8, 12)), units=6, out=str(tmp_path))
    record = run(config, Session())
    assert [block["block"] for block in record["blocks"]] == [1, 2]
    assert all(len(block["cosines"]) == 3 for block in record["blocks"])
    assert json.loads((tmp_path / "mixing.json").read_text())["blocks"] == record["blocks"]
    with Image.open(tmp_path / "mixing.png") as picture:
        assert picture.mode == "RGB"
    with pytest.raises(InputError, match="units is -1"):
        run(Config(config.model, units=-1, out=str(tmp_path)), Session())


def test_figures_of_a_pair():
    """The cosine of its units, and the mean of their frequencies."""
    low, high = waves((1, 8), 1, 3)
    mixed = -low + 0.2 * high
    figures = _pair_figures(4, np.stack([low, mixed]), (1, 8))
    assert figures["block"] == 4
    assert figures["cosines"] == pytest.approx([-1 / 1.04**0.5])
    frequencies = mean_frequency(np.stack([low, mixed]), (1, 8))
    assert frequencies[0] < frequencies[1]
    assert figures["frequencies"] == pytest.approx([frequencies.mean()])


def test_the_strongest_units_are_shown(tmp_path):
    from core.models.sharing import save_backbone

    mixer = Mixer(MixerConfig((8, 12), (4, 4), 8, 1, 6, 16))
    pair = torch.tensor([3.0, 1, -2, 0, 5, 1])
    with torch.no_grad():
        mixer.blocks[0].mlp_tokens.fc1.weight[[1, 4]] = torch.stack([pair, -pair])
    save_backbone(mixer, tmp_path / "mixer")
    config = Config(BackboneConfig(weights=str(tmp_path / "mixer")), units=2, out=str(tmp_path))
    assert run(config, Session())["blocks"][0]["cosines"] == pytest.approx([-1.0])
