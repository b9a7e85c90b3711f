"""Evaluate a run."""

from __future__ import annotations

from torch import nn
from torch.utils.data import Dataset

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.inference import measure_all
from apps.pointcloud.suites import SHAPE_THRESHOLDS
from core.training.session import Session


def evaluate(
    session: Session, network: nn.Module, val: Dataset, config: PointCloudConfig
) -> dict[str, float]:
    """Mean metrics (`metrics.cloud_metrics`) of the validation items; all processes call it."""
    data = config.data
    options = {"workers": data.workers, "skip_bad": data.skip_bad}
    return measure_all(session, network, val, SHAPE_THRESHOLDS, config.eval_batch, **options)
