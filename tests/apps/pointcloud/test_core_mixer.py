"""The core_mixer operator: its windows, what mixes them, and pretrained channel mixing."""

import pytest
import torch

from apps.pointcloud.geometry.search import knn
from apps.pointcloud.geometry.segments import pack
from apps.pointcloud.models.operators import create_operator
from apps.pointcloud.models.operators.core_mixer import (
    TOKENS,
    curve_order,
    load_channel_mixing,
    windows,
)
from core import InputError, create_backbone


def test_windows_cover_every_cloud_evenly():
    points, batch = pack([torch.randn(size, 3) for size in (200, 5, 64, 65)])
    members = windows(points, batch, TOKENS)
    assert members.shape == (4 + 1 + 1 + 2, TOKENS)
    assert all(len(set(batch[row].tolist())) == 1 for row in members)
    assert members.flatten().unique().tolist() == list(range(334))
    counts = torch.bincount(members.flatten())
    assert counts[:200].max() == 2
    assert counts[205:269].max() == 1
    assert sorted(counts[200:205].tolist()) == [12, 13, 13, 13, 13]


def test_the_curve_visits_octants_one_by_one():
    points = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    order = curve_order(points, torch.zeros(64, dtype=torch.int64))
    octants = (points[order] >= 2).view(8, 8, 3)
    assert (octants == octants[:, :1]).all()
    assert len({tuple(octant.tolist()) for octant in octants[:, 0]}) == 8


def test_core_mixer_mixes_windows_with_cores_mixer():
    p, batch = pack([torch.randn(size, 3) for size in (20, 8)])
    x, index = torch.randn(28, 16), knn(p, p, 6, batch, batch)
    net = create_operator("core_mixer", 16, 6).operator.eval()
    y = net(x, p, batch, index)
    patches, members = net.patches(x, p, batch, index), windows(p, batch, TOKENS)
    for b in (0, 1):  # one window each, whose points come several times
        at = members[b]
        tokens = patches[at] + net.position(p[at] - p[at].mean(0))
        mixed = net.mixer.forward_tokens(tokens[None])[0]
        for i in at.unique():
            torch.testing.assert_close(y[i], mixed[at == i].mean(0))


def test_channel_mixing_from_an_image_mixer(tmp_path):
    from core.models.sharing import save_backbone

    images = create_backbone("mixer_c32_l3_p8", (32, 32), gelu="exact")
    block, untouched = (create_operator("core_mixer", 32, 8) for _ in range(2))
    for weights in (images, save_backbone(images, tmp_path / "images")):
        block = create_operator("core_mixer", 32, 8)
        tokens = [b.mlp_tokens.fc1.weight.clone() for b in block.operator.mixer.blocks]
        load_channel_mixing(block, weights)
        x = torch.randn(5, 2, 32)
        pairs = list(zip(block.operator.mixer.blocks, images.blocks, strict=False))
        assert len(pairs) == 2
        for own, theirs in pairs:
            torch.testing.assert_close(own.channel_mixing(x), theirs.channel_mixing(x))
        kept = [b.mlp_tokens.fc1.weight for b in block.operator.mixer.blocks]
        assert all(torch.equal(a, b) for a, b in zip(tokens, kept, strict=True))
    with pytest.raises(InputError, match="choose the operator core_mixer_c32"):
        load_channel_mixing(create_operator("core_mixer", 16, 8), images)
    with pytest.raises(InputError, match="1 blocks; 2 are needed"):
        load_channel_mixing(untouched, create_backbone("mixer_c32_l1_p8", (32, 32)))
    with pytest.raises(InputError, match="core_mixer alone"):
        load_channel_mixing(create_operator("pointmixer", 32, 8), images)


def test_a_wide_mixer_inside_takes_the_weights_of_images():
    """16 channels around 32: the blocks mix as the image Mixer's do, and gradients reach all."""
    images = create_backbone("mixer_c32_l3_p8", (32, 32))
    block = create_operator("core_mixer_c32", 16, 6)
    load_channel_mixing(block, images)
    x = torch.randn(2, 5, 32)
    for own, theirs in zip(block.operator.mixer.blocks, images.blocks, strict=False):
        torch.testing.assert_close(own.channel_mixing(x), theirs.channel_mixing(x))

    p, batch = pack([torch.randn(size, 3) for size in (70, 8)])
    y = block(torch.randn(78, 16), p, batch)
    assert y.shape == (78, 16)
    y.square().sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())


def test_names_of_wide_mixers():
    assert create_operator("core_mixer_c16", 16, 6).operator.mixer.config.hidden_dim == 16
    for name in ("core_mixer_c0", "core_mixer_c", "core_mixer_c99999", "core_mixer_x"):
        with pytest.raises(InputError, match="unknown operator"):
            create_operator(name, 16, 6)
