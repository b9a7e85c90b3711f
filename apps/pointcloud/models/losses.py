"""Losses of reconstruction, one number a cloud: (B,), as `Run.backward` takes them.

Legend: B clouds, P predicted and T true points, V voxels, v the voxel length.

    occupancy   binary cross entropy of a voxel's logit (nats), mean over the voxels of the cloud in
                each level, then over the levels
    chamfer     mean distance of the predicted points to their nearest true ones, plus mean distance
                of the true points to their nearest predicted ones, in voxel lengths: L1 in that
                distances are not squared, so that outliers do not rule. Divided by v the two losses
                are of one size, and the weights need not change with v.

Of a SurfaceNet the same in spacings of the input, each point's own, that of a true point being its
nearest predicted one's; none counts more than FAR, for what no displacement reaches (holes,
outliers) would else pull at what is right.

    validity    binary cross entropy of a point's logit against whether a true point is `near`
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from apps.pointcloud.config import LossConfig
from apps.pointcloud.geometry.search import knn
from apps.pointcloud.geometry.segments import cloud_sizes, segment_mean

FAR = 2.0  # spacings


def recon_losses(
    output: dict[str, Any],
    target: Tensor,
    target_batch: Tensor,
    clouds: int,
    voxel_length: float,
    config: LossConfig,
) -> dict[str, Tensor]:
    """{"occupancy": (B,), "chamfer": (B,)} of ReconNet's output, target (T, 3), B = clouds.

    Of SurfaceNet's {"validity": (B,), "chamfer": (B,)}.
    """
    if "validity" in output:
        return surface_losses(output, target, target_batch, clouds, config)
    chamfer = chamfer_distance(output["points"], output["batch"], target, target_batch, clouds)
    return {
        "occupancy": config.occupancy * occupancy_loss(output["levels"], clouds),
        "chamfer": config.chamfer * chamfer / voxel_length,
    }


def surface_losses(
    output: dict[str, Tensor],
    target: Tensor,
    target_batch: Tensor,
    clouds: int,
    config: LossConfig,
) -> dict[str, Tensor]:
    """{"validity": (B,), "chamfer": (B,)} of SurfaceNet's output, each cloud with points."""
    made, spacing = (output["points"], output["batch"]), output["spacing"]
    to_true = _nearest(*made, target, target_batch)[0] / spacing  # (P,)
    to_made, nearest = _nearest(target, target_batch, *made)
    to_made = to_made / spacing[nearest]  # (T,)
    accuracy = segment_mean(to_true.clamp_max(FAR), made[1], clouds)
    chamfer = config.accuracy * accuracy + segment_mean(
        to_made.clamp_max(FAR), target_batch, clouds
    )
    near = (to_true.detach() < config.near).float()
    validity = F.binary_cross_entropy_with_logits(
        output["validity"].float(), near, reduction="none"
    )
    return {
        "validity": config.validity * segment_mean(validity, made[1], clouds),
        "chamfer": config.chamfer * chamfer,
    }


def occupancy_loss(levels: list[dict[str, Tensor]], clouds: int) -> Tensor:
    """(B,) of levels with "logits" (V,), "labels" (V,) bool, "batch" (V,)."""
    each = []
    for level in levels:
        # float32 also under autocast: a logit of bfloat16 has three digits
        logits, labels = level["logits"].float(), level["labels"].float()
        loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")  # (V,)
        each.append(segment_mean(loss, level["batch"], clouds))  # (B,)
    return torch.stack(each).mean(0)


def chamfer_distance(
    points: Tensor, batch: Tensor, target: Tensor, target_batch: Tensor, clouds: int
) -> Tensor:
    """Sum of both mean nearest distances, in the unit of the points: (P, 3), (T, 3) -> (B,).

    Which point is nearest is decided without gradient; the distance to it has one, which is 0
    where it is 0. A cloud without points counts as one point at the origin: finite, and bad.
    """
    points, batch = _never_empty(points.float(), batch, clouds)
    target, target_batch = _never_empty(target.float(), target_batch, clouds)
    there = _mean_nearest(points, batch, target, target_batch, clouds)
    return there + _mean_nearest(target, target_batch, points, batch, clouds)


def _mean_nearest(
    query: Tensor, query_batch: Tensor, points: Tensor, points_batch: Tensor, clouds: int
) -> Tensor:
    """Mean over a cloud's queries of the distance to the nearest point: (B,)."""
    apart, _ = _nearest(query, query_batch, points, points_batch)
    return segment_mean(apart, query_batch, clouds)


def _nearest(
    query: Tensor, query_batch: Tensor, points: Tensor, points_batch: Tensor
) -> tuple[Tensor, Tensor]:
    """The distance of each query to its nearest point, and which that is."""
    # which point is nearest jumps, and has no gradient; the distance to it has one
    nearest = knn(query.detach(), points.detach(), 1, query_batch, points_batch, tidy=False)[:, 0]
    return torch.linalg.vector_norm(query - points[nearest], dim=1), nearest


def _never_empty(points: Tensor, batch: Tensor, clouds: int) -> tuple[Tensor, Tensor]:
    """With a point at the origin for each cloud that has none."""
    lacking = (cloud_sizes(batch, clouds) == 0).nonzero().squeeze(1)
    if not len(lacking):
        return points, batch
    # packed clouds are sorted by their number: the new points go where their clouds belong
    batch, order = torch.cat([batch, lacking]).sort(stable=True)
    return torch.cat([points, points.new_zeros(len(lacking), 3)])[order], batch
