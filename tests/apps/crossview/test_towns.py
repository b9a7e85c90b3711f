"""Embedded towns: exact maps, shadows, determinism, files."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from apps.crossview.towns import CLASSES, PALETTE, render, town_scene, write_towns
from apps.crossview.towns.classes import BUILDING, GRASS, ROAD, SKY, TREE, WATER
from apps.crossview.towns.kernels import ASPHALT, MEADOW, POND
from apps.crossview.towns.layout import Scene
from apps.crossview.towns.render import FIELD_OF_VIEW, HORIZON, SIDE
from core import InputError

SIZE = 96
EYE = 2.0


def scene(houses=(), trees=(), grounds=(), sun=(0.0, 0.0, 1.0), heading=0.0) -> Scene:
    """A meadow and what is given, in plain light without clouds."""
    meadow = [-500, -500, 500, 500, 0, MEADOW, 0.4, 0.6, 0.3, 1]
    light = [*np.array(sun) / np.linalg.norm(sun), 0.9, 0.4, 0.3, 0.5, 0.8, 0.8, 0.9, 1.0, 0, 0, 1]
    arrays = [
        np.array(list(rows), float).reshape(-1, n)
        for rows, n in ((houses, 19), (trees, 10), ([meadow, *grounds], 10))
    ]
    return Scene(*arrays, np.array(light, float), (0.0, 0.0, EYE), heading)


def house(x0, y0, x1, y1, walls, ridge=0.0, axis=-1):
    radius = 0.5 * np.hypot(x1 - x0, y1 - y0)
    colours = [0.9, 0.9, 0.8, 0.6, 0.3, 0.2, 0.2, 0.2, 0.3]
    return [x0, y0, x1, y1, walls, ridge, axis, *colours, radius, 3.0, 2.5]


def extent(mask):
    """First row, last row, first column, last column of what is set, as edges of pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_a_house_stands_where_a_pinhole_camera_sees_it():
    """10 m wide, 6 m high, its front 20 m ahead."""
    _, street = render(scene([house(-4, 20, 6, 30, 6)]), SIZE)
    focal = 0.5 * SIZE / np.tan(0.5 * FIELD_OF_VIEW)
    top, bottom = (HORIZON * SIZE - focal * (z - EYE) / 20 for z in (6, 0))
    left, right = (0.5 * SIZE + focal * x / 20 for x in (-4, 6))
    found = extent(street.classes == BUILDING)
    assert np.abs(np.array(found) - [top, bottom, left, right]).max() <= 0.5 + 1e-9


def test_a_house_lies_to_scale_from_above():
    above, _ = render(scene([house(-4, 10, 6, 16, 6)]), SIZE)
    scale = SIZE / SIDE
    found = extent(above.classes == BUILDING)
    expected = [
        0.5 * SIZE - 16 * scale,
        0.5 * SIZE - 10 * scale,
        0.5 * SIZE - 4 * scale,
        0.5 * SIZE + 6 * scale,
    ]
    assert np.abs(np.array(found) - expected).max() <= 0.5 + 1e-9


def test_the_heading_is_up_from_above_and_ahead_from_the_street():
    """A house to the east, seen by somebody who looks east."""
    above, street = render(scene([house(15, -3, 20, 3, 5)], heading=0.5 * np.pi), SIZE)
    rows = np.flatnonzero((above.classes == BUILDING).any(1))
    assert rows.max() < 0.5 * SIZE
    columns = np.flatnonzero((street.classes == BUILDING).any(0))
    assert columns.min() + columns.max() + 1 == SIZE


def test_a_ridge_is_higher_than_the_walls():
    plain, ridge = (render(scene([house(-4, 20, 6, 30, 6, r, 1)]), SIZE)[1] for r in (1e-9, 3.0))
    focal = 0.5 * SIZE / np.tan(0.5 * FIELD_OF_VIEW)
    lifted = extent(plain.classes == BUILDING)[0] - extent(ridge.classes == BUILDING)[0]
    assert lifted == pytest.approx(focal * 3 / 20, abs=1)
    above = render(scene([house(-4, 20, 6, 30, 6, 3.0, 1)], sun=(1, 0, 1)), SIZE)[0]
    roof = above.image[above.classes == BUILDING]
    halves = np.flatnonzero((above.classes == BUILDING).any(0))
    west = above.image[:, halves[: len(halves) // 2 - 1]].max()
    assert roof.max() > 1.2 * west or roof.std() > 10, "the side towards the sun is lighter"


def test_classes_of_the_ground():
    """A street to the left, a round pond to the right."""
    road = [-20, -500, -10, 500, 0, ASPHALT, 0.4, 0.4, 0.4, 1]
    pond = [10, -5, 20, 5, 1, POND, 0.2, 0.3, 0.4, 1]
    above, _ = render(scene(grounds=[road, pond]), SIZE)
    scale = SIZE / SIDE
    assert (above.classes == ROAD).sum() == pytest.approx(10 * scale * SIZE, rel=0.05)
    assert (above.classes == WATER).sum() == pytest.approx(np.pi * 25 * scale**2, rel=0.05)
    assert set(np.unique(above.classes)) == {ROAD, WATER, GRASS}


@pytest.mark.parametrize("sun", [(1, 0, 1), (0, 1, 1)])
def test_shadows_fall_away_from_the_sun_in_both_views(sun):
    """A tower 10 m high, the sun at 45 degrees: the shadow is 10 m long."""
    tower = house(-2, 8, 2, 12, 10)
    lit, plain = scene([tower], sun=sun), scene(sun=sun)
    above, empty = render(lit, SIZE)[0], render(plain, SIZE)[0]
    dark = (above.image.astype(int).sum(2) < 0.75 * empty.image.astype(int).sum(2)) & (
        above.classes == GRASS
    )
    scale = SIZE / SIDE
    rows, columns = np.nonzero(dark)
    x, y = (columns + 0.5) / scale - SIDE / 2, SIDE / 2 - (rows + 0.5) / scale
    away = -(x * sun[0] + (y - 10) * sun[1])  # metres from the tower, away from the sun
    assert away.min() > 1.5
    assert away.max() == pytest.approx(12, abs=0.8)
    street, bare = render(lit, SIZE)[1], render(plain, SIZE)[1]
    changed = street.image.astype(int).sum(2) < 0.8 * bare.image.astype(int).sum(2)
    assert (changed & (street.classes == GRASS)).any()


def test_a_panorama_wraps_around_and_has_the_heading_in_its_middle():
    spots = [house(-3, 15, 3, 20, 5), house(-3, -20, 3, -15, 5)]
    _, street = render(scene(spots), 32, panorama=True)
    assert street.image.shape == (32, 128, 3)
    columns = np.flatnonzero((street.classes == BUILDING).any(0))
    ahead = columns[np.abs(columns - 63.5) < 20]
    assert ahead.min() + ahead.max() == 127
    assert {0, 127} <= set(columns.tolist()), "what is behind is cut by the border"
    half = np.rad2deg(np.arctan(3 / 15)) / 360 * 128
    assert len(ahead) == pytest.approx(2 * half, abs=1.5)


def test_what_is_to_the_right_is_right_of_the_middle_of_a_panorama():
    """A house to the east: at 3/4 for who looks north, in the middle for who looks east."""
    for heading, middle in ((0.0, 96), (0.5 * np.pi, 64), (np.pi, 32)):
        town = scene([house(15, -3, 20, 3, 5)], heading=heading)
        street = render(town, 32, panorama=True)[1]
        columns = np.flatnonzero((street.classes == BUILDING).any(0))
        assert columns.min() + columns.max() + 1 == pytest.approx(2 * middle, abs=1)


def test_the_camera_sees_what_the_panorama_sees():
    """The same town in both: the middle columns hold the same classes from top to bottom."""
    town = town_scene(0, "train", 1)
    photo, panorama = render(town, 64)[1], render(town, 64, panorama=True)[1]
    kinds = [set(np.unique(v.classes[:, v.classes.shape[1] // 2])) for v in (photo, panorama)]
    assert kinds[0] <= kinds[1] | {SKY}


def test_towns_are_functions_of_their_numbers():
    keys = [(0, "train", 0), (0, "train", 1), (0, "val", 0), (1, "train", 0)]
    views = [render(town_scene(*key), 32) for key in keys]
    again = render(town_scene(*keys[0]), 32)
    for view, other in zip(views[0], again, strict=True):
        assert np.array_equal(view.image, other.image)
        assert np.array_equal(view.classes, other.classes)
    for first, second in ((0, 1), (0, 2), (0, 3)):
        assert not np.array_equal(views[first][1].image, views[second][1].image)


def test_towns_have_everything():
    classes = {
        c
        for n in range(12)
        for v in render(town_scene(0, "val", n), 32)
        for c in np.unique(v.classes).tolist()
    }
    assert classes == {SKY, BUILDING, ROAD, GRASS, TREE, WATER} == set(range(len(CLASSES)))


def test_culling_changes_nothing():
    """What is left out before the rays are shot is not seen by them."""
    module = import_module("apps.crossview.towns.render")  # the package's name is the function
    town = town_scene(0, "val", 3)
    every = town.houses, town.trees
    for rays, seen, haze in (
        (module._above_rays, module._around(town), 0.0),
        (module._camera_rays, (module._ahead(town), every), 1.0),
    ):
        shot = rays(town, 32)
        fast, slow = (module._view(town, shot, *what, haze) for what in (seen, (every, every)))
        assert np.array_equal(fast.image, slow.image)
        assert np.array_equal(fast.classes, slow.classes)


# ---- files -----------------------------------------------------------------------------------


def test_files(tmp_path):
    root = write_towns(tmp_path / "t", 2, 1, seed=3, size=32, workers=1)
    pixels = np.asarray(Image.open(root / "train/00001.png"))
    above, street = render(town_scene(3, "train", 1), 32)
    panels = np.split(pixels, 4, axis=1)
    expected = [above.image, street.image, PALETTE[above.classes], PALETTE[street.classes]]
    for panel, picture in zip(panels, expected, strict=True):
        assert np.array_equal(panel, picture)
    before = (root / "towns.json").stat().st_mtime_ns
    assert write_towns(root, 2, 1, seed=3, size=32) == root
    assert (root / "towns.json").stat().st_mtime_ns == before, "written once"
    with pytest.raises(InputError, match="holds the embedded towns"):
        write_towns(root, 2, 1, seed=4, size=32)


def test_an_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    from apps.crossview.towns import dataset

    monkeypatch.setattr(dataset, "four_panels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_towns(tmp_path / "t", 1, 1, size=32, workers=1)
    assert not list(tmp_path.iterdir())


def test_panoramas_on_disk(tmp_path):
    from apps.crossview.config import DataConfig
    from apps.crossview.data.pairs import Pairs

    root = write_towns(tmp_path / "t", 1, 1, size=32, panorama=True, workers=1)
    item = Pairs(DataConfig(root=str(root), size=(32, 128)), "train")[0]
    street = render(town_scene(0, "train", 0), 32, panorama=True)[1]
    assert np.array_equal(item["ground_map"], street.classes)


@pytest.mark.parametrize("bad", [{"train": 0}, {"size": 8}, {"seed": -1}])
def test_settings_that_cannot_be(tmp_path, bad):
    with pytest.raises(InputError, match="are needed"):
        write_towns(tmp_path / "t", **{"train": 1, "val": 1} | bad)
    with pytest.raises(InputError, match="no town"):
        town_scene(0, "test", 0)


def test_a_scene_can_be_changed():
    """A scene is data: another light gives another picture and the same map."""
    town = town_scene(0, "val", 0)
    dim = replace(town, light=np.concatenate([town.light[:3], [0.1], town.light[4:]]))
    bright, dark = render(town, 32), render(dim, 32)
    assert bright[0].image.mean() > dark[0].image.mean()
    assert np.array_equal(bright[0].classes, dark[0].classes)
