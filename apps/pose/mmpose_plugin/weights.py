"""The weights of our runs in mmpose's models."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from torch import Tensor, nn

from apps.pose.models.network import PoseNet
from core.app.runs import open_network, place_of
from core.checkpoints import find_checkpoint
from core.errors import InputError
from core.files import whole_file
from core.models.backbone import FREE_TO_DIFFER
from core.models.building import load_strictly

STOCK = {  # what our heads call the parts of mmpose's SimCCHead and HeatmapHead
    "to_keypoints": "final_layer",
    "x": "mlp_head_x",
    "y": "mlp_head_y",
    "up": "deconv_layers",
    "to_heatmap": "final_layer",
}


def convert(run: str | Path, config: str | Path, output: str | Path) -> None:
    """Write a checkpoint for mmpose (`load_from`, tools/test.py, init_model) from a run of ours.

    ``config`` is an mmpose config whose model has the same parts (`load_run`). Raises InputError,
    also where ``output`` exists.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output} exists already; nothing is overwritten: choose another name")
    content = Config.fromfile(config)
    init_default_scope("mmpose")
    model = MODELS.build(content.model)
    network = load_run(model, run)
    meta = {"dataset_meta": parse_pose_metainfo(network.keypoints.metainfo()), "run": str(run)}
    with whole_file(output) as draft:
        torch.save({"meta": meta, "state_dict": model.state_dict()}, draft)


def load_run(model: nn.Module, run: str | Path) -> PoseNet:
    """Put the (averaged) weights of a run into an mmpose model of the same parts.

    The parts are MixerBackbone, MLPPoseNeck where the run has something of it, and as a head
    MLPPoseHead, or mmpose's HeatmapHead or SimCCHead (one map a keypoint, no mixer over them). The
    codec is the config's affair. Returns the run's network. Raises InputError where parts differ.
    """
    checkpoint = find_checkpoint(place_of(run, PoseNet))
    network = open_network(checkpoint, PoseNet)
    _check(model, network, checkpoint)
    load_strictly(model, mmpose_state(network, stock=not hasattr(model.head, "net")), checkpoint)
    return network


def mmpose_state(network: PoseNet, stock: bool) -> dict[str, Tensor]:
    """The network's weights by their names in an mmpose model, ``stock``: with mmpose's head."""
    state = {}
    for name, value in network.state_dict().items():
        part, inner = name.split(".", 1)
        first, _, rest = inner.partition(".")
        if part == "head" and stock:
            state[f"head.{STOCK.get(first, first)}.{rest}"] = value
        else:
            state[f"{part}.net.{inner}"] = value
    return state


def _check(model: nn.Module, network: PoseNet, checkpoint: Path) -> None:
    """What no shape of a tensor would tell."""
    theirs, ours = model.backbone.net.describe(), network.backbone.describe()
    pairs = {key: (theirs.get(key), ours.get(key)) for key in {*theirs, *ours} - {*FREE_TO_DIFFER}}
    pairs["image_size"] = theirs["image_size"], ours["image_size"]
    pairs["out_indices"] = model.backbone.out_indices, tuple(network.config.levels)
    for name, values in zip(("mean", "std"), network.backbone.normalization, strict=True):
        given = getattr(model.data_preprocessor, name).flatten().tolist()
        pairs[name] = tuple(round(v, 2) for v in given), tuple(round(255 * v, 2) for v in values)
    for name, (mmpose, run) in sorted(pairs.items()):
        if mmpose != run:
            raise InputError(
                f"the mmpose config has {name} {mmpose}, but {checkpoint} {run}: change the config"
            )
