"""Fractals on one core beside the straightforward kernel, and beside an earlier checkout.

The aims against the kernel are what RESULTS.md has of both settings: no loss.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.fractals import SETTINGS, draw, plain
from benchmarks.rows.pairs import Row, Settings, costs, faster, in_turn, process, processes_in_turn
from core.data.fractals.classes import class_system
from core.profiling.timing import Work

KNOWN = (3.9, 2.9)  # times the kernel's rate, by setting
WHOLE = """
from core.data.fractals import FractalImages, FractalsConfig
config = FractalsConfig("sigma", classes=40, size={size}, points={points}, stamp="point")
images = FractalImages(config)
for number in range({count}):
    images.render(number % 40, number)
"""


def rows(settings: Settings) -> Iterator[Row]:
    """Counts of points by system, then whole images of an earlier checkout and of this one."""
    number = 2 if settings.smallest else 40
    systems = [class_system("sigma", 0, label) for label in range(number)]
    for (points, size), aim in zip(SETTINGS, KNOWN, strict=True):
        points = 100 if settings.smallest else points

        def count(kernel, points=points, size=size) -> None:
            for key, system in enumerate(systems):
                kernel(system, size, points, key)

        works = [
            Work(name, lambda k=kernel, c=count: c(k), number)
            for name, kernel in (("ours", draw), ("plain kernel", plain))
        ]
        in_turn(settings, works)
        row = Row(f"fractals, {points:,} points, {size} px", "a plain numba kernel", aim)
        yield faster(row, *works, unit="images/s")
    if settings.before:
        for points, size in SETTINGS:
            program = WHOLE.format(points=points, size=size, count=4_000)
            ours, before = (
                process(name, ["-c", program], checkout=checkout)
                for name, checkout in (("ours", ""), ("before", settings.before))
            )
            processes_in_turn(settings, [ours, before])
            what = f"4,000 whole images, {points:,} points, {size} px"
            yield costs(Row(what, "before", 1.0), ours, before)
