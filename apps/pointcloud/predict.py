"""Reconstruct clouds: python apps/pointcloud/predict.py [RUN] [CLOUD, MESH or FOLDER ...].

A cloud of any size, place and unit becomes NAME.ply, in its own place and unit and with its
colours, NAME.png (before and after), NAME.html (a page to turn it with the mouse) and, with --mesh,
NAME-mesh.ply; predictions.json says how noisy it was and where the time went. --method mls and
poisson learn nothing and need no RUN; else the kept network `scans` reconstructs where none is
named. Without inputs, some validation clouds of the run are taken. What cannot be read is named,
the others go on, and the exit status is 2.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.dataset import Reconstruction
from apps.pointcloud.data.files import find_clouds, read_cloud
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.prediction.methods import LEARN_NOTHING, METHODS, NetworkMethod
from apps.pointcloud.prediction.reconstruction import (
    AMONG,
    Reconstructor,
    Scan,
    Wishes,
    read_scan,
)
from core.app.predicting import (
    RECORDS,
    Item,
    output_folder,
    predict_each,
    prediction_parser,
    run_and_inputs,
)
from core.app.runs import TrainedRun, reopen
from core.checkpoints import find_checkpoint
from core.config import entry_point
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.training.session import Session, build_accelerator

ENDINGS = (".ply", ".png", ".html", "-mesh.ply")


@entry_point
def main() -> None:
    words = _words()
    session = Session(build_accelerator())
    run = None
    if words.run is not None:
        run = reopen(words.run, PointCloudConfig, ReconNet, session)
    learnt = words.method == "network"
    method = NetworkMethod(session, run.network) if learnt else LEARN_NOTHING[words.method]
    wishes = Wishes(
        points=words.points,
        resolution=words.resolution,
        keep=words.keep,
        normals=words.normals,
        mesh=words.mesh,
        page=not words.no_page,
    )

    def predict(name: str, scan: Scan, folder: Path) -> dict[str, Any]:
        record = Reconstructor(method, folder, wishes, _warn, learnt).run(name, scan)
        return {"method": words.method, **record}

    items = _items(words, run, session)
    folder = output_folder(words, run) if run else words.output or Path(RECORDS)
    predict_each(session, items, folder, predict, ENDINGS, "clouds")


def _words() -> argparse.Namespace:
    """What was told, checked; `run` is none where a method needs none and none is named."""
    parser = prediction_parser(__doc__, "clouds, meshes or folders", count=6, kept=ReconNet.KEPT)
    methods = "a trained network, moving least squares, or Poisson's surface (the last two: no RUN)"
    parser.add_argument("--method", choices=METHODS, default="network", help=methods)
    parser.add_argument("--points", type=int, default=0, help="exactly so many out (all)")
    thin = "thin inputs to one point of each cube of this side, in their unit"
    parser.add_argument("--resolution", type=float, default=0.0, help=thin)
    parser.add_argument("--keep", action="store_true", help="the input's points stay, all of them")
    parser.add_argument("--normals", action="store_true", help="unit normals in the .ply")
    parser.add_argument("--mesh", action="store_true", help="Poisson's mesh of what comes out too")
    parser.add_argument("--no-page", action="store_true", help="no page to look at")
    words = parser.parse_intermixed_args()
    if not 0 <= words.points <= AMONG:
        raise InputError(f"--points is {words.points}: 1 to {AMONG:,}, or leave it out for all")
    if not 0 <= words.resolution < float("inf"):
        raise InputError(f"--resolution is {words.resolution}: a length above 0")
    words.run = None
    if words.method == "network" or (words.inputs and _is_run(words.inputs[0])):
        words.run, words.inputs = run_and_inputs(words.inputs, ReconNet.KEPT)
    if words.run is None and not words.inputs:
        raise InputError(f"--method {words.method} without a RUN: give clouds, meshes or folders")
    return words


def _is_run(path: str) -> bool:
    try:
        find_checkpoint(path)
    except InputError:
        return False
    return True


def _items(words: argparse.Namespace, run: TrainedRun | None, session: Session) -> list[Item]:
    """The files that are named, each once, or some validation clouds of the run."""
    if words.inputs:
        paths = map(str, dict.fromkeys(find_clouds(words.inputs)))
        loads = {path: partial(read_cloud, path, _warn) for path in paths}
    else:
        val = CloudData(run.config, session).val()
        chosen = evenly_spaced(len(val), words.count)
        loads = {val.clouds.names[i]: partial(_input_of, val, i) for i in chosen}
    return [Item(source, partial(read_scan, source, load, _warn)) for source, load in loads.items()]


def _input_of(val: Reconstruction, index: int) -> Cloud:
    return make_cloud(val[index]["input"].numpy())


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
