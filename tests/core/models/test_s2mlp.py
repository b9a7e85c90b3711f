"""S2-MLP against loops, formulas and counts that are written out here."""

import copy

import pytest
import torch
import torch.nn.functional as F

from core import InputError, create_backbone
from core.models.networks.s2mlp import S2MLP, S2MLPConfig, spatial_shift


def s2mlp(**changes) -> S2MLP:
    torch.manual_seed(0)
    sizes = {"image_size": (12, 10), "patch_size": 2, "hidden_dim": 16, "num_blocks": 3}
    return S2MLP(S2MLPConfig(**{**sizes, **changes})).eval()


def shift_by_loops(x: torch.Tensor) -> torch.Tensor:
    """The definition, value by value; (B, h, w, C) on the CPU."""
    _, h, w, channels = x.shape
    source, shifted = x.numpy(), torch.empty_like(x)
    steps = [(0, -1), (0, 1), (-1, 0), (1, 0)]  # where each quarter of the channels looks
    for index in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        b, row, column, channel = index
        dr, dc = steps[channel // (channels // 4)]
        inside = 0 <= row + dr < h and 0 <= column + dc < w
        where = (b, row + dr, column + dc, channel) if inside else tuple(index)
        shifted[tuple(index)] = float(source[where])
    return shifted


@pytest.mark.parametrize("shape", [(2, 5, 4, 8), (1, 3, 7, 4), (2, 1, 4, 8), (2, 3, 1, 4)])
def test_shift_against_loops(shape):
    x = torch.randn(shape)
    before = x.clone()
    assert torch.equal(spatial_shift(x), shift_by_loops(before))
    assert torch.equal(x, before)
    view = torch.randn(shape).permute(0, 2, 1, 3)  # not contiguous
    assert torch.equal(spatial_shift(view), shift_by_loops(view.contiguous()))


def test_shift_moves_by_one_and_does_not_smear():
    ramp = torch.arange(6.0)
    column, row = ramp.view(1, 6, 1, 1).expand(1, 6, 1, 4), ramp.view(1, 1, 6, 1).expand(1, 1, 6, 4)
    plus, minus, same = [0, 0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 5], ramp.tolist()
    assert spatial_shift(row)[0, 0].T.tolist() == [plus, minus, same, same]
    assert spatial_shift(column)[0, :, 0].T.tolist() == [same, same, plus, minus]


def test_shift_gradient():
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(spatial_shift, x)


def test_channels_that_do_not_divide_by_four():
    with pytest.raises(InputError, match=r"6 channels.*4 groups"):
        spatial_shift(torch.zeros(1, 2, 2, 6))
    with pytest.raises(InputError, match=r"hidden_dim 30.*choose 32"):
        s2mlp(hidden_dim=30)


def test_s2_block_is_the_formula():
    block, x = s2mlp().blocks[1], torch.randn(2, 3, 5, 16)
    p = dict(block.named_parameters())

    def norm(x, name):
        return F.layer_norm(x, (16,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    with torch.no_grad():
        hidden = F.gelu(linear(norm(x, "norm1"), "mlp_shift.fc1"))
        u = x + linear(shift_by_loops(hidden), "mlp_shift.fc2")
        y = u + linear(F.gelu(linear(norm(u, "norm2"), "mlp_channels.fc1")), "mlp_channels.fc2")
        torch.testing.assert_close(block(x), y)
        torch.testing.assert_close(x + block.shift_mixing(x), u)
        torch.testing.assert_close(u + block.channel_mixing(u), y)


def test_the_same_weights_give_the_same_interior_at_another_size():
    """Three blocks see three tokens far, and no token knows where in the image it is."""
    small = s2mlp(image_size=(18, 16))
    large = copy.deepcopy(small)
    large.set_image_size((26, 22))
    assert (large.grid, large.describe()["image_size"]) == ((13, 11), (26, 22))
    images = torch.randn(2, 3, 26, 22)
    with torch.no_grad():
        crop, whole = small.feature_map(images[:, :, 4:22, 2:18]), large.feature_map(images)
    difference = (crop - whole[:, :, 2:11, 1:9]).abs()
    assert difference[:, :, 3:-3, 3:-3].max() < 1e-5 < difference.max()
    assert difference[:, :, 3:-3, 3:-3].numel() > 0
    with pytest.raises(InputError, match=r"200x312.*16x16: choose 208x320"):
        create_backbone("s2mlp_wide", (32, 32), num_blocks=1).set_image_size((200, 312))


@pytest.mark.parametrize(
    ("name", "blocks", "width"), [("s2mlp_wide", 12, 768), ("s2mlp_deep", 36, 384)]
)
def test_s2mlp_parameters_by_hand(name, blocks, width):
    shift, mlp = 2 * (width**2 + width), 8 * width**2 + 5 * width  # weights and biases, r = 4
    norm, stem, head = 2 * width, 3 * 16 * 16 * width + width, 1000 * width + 1000
    by_hand = blocks * (shift + mlp + 2 * norm) + stem + 2 * norm
    with torch.device("meta"):
        backbone = create_backbone(name, 224)
    assert sum(p.numel() for p in backbone.parameters()) == by_hand
    printed = {"s2mlp_wide": (71.47, 72.24), "s2mlp_deep": (53.53, 53.92)}[name]
    assert (round(by_hand / 1e6, 2), round((by_hand + head) / 1e6, 2)) == printed


def test_s2mlp_pyramid_depths():
    backbone = s2mlp(num_blocks=6)
    images = torch.randn(2, 3, 12, 10)
    assert len(backbone.pyramid(images)) == 4
    after_two = backbone.blocks[1](backbone.blocks[0](backbone.embed(images)))
    chosen = backbone.pyramid(images, depths=[5, 2])
    assert len(chosen) == 2
    torch.testing.assert_close(chosen[0], backbone.norm(after_two).permute(0, 3, 1, 2))
    with pytest.raises(InputError, match=r"\[0, 7\].*1\.\.6"):
        backbone.pyramid(images, depths=[7, 0])
