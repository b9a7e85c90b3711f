"""The two views of a town, with exact maps.

From above: orthographic, `SIDE` metres square around the camera, the heading up (as the tiles of
Dayton and CVUSA lie under their photographs). From the street: a pinhole camera looking along the
heading, 80 degrees wide, its horizon at 0.58 of the height; or a panorama, equirectangular, 360
degrees wide and 90 high, the heading in its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.crossview.towns.layout import Scene
from apps.crossview.towns.shading import draw
from core.errors import InputError

SIDE = 56.0  # metres that the view from above shows
FIELD_OF_VIEW = np.deg2rad(80)
HORIZON = 0.58  # of a photograph's height, from its top
PANORAMA_HORIZON = 0.55
SUPERSAMPLING = 2  # rays along each side of a pixel
HEIGHT = 200.0  # of the eye that looks down
Town = tuple[np.ndarray, np.ndarray]  # houses and trees


@dataclass(frozen=True)
class View:
    """An image, uint8 (H, W, 3), and its classes, uint8 (H, W)."""

    image: np.ndarray
    classes: np.ndarray


def render(scene: Scene, size: int, panorama: bool = False) -> tuple[View, View]:
    """From above, size x size pixels, and from the street, the same or size x 4 size.

    Raises InputError for a size below 16.
    """
    if size < 16:
        raise InputError(f"towns: {size} pixels: at least 16 are needed")
    above = _view(scene, _above_rays(scene, size), *_around(scene), haze=0.0)
    every = scene.houses, scene.trees
    if panorama:
        return above, _view(scene, _panorama_rays(scene, size), every, every)
    return above, _view(scene, _camera_rays(scene, size), _ahead(scene), every)


def _offsets() -> np.ndarray:
    """Places in a pixel (1 + samples, 2), from 0 to 1: its middle, then those that are averaged."""
    steps = (np.arange(SUPERSAMPLING) + 0.5) / SUPERSAMPLING
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([[[0.5, 0.5]], grid])


def _places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all rays, in pixels: (H, W, 1 + samples) each."""
    # samples: SUPERSAMPLING**2 rays whose colours are averaged; the first ray gives the class
    rows = np.arange(height)[:, None, None] + _offsets()[:, 0]
    columns = np.arange(width)[None, :, None] + _offsets()[:, 1]
    shape = (height, width, len(_offsets()))
    return np.broadcast_to(rows, shape), np.broadcast_to(columns, shape)


def _axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (3,) ahead and to the right."""
    ahead = np.array([np.sin(heading), np.cos(heading), 0.0])
    return ahead, np.array([np.cos(heading), -np.sin(heading), 0.0])


def _above_rays(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = _places(size, size)
    ahead, right = _axes(scene.heading)
    up, across = SIDE * (0.5 - rows / size), SIDE * (columns / size - 0.5)
    origins = across[..., None] * right + up[..., None] * ahead
    # parallel rays straight down, one origin each: (H, W, 1 + samples, 3)
    origins = origins + np.array([scene.eye[0], scene.eye[1], HEIGHT])
    return origins, np.broadcast_to(np.array([0.0, 0.0, -1.0]), origins.shape)


def _camera_rays(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = _places(size, size)
    ahead, right = _axes(scene.heading)
    # a pinhole: one origin, directions through a plane that is `focal` pixels away
    focal = 0.5 * size / np.tan(0.5 * FIELD_OF_VIEW)
    across, up = (columns - 0.5 * size) / focal, (HORIZON * size - rows) / focal
    directions = ahead + across[..., None] * right + up[..., None] * np.array([0, 0, 1.0])
    return _from_eye(scene, directions)


def _panorama_rays(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = _places(size, 4 * size)
    ahead, right = _axes(scene.heading)
    # equirectangular: columns are angles to the heading (0 in the middle), rows angles to level
    angle = 2 * np.pi * (columns / (4 * size) - 0.5)
    rise = 0.5 * np.pi * (PANORAMA_HORIZON - rows / size)
    level = np.cos(angle)[..., None] * ahead + np.sin(angle)[..., None] * right
    directions = np.cos(rise)[..., None] * level + np.sin(rise)[..., None] * np.array([0, 0, 1.0])
    return _from_eye(scene, directions)


def _from_eye(scene: Scene, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return np.broadcast_to(np.array(scene.eye), directions.shape), directions


def _around(scene: Scene) -> tuple[Town, Town]:
    """What can be in the view from above, and what can throw a shadow into it."""
    sun = scene.light[:3]
    shadow = np.hypot(sun[0], sun[1]) / sun[2]  # metres for each of height
    seen, casters = [], []
    for things, (x, y), radius, top in _extents(scene):
        beyond = np.hypot(x - scene.eye[0], y - scene.eye[1]) - radius - SIDE / np.sqrt(2)
        seen.append(things[beyond <= 0])
        casters.append(things[beyond <= shadow * top])
    return tuple(seen), tuple(casters)


def _ahead(scene: Scene) -> Town:
    """What a camera can see whose view is narrower than half of the circle."""
    ahead, _ = _axes(scene.heading)
    return tuple(
        things[(x - scene.eye[0]) * ahead[0] + (y - scene.eye[1]) * ahead[1] >= -radius]
        for things, (x, y), radius, _ in _extents(scene)
    )


def _extents(scene: Scene):
    """Houses, then trees: the arrays, their middles (x, y), radii and heights."""
    h, t = scene.houses, scene.trees
    middle = 0.5 * (h[:, 0] + h[:, 2]), 0.5 * (h[:, 1] + h[:, 3])
    houses = h, middle, h[:, 16], h[:, 4] + h[:, 5]  # walls and ridge
    return houses, (t, (t[:, 0], t[:, 1]), t[:, 3], t[:, 2] + t[:, 4])


def _view(scene: Scene, rays, seen: Town, casters: Town, haze: float = 1.0) -> View:
    origins, directions = map(np.ascontiguousarray, rays)
    image = np.zeros((*origins.shape[:2], 3))
    classes = np.zeros(origins.shape[:2], np.uint8)
    things = (seen, casters, scene.grounds, scene.light)
    draw(origins, directions, SUPERSAMPLING**2, *things, haze, image, classes)
    return View((image * 255).round().astype(np.uint8), classes)
