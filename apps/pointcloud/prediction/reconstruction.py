"""From one scan to the files of its reconstruction: NAME.ply, NAME.png, NAME.html, NAME-mesh.ply.

Points come in pieces, a batch of tiles at a time (`evaluation/inference.py`), get the colours of
the input and are written before the next piece is made: memory is bounded by the input and by what
is shown, not by what comes out. `--points`, `--normals` and `--mesh` keep all, which they look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress
from scipy.spatial import cKDTree

from apps.pointcloud.data.files import write_cloud
from apps.pointcloud.data.plywriter import ply_stream, write_ply
from apps.pointcloud.evaluation.pictures import side_by_side
from apps.pointcloud.geometry.cloud import Cloud, distinct_cloud, joined, make_cloud, sphere_of
from apps.pointcloud.geometry.render import view_of
from apps.pointcloud.geometry.roughness import Roughness, roughness_of
from apps.pointcloud.geometry.spacing import thinned
from apps.pointcloud.geometry.trees import nearest_of
from apps.pointcloud.geometry.upright import SIDES, stand, usual_up
from apps.pointcloud.prediction.checks import Coverage, few_bits, rougher, summary
from apps.pointcloud.prediction.finishing import coloured, exactly, with_normals
from apps.pointcloud.prediction.methods import Method, surface_of
from apps.pointcloud.prediction.stopwatch import Stopwatch
from apps.pointcloud.prediction.viewer import SHOWN, write_page
from core.errors import InputError
from core.pictures.sheets import save_image

COMMENT = "mixer-apps"  # in the files
AMONG = 5_000_000  # points that can be looked at together
GROWTH = 12  # points out for one in, about: what the part that is shown is reckoned by


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


@dataclass(frozen=True)
class Wishes:
    """What a person asks of the files."""

    points: int = 0  # that come out; 0: as many as the method makes
    resolution: float = 0.0  # of the input in the file's unit; 0: as it is
    keep: bool = False  # the input's points are among those that come out
    normals: bool = False
    mesh: bool = False
    page: bool = True

    @property
    def together(self) -> bool:
        """Whether all points have to be there at a time."""
        return bool(self.points) or self.normals or self.mesh


@dataclass
class Reconstructor:
    """A method, and how a cloud goes through it into a folder; one cloud each."""

    method: Method
    folder: Path
    wishes: Wishes = Wishes()
    warn: Callable[[str], Any] = print
    learnt: bool = False  # whether the method is a network, which a clean cloud may not need
    tiles: int = 0  # of the cloud
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def run(self, name: str, scan: Scan) -> dict[str, Any]:
        """Reconstruct one cloud and write what becomes of it; returns its record.

        Raises InputError for a cloud of one point, for more points than can be looked at, and where
        none comes out.
        """
        cloud, self.stopwatch = scan.cloud, scan.stopwatch
        if self.wishes.resolution:
            cloud = self.stopwatch.run("thin", thinned, cloud, self.wishes.resolution)
        sphere_of(cloud.points, scan.source)
        roughness = self.stopwatch.run("noise", roughness_of, cloud.points)
        self._say_before(scan.source, cloud, roughness)
        coverage = Coverage(cloud.points, roughness.spacing)
        pieces = self._pieces(cloud, coverage, f"{name}.ply")
        write = self._write_together if self.wishes.together else self._write_all
        count, shown = write(self.folder / f"{name}.ply", pieces, cloud)
        self._say_after(scan.source, cloud, roughness, coverage, shown)
        self.stopwatch.run("pictures", self._show, name, cloud, shown)
        record = self._record(len(cloud), count, roughness, coverage)
        print(summary(scan.source, record), flush=True)
        return record

    def _say_before(self, source: str, cloud: Cloud, roughness: Roughness) -> None:
        print(f"{source}: {roughness}", flush=True)
        if line := few_bits(cloud, roughness.spacing, source):
            self.warn(line)
        if self.learnt and roughness.clean:
            self.warn(
                f"{source}: a network that cleans may make a clean cloud worse: --method mls adds "
                "points to it, --keep leaves its own as they are"
            )

    def _say_after(
        self, source, cloud: Cloud, before: Roughness, coverage: Coverage, shown
    ) -> None:
        lines = [rougher(shown.points, cloud.points, before), coverage.line(self.wishes.keep)]
        for line in filter(None, lines):
            self.warn(f"{source}: {line}")

    def _record(
        self, points: int, count: int, roughness: Roughness, coverage: Coverage
    ) -> dict[str, Any]:
        seconds = self.stopwatch.seconds
        return {
            "points_in": points,
            "points_out": count,
            "spacing": roughness.spacing,
            "noise": roughness.sigma,
            "uncovered": coverage.uncovered(),
            "tiles": self.tiles,
            "seconds": seconds,
            "points_per_second": points / seconds["method"],
        }

    def _pieces(self, cloud: Cloud, coverage: Coverage, name: str) -> Iterator[Cloud]:
        """The input where it is kept, then what is made of it, piece by piece, with colours."""
        if self.wishes.keep:
            yield replace(cloud, normals=None)
        # what is kept counts among the points that are asked for
        more = max(self.wishes.points - len(cloud) * self.wishes.keep, 0)
        with Progress(transient=True) as progress:
            task = progress.add_task(name)

            def report(done: int, of: int) -> None:
                self.tiles = of
                progress.update(task, completed=done, total=of)

            pieces, made = self.method(cloud.points, more, report), 0
            while (piece := self.stopwatch.run("method", next, pieces, None)) is not None:
                made += len(piece[0])
                coverage.add(*piece)
                yield self.stopwatch.run("colours", coloured, *piece, cloud)
        if not made:  # before the file is there
            raise InputError(f"{name}: no point comes out of {len(cloud):,}: is it all noise?")

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

    def _write_together(self, path: Path, pieces: Iterator[Cloud], cloud: Cloud):
        """The same of all points at a time: chosen, with normals, and as a mesh."""
        wishes, kept = self.wishes, len(cloud) if self.wishes.keep else 0
        if wishes.points and kept > wishes.points:
            raise InputError(f"{kept:,} points to --keep are more than --points {wishes.points:,}")
        made = self._gathered(pieces, path.name)
        if wishes.points:
            made = self.stopwatch.run("choose", exactly, made, wishes.points, kept)
        if wishes.normals or wishes.mesh:
            made = self.stopwatch.run("normals", with_normals, made, cloud)
        if wishes.mesh:
            self.stopwatch.run("mesh", self._write_mesh, path, made)
        self.stopwatch.run("write", write_cloud, path, made, (), COMMENT)
        return len(made), made

    def _gathered(self, pieces: Iterator[Cloud], name: str) -> Cloud:
        parts, total = [], 0
        for piece in pieces:
            parts.append(piece)
            total += len(piece)
            if total > AMONG:
                raise InputError(
                    f"{name}: more than {AMONG:,} points come out, too many to look at together: "
                    "leave --points, --normals and --mesh out, or give --resolution"
                )
        return joined(parts)

    def _write_mesh(self, path: Path, made: Cloud) -> None:
        vertices, faces = surface_of(made.points)
        mesh = replace(make_cloud(vertices), origin=made.origin)
        if made.colours is not None:
            near = nearest_of(cKDTree(made.points), mesh.points)[1]
            mesh = replace(mesh, colours=made.colours[near])
        write_ply(path.with_name(f"{path.stem}-mesh.ply"), mesh, COMMENT, faces)

    def _show(self, name: str, before: Cloud, after: Cloud) -> None:
        up = usual_up(before.points)
        titled = {f"input, {len(before):,}": before, "reconstruction": after}
        stood = {title: stand(cloud.some(SHOWN), up) for title, cloud in titled.items()}
        around = stand(after if len(after) else before, up).points  # outliers lie far outside
        picture = side_by_side(stood, view_of(around, *SIDES[up]))
        save_image(self.folder / f"{name}.png", picture, optimize=True)
        if self.wishes.page:
            clouds = {"input": before, "reconstruction": after}
            write_page(self.folder / f"{name}.html", clouds, name)
