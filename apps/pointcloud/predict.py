"""Reconstruct clouds: python apps/pointcloud/predict.py RUN [CLOUD, MESH or FOLDER ...].

A cloud of any size, place and unit becomes NAME.ply, in its own place and unit and with its
colours, NAME.png (before and after) and NAME.html (a page to turn it with the mouse);
predictions.json says how large the network's unit was taken, and where the time went. Without
inputs, some validation clouds of the run are taken. What cannot be read is named, the others go
on, and the exit status is 2.
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
from apps.pointcloud.prediction.reconstruction import AMONG, Reconstructor, Scan, read_scan
from core.app.predicting import Item, output_folder, predict_each, prediction_parser
from core.app.runs import TrainedRun, reopen
from core.config import entry_point
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.training.session import Session, build_accelerator

ENDINGS = (".ply", ".png", ".html")


@entry_point
def main() -> None:
    parser = prediction_parser(__doc__, "clouds, meshes or folders", count=6)
    parser.add_argument("--points", type=int, default=0, help="exactly so many out (all)")
    thin = "thin inputs to one point of each cube of this side, in their unit"
    parser.add_argument("--resolution", type=float, default=0.0, help=thin)
    parser.add_argument("--no-page", action="store_true", help="no page to look at")
    words = parser.parse_intermixed_args()
    _check(words)
    session = Session(build_accelerator())
    run = reopen(words.run, PointCloudConfig, ReconNet, session)

    def predict(name: str, scan: Scan, folder: Path) -> dict[str, Any]:
        reconstructor = Reconstructor(
            session,
            run.network,
            folder,
            points=words.points,
            resolution=words.resolution,
            page=not words.no_page,
            warn=_warn,
        )
        return reconstructor.run(name, scan)

    items = _items(words, run, session)
    predict_each(session, items, output_folder(words, run), predict, ENDINGS, "clouds")


def _check(words: argparse.Namespace) -> None:
    if not 0 <= words.points <= AMONG:
        raise InputError(f"--points is {words.points}: 1 to {AMONG:,}, or leave it out for all")
    if not words.resolution >= 0:
        raise InputError(f"--resolution is {words.resolution}: a length above 0")


def _items(words: argparse.Namespace, run: TrainedRun, session: Session) -> list[Item]:
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
