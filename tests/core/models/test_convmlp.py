"""ConvMLP against formulas, counts and names that are written out here."""

import pytest
import torch
import torch.nn.functional as F

from core import InputError, create_backbone
from core.models.building import build_backbone
from core.models.networks.convmlp import CONVMLPS, ConvMLP, ConvMLPConfig
from core.models.weights.formats import from_convmlp

FPN = {
    "convmlp_s": [64, 128, 256, 512],
    "convmlp_m": [64, 128, 256, 512],
    "convmlp_l": [96, 192, 384, 768],
}


def convmlp(**changes) -> ConvMLP:
    torch.manual_seed(0)
    sizes = {"image_size": (70, 40), "tokenizer_dim": 4, "num_conv_blocks": 2, "mlp_ratio": 2}
    stages = {"num_blocks": (1, 2, 2), "dims": (8, 12, 16)}
    network = ConvMLP(ConvMLPConfig(**{**sizes, **stages, **changes}))
    network(torch.randn(4, network.config.in_channels, *network.image_size))  # BatchNorm's averages
    return network.eval()


def test_convmlp_block_is_the_formula():
    block, x = convmlp().stages[0].blocks[0], torch.randn(2, 3, 5, 8)
    p = dict(block.named_parameters())

    def mlp(x, norm, name):
        x = F.layer_norm(x, (8,), p[f"{norm}.weight"], p[f"{norm}.bias"], 1e-5)
        x = F.gelu(x @ p[f"{name}.fc1.weight"].T + p[f"{name}.fc1.bias"])
        return x @ p[f"{name}.fc2.weight"].T + p[f"{name}.fc2.bias"]

    with torch.no_grad():
        u = x + mlp(x, "norm1", "channel_mlp1")
        weight, bias = p["connect_norm.weight"], p["connect_norm.bias"]
        padded = F.pad(F.layer_norm(u, (8,), weight, bias, 1e-5), (0, 0, 1, 1, 1, 1))
        taps = p["connect.weight"][:, 0].permute(1, 2, 0)  # (3, 3, C)
        v = sum(padded[:, i : i + 3, j : j + 5] * taps[i, j] for i in range(3) for j in range(3))
        torch.testing.assert_close(block(x), v + mlp(v, "norm2", "channel_mlp2"))


@pytest.mark.parametrize(
    ("name", "with_head"),
    [("convmlp_s", 9_022_920), ("convmlp_m", 17_410_504), ("convmlp_l", 42_728_440)],
)
def test_convmlp_parameters_and_pyramid(name, with_head):
    with torch.device("meta"):
        backbone = create_backbone(name, 224)
        images = torch.zeros(1, 3, 224, 224)
    width = backbone.num_features
    assert sum(p.numel() for p in backbone.parameters()) + 1000 * (width + 1) == with_head
    maps = backbone.pyramid(images)
    assert [m.shape[1] for m in maps] == FPN[name]
    assert [tuple(m.shape[2:]) for m in maps] == [(56, 56), (28, 28), (14, 14), (7, 7)]


@pytest.mark.parametrize("size", [(200, 312), (1, 33), (64, 96), (97, 32)])
def test_convmlp_takes_any_size(size):
    backbone = convmlp()
    backbone.set_image_size(size)
    maps = backbone.pyramid(torch.randn(2, 3, *size))
    assert [tuple(m.shape[2:]) for m in maps] == [
        tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)
    ]
    assert backbone.grid == tuple(maps[-1].shape[2:])
    assert backbone.describe()["image_size"] == backbone.image_size == size


def official_state(channels, conv_blocks, blocks, dims, ratio) -> dict[str, torch.Tensor]:
    """A random state dict with exactly the names and shapes of the authors' src/convmlp.py."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_bn(prefix, index, ins, outs, kernel):
        shapes[f"{prefix}.{index}.weight"] = (outs, ins, kernel, kernel)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{index + 1}.{name}"] = (outs,)
        shapes[f"{prefix}.{index + 1}.num_batches_tracked"] = ()

    def affine(prefix, *shape):
        shapes[f"{prefix}.weight"], shapes[f"{prefix}.bias"] = shape, (shape[0],)

    conv_bn("tokenizer.block", 0, 3, channels // 2, 3)
    conv_bn("tokenizer.block", 3, channels // 2, channels // 2, 3)
    conv_bn("tokenizer.block", 6, channels // 2, channels, 3)
    for i in range(conv_blocks):
        prefix = f"conv_stages.conv_blocks.{i}"
        conv_bn(prefix, 0, channels, dims[0], 1)
        conv_bn(prefix, 3, dims[0], dims[0], 3)
        conv_bn(prefix, 6, dims[0], channels, 1)
    affine("conv_stages.downsample", dims[0], channels, 3, 3)
    for stage, (count, dim) in enumerate(zip(blocks, dims, strict=True)):
        for i in range(count):
            prefix = f"stages.{stage}.blocks.{i}"
            for name in ("norm1", "norm2", "connect_norm"):
                affine(f"{prefix}.{name}", dim)
            for name in ("channel_mlp1", "channel_mlp2"):
                affine(f"{prefix}.{name}.fc1", ratio * dim, dim)
                affine(f"{prefix}.{name}.fc2", dim, ratio * dim)
            shapes[f"{prefix}.connect.weight"] = (dim, 1, 3, 3)
        if stage < 2:
            affine(f"stages.{stage}.downsample_mlp.downsample", dims[stage + 1], dim, 3, 3)
    affine("norm", dims[2])
    affine("head", 1000, dims[2])
    state = {name: torch.rand(shape) for name, shape in shapes.items()}
    return {k: v.long() if k.endswith("tracked") else v for k, v in state.items()}


@pytest.mark.parametrize("name", CONVMLPS)
def test_official_names(name):
    theirs = official_state(*CONVMLPS[name])
    stored = from_convmlp(theirs)
    with torch.device("meta"):
        assert stored.description == create_backbone(name, 224).describe()
    ours = build_backbone(stored)
    assert stored.head["weight"].shape == (1000, ours.num_features)
    for mine, official in (
        ("tokenizer.7.running_var", "tokenizer.block.7.running_var"),
        ("conv_blocks.1.3.weight", "conv_stages.conv_blocks.1.3.weight"),
        ("conv_downsample.bias", "conv_stages.downsample.bias"),
        ("stages.1.downsample.weight", "stages.1.downsample_mlp.downsample.weight"),
        ("stages.2.blocks.1.channel_mlp2.fc1.bias",) * 2,
        ("norm.weight", "norm.weight"),
    ):
        assert torch.equal(ours.state_dict()[mine], theirs[official])


def test_official_file(tmp_path):
    theirs = official_state(*CONVMLPS["convmlp_s"])
    torch.save(theirs, tmp_path / "convmlp_s_imagenet.pth")
    ours = create_backbone("convmlp_s", (40, 64), weights=tmp_path / "convmlp_s_imagenet.pth")
    assert (ours.grid, ours.normalization[0]) == ((2, 2), (0.485, 0.456, 0.406))
    assert torch.equal(ours.norm.bias, theirs["norm.bias"])
    with pytest.raises(InputError, match=r"holds convmlp of .*mlp_ratio 2.*convmlp_m.*ratio 3"):
        create_backbone("convmlp_m", 224, weights=tmp_path / "convmlp_s_imagenet.pth")
    del theirs["norm.weight"], theirs["norm.bias"]  # as their detection networks
    torch.save(theirs, tmp_path / "detection.pth")
    with pytest.raises(InputError, match=r"detection\.pth does not fit.*missing norm\.weight"):
        create_backbone("convmlp_s", 64, weights=tmp_path / "detection.pth")
