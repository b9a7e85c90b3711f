"""As many points of a cloud as are asked for, spread evenly.

Legend: P points of all clouds, B clouds.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from apps.pointcloud.geometry.search import farthest_points
from apps.pointcloud.geometry.segments import cloud_sizes, cloud_starts
from core.errors import InputError


def resample(points: Tensor, batch: Tensor, count: int) -> Tensor:
    """Exactly `count` points of each cloud: points (P, 3), batch (P,) -> (B, count, 3).

    Of more, the farthest ones of one another (`search.farthest_points`); of fewer, all, again and
    again in the order of their sampling. Raises InputError for a cloud without points.
    """
    sizes = cloud_sizes(batch)
    if not bool((sizes > 0).all()):
        raise InputError(f"cloud {int(sizes.argmin())} has no points, which {count} cannot be made")
    chosen = farthest_points(points, count, batch)
    sizes = sizes.clamp_max(count)
    turns = torch.arange(count, device=batch.device) % sizes[:, None]  # (B, count)
    return points[chosen[cloud_starts(sizes)[:, None] + turns]]


def resample_cloud(points: Tensor, count: int) -> np.ndarray:
    """The same of one cloud: (P, 3) -> (count, 3)."""
    return resample(points, torch.zeros(len(points), dtype=torch.int64), count)[0].numpy()
