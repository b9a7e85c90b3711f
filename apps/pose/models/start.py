"""Beginning a training with what another run of this app has learnt beyond its backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from apps.pose.config import PoseConfig
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.names import shared_name
from apps.pose.models.network import PoseNet
from core.app.runs import place_of
from core.app.starting import check_start
from core.checkpoints import averaged_weights, find_checkpoint, read_info
from core.config import build
from core.errors import InputError
from core.models.weights.names import is_kept

SOME = KeypointSet(("head", "foot"), (), (0, 1), None, (True, False))  # the data says which
# Of the heads: their outputs are keypoints' maps
KEYPOINT_LAYERS = ("to_keypoints", "to_heatmap", "to_places")


def check_network(config: PoseConfig) -> None:
    """InputError for names and sizes that do not go, before any data is drawn or read."""
    model = config.model
    plain = replace(model, weights="", freeze=model.freeze and not model.weights)
    weights = str(place_of(model.weights, PoseNet))
    check_start(lambda: PoseNet(plain, SOME), config.optim, weights=weights)


def start_from(network: PoseNet, weights: str, report: Callable[[str], None] = print) -> None:
    """Take neck and head over from a run of this app, or a kept network, as far as they fit, and
    ``report`` what.

    ``weights`` is `ModelConfig.weights`, from which the backbone has been loaded; where it is
    anything but such a run, nothing happens. A part of neck or head is taken if all its tensors
    have the same shapes; of the layer that makes the keypoints' maps, each keypoint that the run
    has too, by its name or a synonym (`shared_name`).
    """
    place = place_of(weights, PoseNet)
    folder = bool(weights) and not is_kept(weights) and Path(place).is_dir()
    checkpoint = find_checkpoint(place) if folder else None
    info = read_info(checkpoint) if checkpoint else {}
    if info.get("app") != "pose":
        return
    state = load_file(averaged_weights(checkpoint))
    theirs = build(KeypointSet, info["keypoints"], f"{checkpoint}: keypoints").names
    taken, new = ["backbone"], []
    for name, part in _parts(network):
        saved = {key.removeprefix(name): v for key, v in state.items() if key.startswith(name)}
        if name.split(".")[1] in KEYPOINT_LAYERS:
            known = _take_keypoints(part, saved, network.keypoints.names, theirs)
            taken += known
            new += [keypoint for keypoint in network.keypoints.names if keypoint not in known]
        else:
            (taken if _take(part, saved) else new).append(name[:-1])
    report(f"from {checkpoint}: {', '.join(taken)}; new: {', '.join(new) or 'nothing'}")


def check_resumed(network: PoseNet, checkpoint: Path | None) -> None:
    """InputError where the checkpoint to go on from predicts other keypoints, or in other order."""
    if checkpoint is None:
        return
    theirs = build(
        KeypointSet, read_info(checkpoint)["keypoints"], f"{checkpoint}: keypoints"
    ).names
    ours = network.keypoints.names
    if theirs != ours:
        new = [name for name in ours if name not in theirs]
        gone = [name for name in theirs if name not in ours]
        words = [f"new: {', '.join(new)}"] * bool(new) + [f"gone: {', '.join(gone)}"] * bool(gone)
        raise InputError(
            f"{checkpoint} predicts {len(theirs)} keypoints, this data has {len(ours)} "
            f"({'; '.join(words) or 'the same in another order'}): resume with the sets of its "
            f"config.yaml, or start another run with --model.weights {checkpoint.parents[1]}, "
            "which takes over the keypoints that both have"
        )


def _parts(network: PoseNet) -> list[tuple[str, nn.Module]]:
    """Children of neck and head that have parameters, by the beginning of their tensors' names."""
    children = [
        (f"{name}.{child}.", part)
        for name in ("neck", "head")
        for child, part in network.get_submodule(name).named_children()
    ]
    return [(name, part) for name, part in children if part.state_dict()]


def _take(part: nn.Module, saved: dict[str, Tensor]) -> bool:
    own = part.state_dict()
    if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in own.items()}:
        return False
    part.load_state_dict(saved)
    return True


@torch.no_grad()
def _take_keypoints(
    layer: nn.Module, saved: dict[str, Tensor], names: tuple[str, ...], theirs: tuple[str, ...]
) -> list[str]:
    """Copy the rows of keypoints that both have; their names."""
    maps = layer.weight.shape[0] // len(names)
    wanted = (maps * len(theirs), *layer.weight.shape[1:])
    if "weight" not in saved or tuple(saved["weight"].shape) != wanted:
        return []
    index = {shared_name(name): i for i, name in enumerate(theirs)}
    index |= {name: i for i, name in enumerate(theirs)}  # as it is spelt, where it is
    place = {name: index.get(name, index.get(shared_name(name))) for name in names}
    known = [name for name in names if place[name] is not None]
    for kind, tensor in layer.named_parameters():
        ours, others = tensor.view(len(names), -1), saved[kind].view(len(theirs), -1)
        for name in known:
            ours[names.index(name)] = others[place[name]]
    return known
