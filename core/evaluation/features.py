"""Features of a frozen backbone: one vector for each image, exact on any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from core.evaluation.common import report_bad
from core.training.session import Session

Shuffle = Callable[[Tensor], Tensor]


def pooled_features(
    session: Session,
    backbone: nn.Module,
    dataset: Dataset,
    batch_size: int,
    workers: int = 0,
    shuffle: Shuffle | None = None,
    skip_bad: int = 0,
) -> tuple[Tensor, Tensor]:
    """(features (N, C) float32, labels (N,) int64) on the CPU of every process, in dataset order.

    A feature is the mean over the tokens after the last norm: for a Mixer what the official code
    calls `pre_logits`. Items of `dataset` are {"image": (3, H, W), "label": int}; `shuffle` maps
    the batch of images (B, 3, H, W) that the network is given. The precision is the session's; the
    mean is taken in float32. `batch_size` is per process. Moves the backbone to the session's
    device and into evaluation mode. Images that cannot be read, at most `skip_bad`, are left out.
    """
    backbone.to(session.device).eval()
    options = {"workers": workers, "skip_bad": skip_bad, "on_bad": report_bad}
    loader = session.eval_loader(dataset, batch_size, **options)
    batches = [_gathered(session, backbone, session.to_device(b), shuffle) for b in loader]
    index, features, labels = (
        torch.cat([batch[name] for batch in batches]) for name in ("index", "features", "labels")
    )
    order = index.argsort()
    return features[order], labels[order]


@torch.inference_mode()
def _gathered(session: Session, backbone: nn.Module, batch: dict, shuffle: Shuffle | None) -> dict:
    images = batch["image"] if shuffle is None else shuffle(batch["image"])
    with session.accelerator.autocast():
        tokens = backbone(images)  # (B, S, C)
    values = {"features": tokens.float().mean(1), "labels": batch["label"]}
    return session.gather(batch["mask"], index=batch["index"], **values)
