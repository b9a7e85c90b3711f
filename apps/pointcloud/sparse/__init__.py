"""Sparse convolution in plain torch: occupied voxels, kernel maps, convolutions, an hourglass."""

from apps.pointcloud.sparse.hourglass import Hourglass
from apps.pointcloud.sparse.layers import GenerativeConv, ResidualBlock, SparseConv
from apps.pointcloud.sparse.sites import Sites
from apps.pointcloud.sparse.voxels import Voxels, join

__all__ = [
    "GenerativeConv",
    "Hourglass",
    "ResidualBlock",
    "Sites",
    "SparseConv",
    "Voxels",
    "join",
]
