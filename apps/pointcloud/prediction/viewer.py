"""A page that shows clouds before and after, turned by the mouse; it opens without a network.

The eye is so far away that it sees all of the cloud that is seen first. Points without colours are
lit by the planes around them. Which way is up is guessed (`geometry/upright.py`); buttons choose
another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud
from apps.pointcloud.geometry.normals import estimate_normals
from apps.pointcloud.geometry.upright import Y_DOWN, Z_UP, usual_up
from core.errors import InputError
from core.files import whole_file

SHOWN = 60_000  # points of a cloud; the rest is left out evenly
NEIGHBOURS = 16  # of the planes that points are lit by
FLAT = 1e-3  # of the longest side: what the shortest counts as, at least
LIGHT = np.array([0.35, 0.5, 0.8])  # towards it; both sides of a surface are lit alike
DARK, BRIGHT = "rgb(45,55,75)", "rgb(205,212,222)"
UP = {  # the eye of each, in plotly's unit, and what is up on the screen
    Z_UP: ((1.2, -1.4, 0.8), (0, 0, 1)),
    "y up": ((1.2, 0.8, 1.4), (0, 1, 0)),
    Y_DOWN: ((-0.4, -0.6, -1.8), (0, -1, 0)),
}


def write_page(path: Path, clouds: Mapping[str, Cloud], title: str) -> Path:
    """Write an html page with a button for each named cloud; plotly's script is in the page.

    Raises InputError where the package plotly is missing.
    """
    figure = cloud_figure(clouds, title)
    with whole_file(path) as partial:
        figure.write_html(partial, include_plotlyjs=True, config={"displaylogo": False})
    return path


def cloud_figure(clouds: Mapping[str, Cloud], title: str):
    """A figure of plotly with a button for each named cloud, the last one seen first.

    Raises InputError where the package is missing.
    """
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise InputError("a viewer page needs the package plotly: pip install plotly") from error
    names = list(reversed(clouds))  # the last one is seen first
    figure = go.Figure([_trace(go, name, clouds[name], name == names[0]) for name in names])
    hidden = {f"{axis}axis_visible": False for axis in "xyz"}
    ups = list(UP)
    active = ups.index(usual_up(clouds[names[-1]].points))
    far = _distance(clouds[names[0]].points)
    figure.update_layout(
        title=title,
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 60, "b": 0},
        scene={"aspectmode": "data", "camera": _camera(ups[active], far), **hidden},
        updatemenus=[
            {**_row("left"), "buttons": _buttons(names)},
            {**_row("right"), "buttons": [_turning(up, far) for up in ups], "active": active},
        ],
    )
    return figure


def _distance(points: np.ndarray) -> float:
    """How far an eye is, beside that of a cube, to see all: 1 or more.

    plotly (aspectmode "data") makes the geometric mean of the sides 1, so that a tall or a flat
    cloud is larger than a cube.
    """
    if not len(points):
        return 1.0
    sides = np.maximum(np.ptp(points.astype(np.float64), axis=0), 1e-12)
    sides = np.maximum(sides, sides.max() * FLAT)
    return float(np.linalg.norm(sides) / np.cbrt(sides.prod()) / np.sqrt(3))


def _camera(up: str, far: float) -> dict:
    eye, high = UP[up]
    eye = [far * place for place in eye]
    return {name: dict(zip("xyz", v, strict=True)) for name, v in (("eye", eye), ("up", high))}


def _row(side: str) -> dict:
    """Where a row of buttons stands."""
    x = {"left": 0.02, "right": 0.98}[side]
    return {"type": "buttons", "direction": "right", "x": x, "y": 1.0, "xanchor": side}


def _turning(up: str, far: float) -> dict:
    return {"label": up, "method": "relayout", "args": [{"scene.camera": _camera(up, far)}]}


def _trace(go, name: str, cloud: Cloud, visible: bool):
    cloud = cloud.some(SHOWN)
    x, y, z = cloud.points.T
    marker = {"size": 2, **_painted(cloud)}
    looks = {"mode": "markers", "marker": marker, "hoverinfo": "skip"}
    return go.Scatter3d(x=x, y=y, z=z, name=name, visible=visible, **looks)


def _painted(cloud: Cloud) -> dict:
    """A cloud's own colours, or its planes in the light, as plotly's markers have them."""
    if cloud.colours is not None:
        rows = (np.clip(cloud.colours, 0, 1) * 255).round().astype(int).tolist()
        return {"color": [f"rgb({r},{g},{b})" for r, g, b in rows]}
    facing = estimate_normals(cloud.points, NEIGHBOURS) @ (LIGHT / np.linalg.norm(LIGHT))
    return {"color": np.abs(facing), "colorscale": [DARK, BRIGHT], "cmin": 0, "cmax": 1}


def _buttons(names: list[str]) -> list[dict]:
    each = [[i == j for j in range(len(names))] for i in range(len(names))]
    return [
        {"label": name, "method": "restyle", "args": [{"visible": shown}]}
        for name, shown in zip(names, each, strict=True)
    ]
