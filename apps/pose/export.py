"""Export a run as ONNX, decoding included: python apps/pose/export.py [RUN] [--output FILE].

Input `crops` (B, H, W, 3) uint8 RGB of people, any B; outputs `keypoints` (B, K, 2) in pixels of
the crop, and `scores` (B, K). What else a user needs is in the file's metadata, as json: image_size
[H, W], padding (of a box, before it is cut out), udp (whether corners of crop and box are pixel
centres), names, skeleton, swap, sigmas. `exported/runner.py` does the rest with onnxruntime and
NumPy.

With --layout rtmlib the file is for rtmlib's `RTMPose` and `Custom` instead: `input` (B, 3, H, W)
float as they normalise it, `simcc_x` and `simcc_y` out; for SimCC heads of 1 or 2 bins per pixel.

With --int8 the weights of matrix products are in 8 bits. File and network are measured on the
validation people of the run, or of --sets, and the file is kept where no main metric loses more
than --max-loss points; `eval.py RUN --onnx FILE` measures one again.

The file is compared with the network before it gets its name. Needs onnx, onnxscript and
onnxruntime: pip install -e '.[export]'.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from apps.pose.config import EvalConfig, PoseConfig
from apps.pose.data.codec import uses_udp
from apps.pose.data.sets import PoseSets
from apps.pose.evaluation.inference import exported_predictor
from apps.pose.evaluation.protocol import MAIN, evaluate_sets
from apps.pose.evaluation.report import gains_table
from apps.pose.exported.graph import PoseGraph, RtmlibGraph
from apps.pose.models.network import PoseNet
from core.app.runs import TrainedRun, reopen
from core.config import entry_point
from core.errors import InputError
from core.evaluation.exporting.exporters import new_file, open_onnx, quantize, write_onnx
from core.ranges import Range, argument
from core.training.session import Session, build_accelerator

MAX_LOSS = 0.01  # of a metric, by int8
PADDING = 1.25  # of mmpose's GetBBoxCenterScale, which training and evaluation use
CROPS = 32  # of noise, on which the file is compared with the network
TOLERANCE = 1e-4  # largest difference of a score; of a keypoint, in heights of the crop,
# but of this share of them: of two bins that are as high either may be the largest, and refining in
# a flat map, which noise gives, divides by what is nearly 0
TIES = 0.05


def export_pose(network: PoseNet, path: str | Path) -> dict[str, float]:
    """Write the network with its decoding; {"keypoints", "scores"}: largest difference on noise.

    That of the keypoints is in heights of the crop and leaves TIES of them out. Raises InputError,
    and leaves no file, where it cannot be exported, differs by more than TOLERANCE, or where there
    is a file.
    """
    network = network.cpu().eval()
    with new_file(Path(path)) as draft:
        example = torch.from_numpy(noise(network, 2))
        about = {name: json.dumps(value) for name, value in describe(network).items()}
        write_onnx(PoseGraph(network), example, draft, "crops", ["keypoints", "scores"], about)
        apart = compare(network, draft)
        if not max(apart.values()) <= TOLERANCE:
            raise InputError(
                f"{path} is not kept: it differs from the network by {apart['keypoints']:.2g} of "
                f"the crop's height and {apart['scores']:.2g} of a score"
            )
    return apart


def export_rtmlib(network: PoseNet, path: str | Path) -> dict[str, float]:
    """Write the network as rtmlib's RTMPose takes it; {"scores"}: largest difference of a bin.

    Raises InputError as `export_pose`, and for a network without SimCC axes of 2 bins per pixel.
    """
    network = network.cpu().eval()
    graph = RtmlibGraph(network)
    with new_file(Path(path)) as draft:
        example = torch.from_numpy(noise(network, 2)).permute(0, 3, 1, 2) / 50.0
        about = {name: json.dumps(value) for name, value in describe(network).items()}
        write_onnx(graph, example, draft, "input", ["simcc_x", "simcc_y"], about)
        session = open_onnx(draft)
        with torch.inference_mode():
            expected = graph(example)
        axes = session.run(["simcc_x", "simcc_y"], {"input": example.numpy()})
        apart = max(np.abs(a - b.numpy()).max() for a, b in zip(axes, expected, strict=True))
        if not apart <= TOLERANCE:
            raise InputError(f"{path} is not kept: it differs from the network by {apart:.2g}")
    return {"scores": float(apart)}


def export_int8(
    network: PoseNet,
    path: str | Path,
    data: PoseSets,
    session: Session,
    max_loss: float = MAX_LOSS,
) -> dict[str, tuple[float, float]]:
    """Write the network with its decoding and int8 weights; metrics of the network and the file.

    On the validation people of ``data``. Raises InputError, and leaves no file, where one of MAIN
    loses more than ``max_loss`` (a fraction), and as `export_pose`.
    """
    with new_file(Path(path)) as draft:
        plain = draft.with_name("float.onnx")
        export_pose(network, plain)
        quantize(plain, draft)
        plain.unlink()
        measured = _measured(network, draft, data, session)
        judged = [(name, *pair) for name, pair in measured.items() if name.endswith(MAIN)]
        name, before, after = min(judged, key=lambda row: row[2] - row[1])
        if not after >= before - max_loss:
            raise InputError(
                f"{path} is not kept: in int8 {name} is {after:.4f} and not {before:.4f}, a loss "
                f"of more than {100 * max_loss:g} points; allow it with --max-loss, or leave --int8"
            )
    return measured


def _measured(
    network: PoseNet, path: Path, data: PoseSets, session: Session
) -> dict[str, tuple[float, float]]:
    people, how = data.val(), EvalConfig()
    predict = exported_predictor(path, network)
    before = evaluate_sets(session, network, data, people, how)
    after = evaluate_sets(session, network, data, people, how, predict)
    return {name: (value, after[name]) for name, value in before.items()}


def describe(network: PoseNet) -> dict:
    """The metadata of the file."""
    keypoints, model = network.keypoints, network.config
    return {
        "image_size": model.image_size,
        "padding": PADDING,
        "udp": uses_udp(model),
        "names": keypoints.names,
        "skeleton": keypoints.skeleton,
        "swap": keypoints.swap,
        "sigmas": keypoints.sigmas,
    }


def compare(network: PoseNet, path: Path) -> dict[str, float]:
    """How far onnxruntime's keypoints and scores are from torch's."""
    crops = noise(network, CROPS)
    session = open_onnx(path)
    points, scores = session.run(["keypoints", "scores"], {"crops": crops})
    with torch.inference_mode():
        expected = PoseGraph(network)(torch.from_numpy(crops))
    expected_points, expected_scores = (values.numpy() for values in expected)
    apart = np.abs(points - expected_points).max(-1) / network.config.image_size[0]  # (B, K)
    return {
        "keypoints": float(np.quantile(apart, 1 - TIES)),
        "scores": float(np.abs(scores - expected_scores).max()),
    }


def noise(network: PoseNet, count: int) -> np.ndarray:
    """Crops (B, H, W, 3) uint8 RGB, the same for the same B."""
    size = (count, *network.config.image_size, 3)
    return np.random.default_rng(count).integers(0, 256, size, dtype=np.uint8)


def _people(run: TrainedRun, words: list[str], session: Session) -> PoseSets:
    """The validation people of a run, or of the sets that are named instead."""
    config = replace(run.config, model=run.network.config)
    if run.kept and not words:
        raise InputError(
            f"--int8 is measured on people, and {run.kept} is a kept network, without data: give "
            "--sets, such as lspet=FOLDER or people"
        )
    if words:
        data = replace(config.data, sets=tuple(words), shares=(), keypoints="")
        config = replace(config, data=data)
    return PoseSets(config, session, run.network.keypoints if config.data.sets else None)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "run",
        nargs="?",
        help="folder of a run or of one of its checkpoints, or a kept network (the usual one)",
    )
    parser.add_argument("--output", type=Path, help="file to write (RUN/pose.onnx)")
    layouts = {"choices": ("crops", "rtmlib"), "default": "crops"}
    parser.add_argument("--layout", **layouts, help="ours, decoding included, or rtmlib's RTMPose")
    parser.add_argument("--int8", action="store_true", help="matrix products in 8 bits, measured")
    parser.add_argument("--sets", nargs="+", default=[], help="of --int8: as train's --data.sets")
    points = {"type": argument(Annotated[float, Range(0, 100)]), "default": 100 * MAX_LOSS}
    parser.add_argument("--max-loss", **points, help="of --int8: points of a metric (%(default)g)")
    options = parser.parse_args()
    if options.int8 and options.layout != "crops":
        raise InputError("--int8 is measured with its decoding: leave --layout out")
    session = Session(build_accelerator())
    run = reopen(options.run or PoseNet.KEPT.default(), PoseConfig, PoseNet, session)
    if not session.is_main:
        return
    path = options.output or run.folder / ("pose.int8.onnx" if options.int8 else "pose.onnx")
    if options.int8:
        people = _people(run, options.sets, session)
        measured = export_int8(run.network, path, people, session, options.max_loss / 100)
        print(gains_table("", ("float", "int8"), measured))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
        return
    export = {"crops": export_pose, "rtmlib": export_rtmlib}[options.layout]
    apart = export(run.network, path)
    words = ", ".join(f"{name} {value:.1e}" for name, value in apart.items())
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the network by: {words}")


if __name__ == "__main__":
    main()
