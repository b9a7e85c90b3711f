"""Formula-driven images a second on one core, beside a straightforward numba kernel in one run.

python benchmarks/fractals.py [--rounds 9] [--images 40]

Both draw points per pixel of the same systems (sigma-factor rule), in turns; then come whole
images as the training loader receives them, and the search for the systems of new classes.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from numba import njit

from core.data.fractals import FractalImages, FractalsConfig
from core.data.fractals.classes import class_system
from core.data.fractals.render import draw

SETTINGS = ((100_000, 256), (20_000, 224))  # points, side
STYLES = {
    "points, grey": {"stamp": "point"},
    "a patch an image, grey": {"stamp": "patch"},
    "a patch a point, grey": {"stamp": "patches"},
    "points, log density as hue": {"stamp": "point", "tone": "log", "colour": "hue"},
    "the same before clouds": {
        "stamp": "point",
        "tone": "log",
        "colour": "hue",
        "background": "clouds",
    },
}


@njit
def plain_points(maps, chances, number, seed):
    """One game in double precision: a random number, a search in the sums, a map."""
    np.random.seed(seed)  # noqa: NPY002 - numba's generator
    sums = np.cumsum(chances)
    path = np.empty((number, 2))
    x = y = 0.0
    for i in range(number):
        r = np.random.rand()  # noqa: NPY002
        k = 0
        while k < len(sums) - 1 and r > sums[k]:
            k += 1
        a, b, c, d, e, f = maps[k]
        x, y = a * x + b * y + e, c * x + d * y + f
        path[i, 0], path[i, 1] = x, y
    return path


@njit
def plain_count(path, size):
    """Points per pixel of their bounding box."""
    left, right = path[:, 0].min(), path[:, 0].max()
    bottom, top = path[:, 1].min(), path[:, 1].max()
    counts = np.zeros((size, size), np.uint32)
    for i in range(len(path)):
        row = int((top - path[i, 1]) / (top - bottom) * (size - 1))
        column = int((path[i, 0] - left) / (right - left) * (size - 1))
        counts[row, column] += 1
    return counts


def plain(system, size, number, key):
    return plain_count(plain_points(system.maps, system.chances, number, key), size)


def rate(work, number: int) -> float:
    """Calls of work(i) a second, i = 0 ... number - 1."""
    begun = time.perf_counter()
    for i in range(number):
        work(i)
    return number / (time.perf_counter() - begun)


def spread(values) -> str:
    return f"{statistics.median(values):8.1f}  ({min(values):.1f} to {max(values):.1f})"


def compare(systems, points: int, size: int, rounds: int) -> None:
    """Points per pixel, ours and the plain kernel's, in turns."""
    kernels = {"ours": draw, "plain": plain}
    rates = {name: [] for name in kernels}
    for repeat in range(rounds + 1):
        for name, kernel in kernels.items():
            found = rate(lambda i, k=kernel: k(systems[i], size, points, i), len(systems))
            if repeat:  # the first round compiles and warms up
                rates[name].append(found)
    print(f"{points} points, {size} pixels: counts a second, median (range) of {rounds} rounds")
    for name, found in rates.items():
        print(f"  {name:28}{spread(found)}")
    ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
    print(f"  {'ours / plain':28}{spread(ratios)}")


def whole_images(points: int, size: int, number: int, rounds: int) -> None:
    """Images a second of each style, systems known."""
    print(f"{points} points, {size} pixels: images a second")
    for name, style in STYLES.items():
        config = FractalsConfig("sigma", classes=number, size=size, points=points, **style)
        images = FractalImages(config)
        rate(lambda i, images=images: images.render(i, 0), number)
        found = [
            rate(lambda i, images=images, r=r: images.render(i, 100 * r), number)
            for r in range(rounds)
        ]
        print(f"  {name:28}{spread(found)}")


def search(number: int, rounds: int) -> None:
    """Classes a second whose systems are found."""
    print("classes a second, searched for")
    for rule in ("fractaldb", "sigma", "1p-frac"):
        found = [
            rate(lambda i, rule=rule, s=s: class_system(rule, s, i), number) for s in range(rounds)
        ]
        print(f"  {rule:28}{spread(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=40)
    options = parser.parse_args()
    systems = [class_system("sigma", 0, label) for label in range(options.images)]
    for points, size in SETTINGS:
        compare(systems, points, size, options.rounds)
        whole_images(points, size, options.images, options.rounds)
    search(options.images, options.rounds)


if __name__ == "__main__":
    main()
