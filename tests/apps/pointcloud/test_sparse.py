"""Sparse convolution against dense convolution, and sets of voxels."""

import pytest
import torch
import torch.nn.functional as F

from apps.pointcloud.models.sparse import GenerativeConv, Sites, SparseConv, Voxels, join
from apps.pointcloud.models.sparse.keys import LIMIT, pack_keys, unpack_keys
from apps.pointcloud.models.sparse.layers import convolve
from core.errors import InputError

SIDE = 10  # of the dense grid; its corner is CORNER
CORNER = -4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_voxels(count=150, channels=5, clouds=2, seed=0, dtype=torch.float32, stride=1):
    """Random occupied voxels of a grid that reaches from -4 to 5 on each axis."""
    draw = generator(seed)
    places = torch.randint(CORNER, CORNER + SIDE, (count, 3), generator=draw)
    batch = torch.randint(0, clouds, (count, 1), generator=draw)
    sites = Sites.of(torch.cat([batch, places], 1), stride)
    return Voxels(sites, torch.randn(len(sites), channels, generator=draw, dtype=dtype))


def dense(voxels, corner=CORNER, side=SIDE, clouds=2):
    """(B, C, side, side, side), zero where nothing is."""
    grid = voxels.features.new_zeros(clouds, side, side, side, voxels.features.shape[1])
    batch, x, y, z = voxels.coords.unbind(1)
    grid[batch, x - corner, y - corner, z - corner] = voxels.features
    return grid.permute(0, 4, 1, 2, 3)


def read(grid, coords, corner):
    """Rows (V, C) of a dense grid at coords."""
    batch, x, y, z = coords.unbind(1)
    return grid.permute(0, 2, 3, 4, 1)[batch, x - corner, y - corner, z - corner]


def dense_weight(conv, kernel):
    """(K, C, D) as conv3d's (D, C, kx, ky, kz)."""
    return conv.weight.unflatten(0, (kernel,) * 3).permute(4, 3, 0, 1, 2)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_submanifold_is_dense_convolution_at_the_voxels():
    voxels, conv = some_voxels(), SparseConv(5, 7)
    out = conv(voxels)
    expected = F.conv3d(dense(voxels), dense_weight(conv, 3), padding=1)
    assert torch.equal(out.coords, voxels.coords)
    close(out.features, read(expected, out.coords, CORNER))


@pytest.mark.parametrize("kernel", [2, 3])
def test_strided_is_dense_convolution_at_the_coarse_voxels(kernel):
    voxels, conv = some_voxels(), SparseConv(5, 7, kernel, to="coarse")
    out = conv(voxels)
    padding = kernel // 3  # kernel 3 stands on even places and reaches one to each side
    expected = F.conv3d(dense(voxels), dense_weight(conv, kernel), stride=2, padding=padding)
    holders = {(b, x // 2, y // 2, z // 2) for b, x, y, z in voxels.coords.tolist()}
    assert out.stride == 2
    assert [tuple(row) for row in out.coords.tolist()] == sorted(holders)
    close(out.features, read(expected, out.coords, CORNER // 2))


def test_dilated_is_dense_convolution_wherever_the_kernel_reaches():
    voxels, conv = some_voxels(20), SparseConv(5, 7, 3, to="dilated")
    out = conv(voxels)
    expected = F.conv3d(dense(voxels), dense_weight(conv, 3), padding=2)
    close(dense(out, CORNER - 1, SIDE + 2), expected)  # everywhere: it is zero elsewhere


def test_generative_is_dense_transposed_convolution():
    voxels, conv = some_voxels(stride=4), GenerativeConv(5, 7)
    out = conv(voxels)
    weight = conv.weight.unflatten(0, (2, 2, 2)).permute(3, 4, 0, 1, 2)
    expected = F.conv_transpose3d(dense(voxels), weight, stride=2)
    assert (out.stride, len(out)) == (2, 8 * len(voxels))
    close(dense(out, 2 * CORNER, 2 * SIDE), expected)


def test_gradients_are_those_of_dense_convolution():
    voxels, conv = some_voxels(400), SparseConv(5, 7)
    x = voxels.features.requires_grad_()
    conv(voxels).features.square().sum().backward()
    got = x.grad.clone(), conv.weight.grad.clone()
    x.grad = conv.weight.grad = None
    out = F.conv3d(dense(voxels), dense_weight(conv, 3), padding=1)
    read(out, voxels.coords, CORNER).square().sum().backward()
    close(got[0], x.grad)
    torch.testing.assert_close(got[1], conv.weight.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kernel", "to"), [(3, "same"), (2, "coarse"), (3, "coarse")])
def test_gradients_of_convolution_in_double_precision(kernel, to):
    voxels = some_voxels(60, 3, dtype=torch.float64)
    sites = voxels.sites
    pairs = sites.map_to(sites if to == "same" else sites.coarse, kernel)
    weight = torch.randn(kernel**3, 3, 2, dtype=torch.float64, generator=generator())
    inputs = voxels.features.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: convolve(x, w, pairs), inputs)


def test_gradients_of_generation_and_joining_in_double_precision():
    coarse = some_voxels(12, 3, stride=2, dtype=torch.float64)
    fine = some_voxels(40, 2, seed=1, dtype=torch.float64)
    conv = GenerativeConv(3, 2).double()

    def function(a, b):
        children = conv(Voxels(coarse.sites, a))
        return join(children, Voxels(fine.sites, b)).features

    inputs = coarse.features.requires_grad_(), fine.features.requires_grad_()
    assert torch.autograd.gradcheck(function, inputs)


def test_tiles_change_nothing(monkeypatch):
    whole = SparseConv(5, 7)(some_voxels(900))
    monkeypatch.setattr("apps.pointcloud.models.sparse.kernel_map.tile_size", lambda device: 100)
    conv = SparseConv(5, 7)
    voxels = some_voxels(900)
    assert len(voxels) > 500
    assert len(whole) == len(voxels)
    expected = F.conv3d(dense(voxels), dense_weight(conv, 3), padding=1)
    close(conv(voxels).features, read(expected, voxels.coords, CORNER))


def test_layers_of_one_resolution_share_their_maps(monkeypatch):
    voxels, calls = some_voxels(), []
    from apps.pointcloud.models.sparse import sites

    build = sites.kernel_map
    monkeypatch.setattr(sites, "kernel_map", lambda *a: calls.append(1) or build(*a))
    for _ in range(3):
        voxels = SparseConv(5, 5)(voxels)
        down = SparseConv(5, 5, 2, to="coarse")(voxels)
        SparseConv(5, 5)(down)
    assert len(calls) == 3  # at stride 1, from 1 to 2, at stride 2


def test_bfloat16_autocast_is_near_float32():
    voxels, conv = some_voxels(400, 16), SparseConv(16, 16)
    exact = conv(voxels).features
    with torch.autocast("cpu", torch.bfloat16):
        rough = conv(voxels).features
    assert rough.dtype == torch.bfloat16
    rough.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32
    assert (rough.float() - exact).norm() < 0.01 * exact.norm()


def test_double_precision_stays_under_autocast():
    voxels, conv = some_voxels(dtype=torch.float64), SparseConv(5, 5).double()
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(voxels).features.dtype == torch.float64


def test_keys_are_ordered_as_their_coordinates_and_come_back():
    coords = some_voxels(clouds=3).coords
    edges = torch.tensor([[0, -LIMIT, LIMIT, 0], [4095, LIMIT, -LIMIT, LIMIT]])
    coords = torch.cat([coords, edges])
    keys = pack_keys(coords)
    assert torch.equal(unpack_keys(keys), coords)
    rows = [tuple(row) for row in coords.tolist()]
    assert [rows[i] for i in keys.argsort().tolist()] == sorted(rows)


@pytest.mark.parametrize("row", [[0, LIMIT + 1, 0, 0], [0, 0, 0, -LIMIT - 1]])
def test_too_large_an_extent_is_said(row):
    with pytest.raises(InputError, match="larger voxel length"):
        pack_keys(torch.tensor([row]))


@pytest.mark.parametrize("batch", [-1, 4096])
def test_too_many_clouds_are_said(batch):
    with pytest.raises(InputError, match="clouds"):
        pack_keys(torch.tensor([[batch, 0, 0, 0]]))


def test_coordinates_of_another_kind_are_said():
    with pytest.raises(InputError, match="int64"):
        pack_keys(torch.zeros(3, 3))


def test_convolution_at_the_largest_extent():
    """Neighbours at the border of one axis do not wrap around into the next."""
    coords = torch.tensor([[0, 0, 0, LIMIT], [0, 0, 1, -LIMIT], [1, -LIMIT, 0, 0]])
    voxels, conv = Voxels.of(coords, torch.ones(3, 1)), SparseConv(1, 1)
    close(conv(voxels).features, conv.weight[13].expand(3, 1))


def test_order_of_rows_plays_no_role():
    voxels = some_voxels()
    turned = torch.randperm(len(voxels), generator=generator())
    again = Voxels.of(voxels.coords[turned], voxels.features[turned])
    assert torch.equal(again.coords, voxels.coords)
    assert torch.equal(again.features, voxels.features)


def test_a_voxel_that_comes_twice_is_said():
    with pytest.raises(InputError, match="twice"):
        Voxels.of(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 1))


def test_join_sums_over_the_union():
    a, b = some_voxels(80), some_voxels(80, seed=1)
    both = join(a, b)
    close(dense(both), dense(a) + dense(b))
    rows = {tuple(row) for row in torch.cat([a.coords, b.coords]).tolist()}
    assert [tuple(row) for row in both.coords.tolist()] == sorted(rows)
    assert join(both, a).sites is both.sites  # which keeps its kernel maps


def test_join_of_different_strides_is_said():
    with pytest.raises(InputError, match="strides 1 and 2"):
        join(some_voxels(), some_voxels(stride=2))


def test_prune():
    voxels = some_voxels()
    mask = voxels.features[:, 0] > 0
    assert torch.equal(voxels.prune(mask).coords, voxels.coords[mask])
    assert torch.equal(voxels.prune(mask).features, voxels.features[mask])


def test_everything_pruned_goes_through_all_layers():
    voxels = some_voxels(stride=2)
    none = voxels.prune(torch.zeros(len(voxels), dtype=torch.bool))
    for layer in (
        SparseConv(5, 5),
        SparseConv(5, 5, 2, to="coarse"),
        SparseConv(5, 5, 3, to="dilated"),
        GenerativeConv(5, 5),
    ):
        out = layer(none)
        assert out.features.shape == (0, 5)
        out.features.sum().backward()
        assert not layer.weight.grad.any()
    assert torch.equal(join(none, voxels).features, voxels.features)
    assert torch.equal(join(voxels, none).features, voxels.features)
