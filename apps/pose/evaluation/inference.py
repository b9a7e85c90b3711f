"""People of a data set through a network: keypoints in the image, from all processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from apps.pose.config import DataConfig, EvalConfig, ModelConfig
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.keypoints import NO_MIRROR, KeypointSet
from apps.pose.evaluation.metrics import coco_results
from apps.pose.models.decoding import create_decoder, to_image
from apps.pose.models.flip_test import flip_average
from apps.pose.models.network import PoseNet
from core.errors import DIVERGED, InputError
from core.evaluation.collect import collect
from core.evaluation.exporting.exporters import open_onnx
from core.sizes import times
from core.training.session import Session

Predictor = Callable[[dict], tuple[Tensor, Tensor]]  # of a batch: points (B, K, 2), scores (B, K)
_FROM_BATCH = ("image_id", "annotation", "box_score", "center", "scale")


@dataclass(frozen=True)
class People:
    """N predicted people, in the order of the data set; points in pixels of their image."""

    keypoints: np.ndarray  # (N, K, 2), the data set's keypoints
    scores: np.ndarray  # (N, K)
    image_id: np.ndarray  # (N,)
    annotation: np.ndarray  # (N,) id of the annotated person, -1 for a detection box
    box_score: np.ndarray  # (N,)
    center: np.ndarray  # (N, 2) of the crop
    scale: np.ndarray  # (N, 2) width and height of the crop


def predictor(
    network: nn.Module, model: ModelConfig, keypoints: KeypointSet, flip_test: bool
) -> Predictor:
    """batch with image, center, scale -> keypoints (B, K, 2) in image pixels, scores (B, K).

    Both float32, on the batch's device. The flip test is for keypoints that `can_mirror`. Raises
    InputError for scores that are not finite.
    """
    flip_test = flip_test and keypoints.can_mirror
    decode = create_decoder(model)

    @torch.no_grad()
    def predict(batch: dict) -> tuple[Tensor, Tensor]:
        images = batch["image"]  # (B, 3, H, W)
        outputs = network(images)
        if flip_test:
            of_flipped = network(images.flip(3))
            outputs = flip_average(outputs, of_flipped, model, keypoints.swap)
        points, scores = decode.to(images.device)(outputs)
        if not scores.isfinite().all():
            raise InputError(f"the network gives scores that are not finite, {DIVERGED}")
        return to_image(points, batch["center"], batch["scale"], model.image_size), scores

    return predict


def exported_predictor(path: str | Path, network: PoseNet) -> Predictor:
    """The same of an ONNX file that `export.py` wrote of the network, by onnxruntime on the CPU.

    Raises InputError for another file.
    """
    session, size = open_onnx(path), network.config.image_size
    about = session.get_modelmeta().custom_metadata_map
    expected = {"image_size": json.dumps(size), "names": json.dumps(network.keypoints.names)}
    found = {name: about.get(name) for name in expected}
    if [one.name for one in session.get_inputs()] != ["crops"] or found != expected:
        raise InputError(
            f"{path} is not what export.py writes of this network, {len(network.keypoints)} "
            f"keypoints in crops of {times(size)}: export it, in the layout crops"
        )

    def predict(batch: dict) -> tuple[Tensor, Tensor]:
        crops = batch["image"].permute(0, 2, 3, 1).cpu().numpy()  # (B, H, W, 3)
        outputs = session.run(["keypoints", "scores"], {"crops": crops})
        points, scores = (torch.from_numpy(v).to(batch["center"].device) for v in outputs)
        return to_image(points, batch["center"], batch["scale"], size), scores

    return predict


def numpy_predictor(
    session: Session, network: PoseNet, flip_test: bool
) -> Callable[[dict], tuple[np.ndarray, np.ndarray]]:
    """`predictor` of a run's network for batches on the CPU: arrays, in the session's precision."""
    predict = predictor(network, network.config, network.keypoints, flip_test)
    if flip_test and not network.keypoints.can_mirror:
        session.print(f"the flip test is off: {NO_MIRROR}")

    def on_device(batch: dict) -> tuple[np.ndarray, np.ndarray]:
        with session.accelerator.autocast():
            points, scores = predict(session.to_device(batch))
        return points.cpu().numpy(), scores.cpu().numpy()

    return on_device


def predict_people(
    session: Session,
    network: nn.Module,
    dataset: PoseDataset,
    config: EvalConfig,
    files: DataConfig,
    predict: Predictor | None = None,
) -> People:
    """Every person of the data set once, on every process. Bad images are left out and named.

    Of the network's keypoints, those that the data set has, in its order.
    files: says how many of these there may be, and how many processes load images.
    predict: in place of the network, such as `exported_predictor` gives.
    """
    predict = predict or predictor(network, dataset.model, dataset.network, config.flip_test)
    places = list(dataset.shared.places)

    def predict_batch(batch: dict) -> dict[str, Tensor]:
        points, scores = (values[:, places] for values in predict(batch))
        return {"keypoints": points, "scores": scores, **{n: batch[n] for n in _FROM_BATCH}}

    columns = collect(
        session, dataset, predict_batch, config.batch_size, files.workers, files.skip_bad
    )
    columns.pop("index")
    return People(**{name: values.numpy() for name, values in columns.items()})


def to_results(people: People, dataset: PoseDataset) -> list[dict]:
    """The people of ``dataset`` in COCO's results format.

    Of detection boxes, several of which may hold the same person, duplicates are removed.
    """
    sigmas = dataset.keypoints.sigmas
    return coco_results(
        people.keypoints,
        people.scores,
        people.image_id,
        people.box_score,
        people.scale,
        sigmas,
        nms=dataset.boxes is not None and sigmas is not None,
        category_id=[
            dataset.categories.get(i, dataset.category_id) for i in people.annotation.tolist()
        ],
    )
