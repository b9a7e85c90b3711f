"""ReconNet: a sparse, noisy cloud in, a dense and clean one out, by way of voxels.

Legend: N points in, B clouds, V voxels, C channels, M points of a voxel, P = V * M points out, v
the voxel length.

What is known of PointRecon (Choe et al., ICLR 2022, arXiv 2111.11704), the network in which
PointMixer's Table 3 swaps an operator: two stages; the first a sparse stacked hourglass for initial
densification and denoising, the second turns the discrete voxels into points. There is no public
code of either. All else here is our reading:

1   points to voxels of length v, five features each (`voxelize`); a 3x3x3 convolution; hourglasses
    one after another, each of which says at D + 1 strides which voxels are occupied (`sparse`). A
    voxel is supervised wherever it is a candidate, at every level of every hourglass.
2   voxels of the last hourglass become points at their centres, with its features; blocks around
    the operator (`operators`), which differ by nothing else; a linear layer places M points around
    each centre, at most `REACH` voxel lengths away along each axis.

Both stages are trained together, where PointRecon may have trained them in turn. Voxels should be
no shorter than about twice the distance of neighbouring points of the target: else places of the
surface that no point happens to hit count as empty.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from apps.pointcloud.config import ModelConfig
from apps.pointcloud.models.base import Network
from apps.pointcloud.models.operators import Blocks
from apps.pointcloud.models.sparse.hourglass import ConvNorm, Hourglass
from apps.pointcloud.models.sparse.layers import SparseConv
from apps.pointcloud.models.sparse.sites import Sites
from apps.pointcloud.models.sparse.voxelize import CHANNELS, centres, occupied, voxelize
from apps.pointcloud.models.surface import SurfaceNet
from core.config import build
from core.errors import DIVERGED, InputError

REACH = 1.0  # voxel lengths: half of one reaches the voxel's own border


class ReconNet(Network):
    """Packed clouds to packed clouds; how in the module's docstring.

    Raises InputError for a number out of its range and an unknown operator.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        stem = SparseConv(CHANNELS, config.channels)
        self.stem = ConvNorm(stem, config.channels)
        self.hourglasses = nn.ModuleList(
            Hourglass(config.channels, config.depth) for _ in range(config.hourglasses)
        )
        self.refine = Refinement(config)

    def forward(
        self,
        points: Tensor,
        batch: Tensor,
        target: Tensor | None = None,
        target_batch: Tensor | None = None,
    ) -> dict[str, Any]:
        """points (N, 3), batch (N,) -> {"points": (P, 3), "batch": (P,), "levels": list}.

        target (N', 3), target_batch (N',): the true points, in training, where truly occupied
        voxels are not pruned. levels: what each level of each hourglass says (`sparse.hourglass`),
        in the order in which they speak. Each cloud that has points gets some. Raises
        InputError where nothing is left, as of numbers that are not finite.
        """
        length, truth, levels = self.config.voxel_length, None, []
        if target is not None:
            truth = occupied(target, target_batch, length)
        voxels = self.stem(voxelize(points, batch, length))
        for hourglass in self.hourglasses:
            voxels, own_levels = hourglass(voxels, truth)
            levels += own_levels
        if not len(voxels.batch):  # the likeliest one is none of NaN
            raise InputError(f"the network keeps no voxel of {len(points)} points, {DIVERGED}")
        refined = self.refine(voxels.features, voxels.sites)  # (V, M, 3)
        batch = voxels.batch.repeat_interleave(self.config.points)
        return {"points": refined.flatten(0, 1), "batch": batch, "levels": levels}

    @staticmethod
    def from_description(info: dict[str, Any], source: str) -> Network:
        """The network whose `describe()` this was, with random weights; ``source`` names it."""
        if info.get("app") != "pointcloud":
            raise InputError(
                f"{source} is no checkpoint of apps/pointcloud, but of {info.get('app')}"
            )
        if info.get("task"):
            raise InputError(f"{source} is of classify.py: give a run of train.py")
        return create_network(build(ModelConfig, info["model"], f"{source}: model"))


class Refinement(nn.Module):
    """Stage 2: M points for each voxel."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels = config.channels
        self.length, self.points = config.voxel_length, config.points
        self.blocks = Blocks(config.operator, channels, config.neighbours, config.blocks)
        self.offsets = nn.Linear(channels, 3 * config.points)
        nn.init.normal_(self.offsets.weight, std=0.01)
        nn.init.uniform_(self.offsets.bias, -0.5, 0.5)  # apart from one another from the start

    def forward(self, features: Tensor, sites: Sites) -> Tensor:
        """features (V, C) -> (V, M, 3), in the unit of the input."""
        places = centres(sites, 1.0)  # (V, 3); the operators see voxel lengths
        features = self.blocks(features, places, sites.batch)
        moved = self.offsets(features).float().tanh() * REACH  # (V, 3 M), in voxel lengths
        return (places[:, None] + moved.unflatten(1, (self.points, 3))) * self.length


def create_network(config: ModelConfig) -> Network:
    """The network of a configuration, with random weights; raises InputError as that does."""
    return SurfaceNet(config) if config.start == "surface" else ReconNet(config)
