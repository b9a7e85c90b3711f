"""Clouds beside one another: what went in, what came out, what is true."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from apps.pointcloud.evaluation.inference import Method
from apps.pointcloud.evaluation.suites import Suite
from apps.pointcloud.geometry.cloud import Cloud, make_cloud
from apps.pointcloud.geometry.render import View, render, view_of
from core.data.samples import evenly_spaced
from core.pictures.sheets import save_image, sheet

SHOWN = 6  # clouds of a suite
TITLE = 14  # pixels


def side_by_side(clouds: Mapping[str, Cloud], view: View) -> Image.Image:
    """Named clouds from the same side, each under its name."""
    pictures = [render(cloud.points, view, colours=cloud.colours) for cloud in clouds.values()]
    return sheet([pictures], titles=list(clouds), gap=0, text=TITLE)


def draw_suite(methods: Mapping[str, Method], suite: Suite, folder: Path) -> Path:
    """A picture for each of some clouds of a suite, evenly over it, with what each method makes of
    it; returns the folder."""
    for i in evenly_spaced(len(suite), SHOWN):
        noisy, true = (suite.items[i][name].numpy() for name in ("input", "target"))
        count = suite.outputs or len(true)
        made = {name: method(noisy, count) for name, method in methods.items()}
        named = {"input": noisy, **made, "truth": true}
        clouds = {f"{name}, {len(p):,}": make_cloud(p) for name, p in named.items()}
        save_image(folder / f"{suite.name}-{i:04d}.png", side_by_side(clouds, view_of(true)))
    return folder
