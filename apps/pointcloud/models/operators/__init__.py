"""The operators that refine points: one contract over the rows of the PointMixer paper's Table 3.

    pointnet            a shared MLP and the maximum over the cloud
    pointnet2           the maximum over the neighbours of a small MLP with relative positions
    point_transformer   vector attention over the neighbours
    recon_transformer   the same with PointRecon's amplified positional encoding
    pointmixer          intra-set and inter-set mixing
    core_mixer          core's Mixer over patches of points (not in the paper); core_mixer_c256 with
                        that many channels inside, as an image Mixer has them

Each is a module `forward(features (N, C), points (N, 3), batch (N,)) -> (N, C)` over packed clouds
(`apps.pointcloud.geometry.segments`). Clouds do not see each other but in the statistics of batch
normalisation while training. The order of a cloud's points plays no role, but for points at one and
the same place, of which neighbours may leave out any. Clouds may have any size from one point.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from apps.pointcloud.geometry.search import knn
from apps.pointcloud.models.operators.block import OperatorBlock
from apps.pointcloud.models.operators.core_mixer import CoreMixerOperator
from apps.pointcloud.models.operators.point_transformer import PointTransformerOperator
from apps.pointcloud.models.operators.pointmixer import PointMixing
from apps.pointcloud.models.operators.pointnet import PointNetOperator
from apps.pointcloud.models.operators.pointnet2 import PointNet2Operator
from apps.pointcloud.models.operators.recon_transformer import ReconTransformerOperator
from core.errors import InputError, did_you_mean

OPERATORS = {
    "pointnet": PointNetOperator,
    "pointnet2": PointNet2Operator,
    "point_transformer": PointTransformerOperator,
    "recon_transformer": ReconTransformerOperator,
    "pointmixer": PointMixing,
    "core_mixer": CoreMixerOperator,
}
WIDE = re.compile("core_mixer_c([1-9][0-9]{0,3})")  # and how wide


def create_operator(name: str, channels: int, neighbours: int = 16) -> OperatorBlock:
    """One of OPERATORS in the residual block that all of them share.

    channels: C; pointmixer needs a multiple of 16. neighbours: k, of which pointnet makes no use;
    the weights do not depend on it, and `block.neighbours` may be set to another number.
    Raises InputError for an unknown name.
    """
    if neighbours < 1:
        raise InputError(f"neighbours is {neighbours}; choose 1 or more")
    operator = _of_name(name, channels)
    return OperatorBlock(channels, operator, 0 if name == "pointnet" else neighbours)


def check_operator(name: str) -> None:
    """Raise InputError for a name of no operator."""
    if name not in OPERATORS and not WIDE.fullmatch(name):
        raise InputError(f"unknown operator {name!r}.{did_you_mean(name, OPERATORS)}")


def _of_name(name: str, channels: int) -> nn.Module:
    check_operator(name)
    wide = WIDE.fullmatch(name)
    return CoreMixerOperator(channels, int(wide[1])) if wide else OPERATORS[name](channels)


class Blocks(nn.ModuleList):
    """Blocks around one operator, one after another over the same points, (N, C) -> (N, C).

    Raises InputError as create_operator does.
    """

    def __init__(self, name: str, channels: int, neighbours: int, count: int):
        super().__init__(create_operator(name, channels, neighbours) for _ in range(count))

    def forward(self, features: Tensor, points: Tensor, batch: Tensor) -> Tensor:
        """features (N, C), points (N, 3), batch (N,) sorted."""
        k = self[0].neighbours
        index = knn(points, points, k, batch, batch) if k else None  # the same for all blocks
        for block in self:
            features = block(features, points, batch, index)
        return features
