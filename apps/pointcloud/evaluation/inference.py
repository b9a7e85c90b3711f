"""What a network makes of clouds in its own unit, and of the items of a data set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from apps.pointcloud.data.dataset import collate
from apps.pointcloud.evaluation.metrics import cloud_metrics
from apps.pointcloud.geometry.segments import pack, unpack
from apps.pointcloud.models.network import resample
from core.evaluation.common import report_bad
from core.training.session import Session


@torch.inference_mode()
def reconstruct(session: Session, network: nn.Module, clouds: list[Tensor]) -> list[Tensor]:
    """All points that the network makes of each cloud (N_b, 3), in its unit: (P_b, 3) on the CPU.

    Several clouds at a time give what each alone gives.
    """
    points, batch = session.to_device(pack(clouds))
    with session.accelerator.autocast():
        found = network(points, batch)
    return [cloud.cpu() for cloud in unpack(found["points"], found["batch"], len(clouds))]


def exactly(points: Tensor, count: int) -> np.ndarray:
    """`count` of the points (P, 3), spread evenly: (count, 3)."""
    return resample(points, torch.zeros(len(points), dtype=torch.int64), count)[0].numpy()


def measure_all(
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
        inputs = unpack(batch["input"], batch["input_batch"])
        targets = unpack(batch["target"], batch["target_batch"])
        found = [
            exactly(p, len(t))
            for p, t in zip(reconstruct(session, network, inputs), targets, strict=True)
        ]
        each = [
            cloud_metrics(p, t.numpy(), thresholds) for p, t in zip(found, targets, strict=True)
        ]
        names = names or list(each[0])
        values = torch.tensor([[row[name] for name in names] for row in each], dtype=torch.float64)
        rows.append(session.gather(batch["mask"], values=session.to_device(values))["values"])
    return dict(zip(names, torch.cat(rows).mean(0).tolist(), strict=True))
