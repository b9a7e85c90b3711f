"""Scans: made dense and clean, before and after in three dimensions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.files import read_cloud
from apps.pointcloud.geometry.cloud import Cloud
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.prediction.checks import WAY_OUT
from apps.pointcloud.prediction.methods import LEARN_NOTHING, METHODS, NetworkMethod
from apps.pointcloud.prediction.reconstruction import Reconstructor, Wishes, read_scan
from apps.pointcloud.prediction.viewer import cloud_figure
from core.app.predicting import RECORDS, foreign
from core.app.runs import TrainedRun, reopen
from core.errors import InputError
from core.files import write_json
from core.training.session import Session
from page.crafts.craft import SAMPLES, WITHOUT, Answer, Craft, Request

MOST = 2_000_000  # points of a scan
HEIGHT = 480  # pixels of the figure
SHOWN = 20_000  # points of each cloud in the figure, which travels to the browser as text


def open_network(word: str, session: Session) -> TrainedRun | None:
    if word == WITHOUT:
        return None
    return reopen(word, PointCloudConfig, ReconNet, session)


def answer(session: Session, run: TrainedRun | None, request: Request) -> Answer:
    lines: list[str] = []
    word = (request.words or METHODS[1]) if run is None else METHODS[0]
    if run is None and word not in LEARN_NOTHING:
        raise InputError(f"{word[:40]} is no method: {', '.join(LEARN_NOTHING)}")
    source, name = request.file.name, request.stem
    scan = read_scan(source, partial(read_cloud, request.file, lines.append), lines.append)
    if len(scan.cloud) > MOST:
        raise InputError(
            f"{source} has {len(scan.cloud):,} points, more than the {MOST:,} of a page: "
            "apps/pointcloud/predict.py takes any number"
        )
    method = NetworkMethod(session, run.network) if run else LEARN_NOTHING[word]
    wishes, learnt = Wishes(page=False), run is not None
    record = Reconstructor(method, request.folder, wishes, lines.append, learnt).run(name, scan)
    cloud = request.folder / f"{name}.ply"
    file = write_json(
        request.folder / f"{RECORDS}.json", [{"input": source, "method": word, **record}]
    )
    drawn = run is not None and not (run.kept or run.config.data.root)
    made = f"{record['points_in']:,} points in, {record['points_out']:,} out"
    said = [f"{made}." if run else f"{made}, by {word}."]
    said += [f"- {_here(line.replace(str(request.file), source))}" for line in lines]
    said += ["", *foreign(drawn, "solids that a program made", "real scans")]
    picture = request.folder / f"{name}.png"
    figure = cloud_figure(_shown(scan.cloud, read_cloud(cloud)), "")
    figure.update_layout(height=HEIGHT)
    return Answer("\n".join(said), [(picture, "")], [cloud, picture, file], figure)


def _here(line: str) -> str:
    """A line without the options of the command, which a page does not have."""
    return line.replace(WAY_OUT, f"the choice '{WITHOUT}' covers them, by mls")


def _shown(before: Cloud, after: Cloud) -> dict[str, Cloud]:
    """Some points of each, both less the first one's origin: files have one each."""
    before, after = before.some(SHOWN), after.some(SHOWN)
    points = after.places() - (0 if before.origin is None else before.origin)
    moved = replace(after, points=points.astype(np.float32), origin=before.origin)
    return {"input": before, "reconstruction": moved}


CRAFT = Craft(
    "Point clouds",
    "pointcloud",
    "a cloud or a mesh",
    "python apps/pointcloud/train.py",
    open_network,
    answer,
    ReconNet.KEPT,
    without=True,
    field="how, without a network",
    choices=METHODS[1:],
    preview=None,
    three_d=True,
    samples=(SAMPLES / "chair.ply",),
)
