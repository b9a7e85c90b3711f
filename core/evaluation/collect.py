"""What a network says of every sample of a data set, exact on any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import Dataset

from core.errors import InputError
from core.evaluation.common import report_bad
from core.training.session import Session

Predict = Callable[[dict], dict[str, Tensor]]  # a batch on the device -> name: (B, ...)


def collect(
    session: Session,
    dataset: Dataset,
    predict: Predict,
    batch_size: int,
    workers: int = 0,
    skip_bad: int = 0,
) -> dict[str, Tensor]:
    """`predict` of every sample that can be read, and its "index": name -> (N, ...).

    On the CPU of every process, in the data set's order. `predict` is called without gradients and
    in full precision, since it may hold metrics: `Session.in_precision` is for the network in it.
    `batch_size` is per process. Raises InputError where nothing can be read, or more than
    `skip_bad` cannot.
    """
    options = {"workers": workers, "skip_bad": skip_bad, "on_bad": report_bad}
    loader = session.eval_loader(dataset, batch_size, **options)
    batches = [_gathered(session, session.to_device(batch), predict) for batch in loader]
    predictions = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    if not len(predictions["index"]):
        raise InputError(f"{dataset}: no sample can be read")
    order = predictions["index"].argsort()  # the processes took turns in reading
    return {name: values[order] for name, values in predictions.items()}


@torch.inference_mode()
def _gathered(session: Session, batch: dict, predict: Predict) -> dict[str, Tensor]:
    with torch.autocast(session.device.type, enabled=False):
        values = predict(batch)
    # The mask leaves out what fills up the last batch, and samples that could not be read.
    return session.gather(batch["mask"], index=batch["index"], **values)
