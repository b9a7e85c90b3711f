"""Sparse convolution in plain torch: occupied voxels, kernel maps, convolutions, an hourglass."""

from apps.pointcloud.models.sparse.hourglass import Hourglass
from apps.pointcloud.models.sparse.layers import GenerativeConv, ResidualBlock, SparseConv
from apps.pointcloud.models.sparse.sites import Sites
from apps.pointcloud.models.sparse.voxels import Voxels, join

__all__ = [
    "GenerativeConv",
    "Hourglass",
    "ResidualBlock",
    "Sites",
    "SparseConv",
    "Voxels",
    "join",
]
