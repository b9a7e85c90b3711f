"""From one scan to the files of its reconstruction: NAME.ply, NAME.png, NAME.html.

Points come in pieces, a batch of tiles at a time (`evaluation/inference.py`), get the colours of
the input and are written before the next piece is made: memory is bounded by the input and by what
is shown, not by what comes out. Only `--points` keeps all, since it chooses among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from scipy.spatial import cKDTree

from apps.pointcloud.data.files import write_cloud
from apps.pointcloud.data.plystream import ply_stream
from apps.pointcloud.evaluation.inference import normalization_of, reconstruct_cloud
from apps.pointcloud.evaluation.pictures import side_by_side
from apps.pointcloud.geometry.cloud import Cloud, distinct_cloud, joined, make_cloud
from apps.pointcloud.geometry.render import view_of
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.spacing import thinned
from apps.pointcloud.geometry.tiles import Normalization
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.prediction.stopwatch import Stopwatch
from apps.pointcloud.prediction.viewer import SHOWN, write_page
from core.errors import InputError
from core.pictures.sheets import save_image
from core.training.session import Session

COMMENT = "mixer-apps"  # in the files
AMONG = 5_000_000  # points among which --points can choose
GROWTH = 12  # points out for one in, about: what the part that is shown is reckoned by
FEW_BITS = 2.0**-24 * 100  # of a coordinate: what float32 keeps, a hundred times


@dataclass(frozen=True)
class Scan:
    """A cloud to reconstruct, where it is from, and the time that reading took."""

    source: str
    cloud: Cloud
    stopwatch: Stopwatch


def read_scan(source: str, load: Callable[[], Cloud], warn: Callable[[str], Any] = print) -> Scan:
    """What `load` reads, each place once. Raises InputError as that does."""
    stopwatch = Stopwatch()
    cloud, lines = distinct_cloud(stopwatch.run("read", load), source)
    for line in lines:
        warn(line)
    return Scan(source, cloud, stopwatch)


@dataclass
class Reconstructor:
    """A network, and how a cloud goes through it into a folder; one cloud each."""

    session: Session
    network: ReconNet
    folder: Path
    points: int = 0  # that come out; 0: all
    resolution: float = 0.0  # of the input in the file's unit; 0: as it is
    page: bool = True
    warn: Callable[[str], Any] = print
    tiles: int = 0  # of the cloud
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def run(self, name: str, scan: Scan) -> dict[str, Any]:
        """Reconstruct one cloud and write what becomes of it; returns its record.

        Raises InputError for a cloud of one point, and for too many among which to choose.
        """
        cloud, self.stopwatch = scan.cloud, scan.stopwatch
        if self.resolution:
            cloud = self.stopwatch.run("thin", thinned, cloud, self.resolution)
        normalization = self.stopwatch.run(
            "scale", normalization_of, cloud.points, self.network, scan.source
        )
        voxel = normalization.unit * self.network.config.voxel_length
        if line := few_bits(cloud, voxel, scan.source):
            self.warn(line)
        path = self.folder / f"{name}.ply"
        pieces = self._pieces(cloud, normalization, path.name)
        write = self._write_chosen if self.points else self._write_all
        count, shown = write(path, pieces, cloud)
        self.stopwatch.run("pictures", self._show, name, cloud, shown)
        record = self._record(len(cloud), count, normalization.unit)
        print(summary(scan.source, record), flush=True)
        return record

    def _record(self, points: int, count: int, unit: float) -> dict[str, Any]:
        seconds = self.stopwatch.seconds
        return {
            "points_in": points,
            "points_out": count,
            "unit": unit,
            "tiles": self.tiles,
            "seconds": seconds,
            "points_per_second": points / seconds["network"],
        }

    def _pieces(self, cloud: Cloud, normalization: Normalization, name: str) -> Iterator[Cloud]:
        """What the network makes of the cloud, tile by tile, with colours."""
        with Progress(transient=True) as progress:
            task = progress.add_task(name)

            def report(done: int, of: int) -> None:
                self.tiles = of
                progress.update(task, completed=done, total=of)

            pieces = reconstruct_cloud(
                self.session, self.network, cloud.points, normalization, report
            )
            while (piece := self.stopwatch.run("network", next, pieces, None)) is not None:
                yield self.stopwatch.run("colours", coloured, *piece, cloud)

    def _write_all(self, path: Path, pieces: Iterator[Cloud], cloud: Cloud) -> tuple[int, Cloud]:
        """Number of the points, all written as they come, and some of them to show."""
        shown = []
        # all pieces together are to show about as many points as the page does
        step = max(1, round(GROWTH * len(cloud) / SHOWN))
        with ply_stream(path, replace(cloud, normals=None), COMMENT) as stream:
            for piece in pieces:
                self.stopwatch.run("write", stream.add, piece)
                shown.append(piece.at(np.arange(0, len(piece), step)))
        return stream.count, joined(shown)

    def _write_chosen(self, path: Path, pieces: Iterator[Cloud], _: Cloud) -> tuple[int, Cloud]:
        """The same of `points` points, which are chosen among all."""
        parts, total = [], 0
        for piece in pieces:
            parts.append(piece)
            total += len(piece)
            if total > AMONG:
                raise InputError(
                    f"{path.name}: more than {AMONG:,} points come out, among which --points "
                    "cannot choose: leave it out, or give --resolution"
                )
        chosen = self.stopwatch.run("choose", choose, joined(parts), self.points)
        self.stopwatch.run("write", write_cloud, path, chosen, (), COMMENT)
        return len(chosen), chosen

    def _show(self, name: str, before: Cloud, after: Cloud) -> None:
        view = view_of((after if len(after) else before).points)  # outliers lie far outside
        titled = {f"input, {len(before):,}": before, "reconstruction": after}
        picture = side_by_side({title: c.some(SHOWN) for title, c in titled.items()}, view)
        save_image(self.folder / f"{name}.png", picture, optimize=True)
        if self.page:
            clouds = {"input": before, "reconstruction": after}
            write_page(self.folder / f"{name}.html", clouds, name)


def coloured(points: np.ndarray, rows: np.ndarray, cloud: Cloud) -> Cloud:
    """Points (P, 3) with the colours of the nearest of the input's rows (n,) they were made of."""
    piece = replace(make_cloud(points), origin=cloud.origin)
    if cloud.colours is None or not len(points):
        return replace(piece, colours=None if cloud.colours is None else piece.points)
    nearest = cKDTree(cloud.points[rows]).query(points, workers=-1)[1]
    return replace(piece, colours=cloud.colours[rows[nearest]])


def choose(cloud: Cloud, count: int) -> Cloud:
    """`count` of the points, spread evenly, each with what it carries."""
    points = resample_cloud(torch.from_numpy(cloud.points), count)
    return cloud.at(cKDTree(cloud.points).query(points)[1])


def few_bits(cloud: Cloud, voxel: float, source: str) -> str | None:
    """A line where a file's 32-bit floats hardly tell points of one voxel apart, or none."""
    largest = float(np.abs(cloud.points).max())
    if largest * FEW_BITS <= voxel:
        return None
    step = largest * 2.0**-24
    return (
        f"{source}: coordinates reach {largest:,.0f}, of which 32-bit floats keep steps of "
        f"{step:g}: export them as doubles, or less an offset"
    )


def summary(source: str, record: dict[str, Any]) -> str:
    """One line: how many points became how many, and where the time went."""
    seconds = record["seconds"]
    share = " ".join(f"{step} {spent:.1f}" for step, spent in seconds.items())
    points = f"{record['points_in']:,} to {record['points_out']:,} points"
    total = sum(seconds.values())
    return f"{source}: {points}, {record['tiles']} tile(s), {total:.1f} s ({share})"
