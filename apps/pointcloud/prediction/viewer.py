"""A page that shows clouds before and after, turned by the mouse; it opens without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from apps.pointcloud.geometry.cloud import Cloud
from core.errors import InputError
from core.files import whole_file

SHOWN = 60_000  # points of a cloud; the rest is left out evenly
GREY = "rgb(110,120,135)"


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
    menu = {"type": "buttons", "direction": "right", "x": 0.02, "y": 1.0, "xanchor": "left"}
    figure.update_layout(
        title=title,
        showlegend=False,
        margin={"l": 0, "r": 0, "t": 60, "b": 0},
        scene={"aspectmode": "data", **hidden},
        updatemenus=[{**menu, "buttons": _buttons(names)}],
    )
    return figure


def _trace(go, name: str, cloud: Cloud, visible: bool):
    cloud = cloud.some(SHOWN)
    x, y, z = cloud.points.T
    colour = GREY
    if cloud.colours is not None:
        rows = (np.clip(cloud.colours, 0, 1) * 255).round().astype(int).tolist()
        colour = [f"rgb({r},{g},{b})" for r, g, b in rows]
    marker = {"size": 2, "color": colour}
    looks = {"mode": "markers", "marker": marker, "hoverinfo": "skip"}
    return go.Scatter3d(x=x, y=y, z=z, name=name, visible=visible, **looks)


def _buttons(names: list[str]) -> list[dict]:
    each = [[i == j for j in range(len(names))] for i in range(len(names))]
    return [
        {"label": name, "method": "restyle", "args": [{"visible": shown}]}
        for name, shown in zip(names, each, strict=True)
    ]
