"""The mean metrics of a data set's items, several clouds at a time: validation during training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.dataset import collate
from apps.pointcloud.evaluation.inference import reconstruct
from apps.pointcloud.evaluation.metrics import cloud_metrics
from apps.pointcloud.evaluation.suites import SHAPE_THRESHOLDS
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.segments import unpack
from core.evaluation.common import report_bad
from core.training.session import Session


def evaluate(
    session: Session, network: nn.Module, val: Dataset, config: PointCloudConfig
) -> dict[str, float]:
    """Mean metrics (`metrics.cloud_metrics`) of the validation items; all processes call it."""
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    thresholds, size = SHAPE_THRESHOLDS, config.eval.batch_size
    return evaluate_items(session, network, val, thresholds, size, **options)


def metric_names() -> list[str]:
    """What `evaluate` has of each cloud."""
    point = np.zeros((1, 3))
    return list(cloud_metrics(point, point, SHAPE_THRESHOLDS))


def evaluate_items(
    session: Session,
    network: nn.Module,
    items: Dataset,
    thresholds: tuple[float, ...],
    batch_size: int,
    workers: int = 0,
    skip_bad: int = 0,
) -> dict[str, float]:
    """The mean metrics of all items (`metrics`), the same on every process."""
    options = {"workers": workers, "skip_bad": skip_bad, "on_bad": report_bad}
    loader = session.eval_loader(items, batch_size, collate=collate, **options)
    rows, names = [], None
    for batch in loader:
        each = _batch_metrics(session, network, batch, thresholds)
        names = names or list(each[0])
        values = torch.tensor([list(row.values()) for row in each], dtype=torch.float64)
        rows.append(session.gather(batch["mask"], values=session.to_device(values))["values"])
    return dict(zip(names, torch.cat(rows).mean(0).tolist(), strict=True))


def _batch_metrics(
    session: Session, network: nn.Module, batch: dict[str, Tensor], thresholds: tuple[float, ...]
) -> list[dict[str, float]]:
    """The metrics of each cloud of a batch: as many points are compared as the target has."""
    inputs = unpack(batch["input"], batch["input_batch"])
    targets = unpack(batch["target"], batch["target_batch"])
    outputs = reconstruct(session, network, inputs)
    return [
        cloud_metrics(resample_cloud(output, len(target)), target.numpy(), thresholds)
        for output, target in zip(outputs, targets, strict=True)
    ]
