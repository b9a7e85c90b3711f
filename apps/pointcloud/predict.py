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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import Progress
from scipy.spatial import cKDTree

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.files import find_clouds, read_cloud, write_cloud
from apps.pointcloud.data.plystream import ply_stream
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.eval import open_run
from apps.pointcloud.evaluation.inference import normalization_of, reconstruct_cloud
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.render import render, view_of
from apps.pointcloud.geometry.resample import resample_cloud
from apps.pointcloud.geometry.spacing import thinned
from apps.pointcloud.geometry.tiles import Normalization
from apps.pointcloud.models.network import ReconNet
from apps.pointcloud.prediction.pictures import panels, save_picture
from apps.pointcloud.prediction.viewer import SHOWN, write_page
from core.config import entry_point
from core.errors import InputError
from core.evaluation.common import save_record
from core.files import distinct_name
from core.training.session import Session, build_accelerator

RECORD = "predictions"  # name of the json
COMMENT = "mixer-apps"  # in the files
AMONG = 5_000_000  # points among which --points can choose
FEW_BITS = 2.0**-24 * 100  # of a coordinate: what float32 keeps, a hundred times


@dataclass
class Job:
    """One network, and what is wanted of it."""

    session: Session
    network: ReconNet
    folder: Path
    points: int = 0  # that come out; 0: all
    resolution: float = 0.0  # of the input in the file's unit; 0: as it is
    page: bool = True
    seconds: dict[str, float] = field(default_factory=dict)  # by stage, of the cloud at hand
    tiles: int = 0  # of it

    def run(self, name: str, source: str, load: Callable[[], Cloud]) -> dict:
        """Reconstruct one cloud and write what becomes of it; returns its record."""
        self.seconds = {}
        cloud = self._timed("read", load)
        if self.resolution:
            cloud = self._timed("thin", thinned, cloud, self.resolution)
        frame = self._timed("scale", normalization_of, cloud.points, self.network, source)
        _warn_of_bits(cloud, frame.unit * self.network.config.voxel_length, source)
        path = self.folder / f"{name}.ply"
        pieces = self._pieces(cloud, frame, path.name)
        written = self._write_chosen(path, pieces) if self.points else None
        count, shown = written or self._write_all(path, pieces, cloud)
        self._timed("pictures", self._show, name, cloud, shown)
        record = {"input": source, "output": path.name, "points_in": len(cloud),
                  "points_out": count, "unit": frame.unit, "tiles": self.tiles,
                  "seconds": self.seconds,
                  "points_per_second": len(cloud) / self.seconds["network"]}  # fmt: skip
        print(_line(record), flush=True)
        return record

    def _timed(self, stage: str, call: Callable, *given):
        start = time.perf_counter()
        try:
            return call(*given)
        finally:
            spent = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def _pieces(self, cloud: Cloud, frame: Normalization, name: str) -> Iterator[Cloud]:
        """What the network makes of the cloud, tile by tile, with colours."""
        with Progress(transient=True) as progress:
            task = progress.add_task(name)

            def told(done: int, of: int) -> None:
                self.tiles = of
                progress.update(task, completed=done, total=of)

            pieces = reconstruct_cloud(self.session, self.network, cloud.points, frame, told)
            while (piece := self._timed("network", next, pieces, None)) is not None:
                yield self._timed("colours", _coloured, *piece, cloud)

    def _write_all(self, path: Path, pieces: Iterator[Cloud], cloud: Cloud) -> tuple[int, Cloud]:
        """Number of the points, all written as they come, and some of them to show."""
        kept = []
        with ply_stream(path, cloud.colours is not None, COMMENT) as stream:
            for made in pieces:
                self._timed("write", stream.add, made.points, made.colours)
                kept.append(_some(made, cloud))
        return stream.count, _joined(kept)

    def _write_chosen(self, path: Path, pieces: Iterator[Cloud]) -> tuple[int, Cloud]:
        """The same of `points` points, which are chosen among all."""
        kept, total = [], 0
        for made in pieces:
            kept.append(made)
            total += len(made)
            if total > AMONG:
                raise InputError(
                    f"{path.name}: more than {AMONG:,} points come out, among which --points "
                    "cannot choose: leave it out, or give --resolution"
                )
        chosen = self._timed("choose", _chosen, _joined(kept), self.points)
        self._timed("write", write_cloud, path, chosen, (), COMMENT)
        return len(chosen), chosen

    def _show(self, name: str, before: Cloud, after: Cloud) -> None:
        view = view_of((after if len(after) else before).points)  # outliers lie far outside
        few = [c.at(np.arange(0, len(c), -(-len(c) // SHOWN) or 1)) for c in (before, after)]
        pictures = [render(c.points, view, colours=c.colours) for c in few]
        titles = [f"input, {len(before):,}", "reconstruction"]
        save_picture(self.folder / f"{name}.png", panels(pictures, titles))
        if self.page:
            clouds = {"input": before, "reconstruction": after}
            write_page(self.folder / f"{name}.html", clouds, name)


def _coloured(points: np.ndarray, rows: np.ndarray, cloud: Cloud) -> Cloud:
    """Points with the colours of the nearest of the input's rows that they were made of."""
    if cloud.colours is None or not len(points):
        return make_cloud(points, None, None if cloud.colours is None else points)
    nearest = cKDTree(cloud.points[rows]).query(points, workers=-1)[1]
    return make_cloud(points, None, cloud.colours[rows[nearest]])


def _some(made: Cloud, cloud: Cloud) -> Cloud:
    """An even part of a piece, so that all pieces together have about as many as are shown."""
    return made.at(np.arange(0, len(made), max(1, round(12 * len(cloud) / SHOWN))))


def _joined(clouds: list[Cloud]) -> Cloud:
    colours = [c.colours for c in clouds]
    known = all(c is not None for c in colours)
    points = np.concatenate([c.points for c in clouds])
    return make_cloud(points, None, np.concatenate(colours) if known else None)


def _chosen(cloud: Cloud, count: int) -> Cloud:
    """`count` of the points, spread evenly, each with its colour."""
    import torch

    points = resample_cloud(torch.from_numpy(cloud.points), count)
    if cloud.colours is None:
        return make_cloud(points)
    return make_cloud(points, None, cloud.colours[cKDTree(cloud.points).query(points)[1]])


def _warn_of_bits(cloud: Cloud, voxel: float, source: str) -> None:
    largest = float(np.abs(cloud.points).max())
    if largest * FEW_BITS > voxel:
        _tell(f"{source}: coordinates reach {largest:,.0f}, of which 32-bit floats keep steps of "
              f"{largest * 2.0**-24:g}: subtract an offset from them before")  # fmt: skip


def _line(record: dict) -> str:
    total = sum(record["seconds"].values())
    share = " ".join(f"{n} {s:.1f}" for n, s in record["seconds"].items())
    return (f"{record['input']}: {record['points_in']:,} to {record['points_out']:,} points, "
            f"{record['tiles']} tile(s), {total:.1f} s ({share})")  # fmt: skip


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("inputs", nargs="*", help="clouds, meshes or folders")
    parser.add_argument("--output", type=Path, help="folder to write to (RUN/predictions)")
    parser.add_argument("--points", type=int, default=0, help="exactly so many out (all)")
    thin = "thin inputs to one point of each cube of this side, in their unit"
    parser.add_argument("--resolution", type=float, default=0.0, help=thin)
    parser.add_argument("--no-page", action="store_true", help="no page to look at")
    parser.add_argument("--count", type=int, default=6, help="clouds, where no input is given")
    _predict(parser.parse_args())


def _predict(options: argparse.Namespace) -> None:
    _check(options)
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.run, session)
    wanted = _wanted(options, config, session)
    if not session.is_main:
        return
    folder = options.output or checkpoint.parents[1] / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(session, network, folder, options.points, options.resolution, not options.no_page)
    records, failed = [], 0
    for name, source, load in place(wanted, folder):
        try:
            records.append(job.run(name, source, load))
        except InputError as error:
            failed += 1
            _tell(f"left out: {error}")
    print(f"{len(records)} clouds: {save_record(folder, RECORD, records)}")
    if failed:
        raise InputError(f"{failed} of {len(wanted)} clouds could not be reconstructed")


def _check(options: argparse.Namespace) -> None:
    if not 0 <= options.points <= AMONG:
        raise InputError(f"--points is {options.points}: 1 to {AMONG:,}, or leave it out for all")
    if not options.resolution >= 0:
        raise InputError(f"--resolution is {options.resolution}: a length above 0")
    if options.count < 1:
        raise InputError(f"--count is {options.count}: at least 1")


def _wanted(options, config: PointCloudConfig, session: Session) -> list[tuple[str, Callable]]:
    """(source, what loads it) of each cloud."""
    if options.inputs:
        paths = list(dict.fromkeys(find_clouds(options.inputs)))
        return [(str(path), partial(read_cloud, path, _tell)) for path in paths]
    val = CloudData(config, session).val()
    chosen = np.linspace(0, len(val) - 1, min(options.count, len(val))).round().astype(int)
    return [(val.clouds.names[i], partial(_input_of, val, i)) for i in chosen.tolist()]


def _input_of(val, index: int) -> Cloud:
    return make_cloud(val[index]["input"].numpy())


def place(wanted: list[tuple[str, Callable]], folder: Path) -> list[tuple[str, str, Callable]]:
    """(name, source, what loads it), the names all different.

    Raises InputError where an input would be overwritten.
    """
    taken: set[str] = {RECORD}
    named = [(distinct_name(Path(source).stem, taken), source, load) for source, load in wanted]
    targets = {(folder / f"{name}{suffix}").resolve() for name, _, _ in named
               for suffix in (".ply", ".png", ".html")}  # fmt: skip
    for _, source, _ in named:
        if Path(source).resolve() in targets:
            raise InputError(f"{source} would be overwritten: choose another --output")
    return named


if __name__ == "__main__":
    main()
