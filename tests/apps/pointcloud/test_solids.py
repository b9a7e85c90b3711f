"""The embedded shapes: uniform samples of what is seen, files in ShapeNet-Part's layout."""

import json

import numpy as np
import pytest
from PIL import Image

from apps.pointcloud.evaluation.pictures import side_by_side
from apps.pointcloud.geometry.cloud import make_cloud
from apps.pointcloud.geometry.render import View, render, view_of
from apps.pointcloud.solids import KINDS, make_shape, room_scene, write_solids
from apps.pointcloud.solids.primitives import (
    box,
    extrusion,
    in_outline,
    sheet,
    superquadric,
    tube,
    turned,
)
from apps.pointcloud.solids.sheet import contact_sheet
from apps.pointcloud.solids.surfaces import place, sample, z_to
from core.data.randomness import pick, stream, uniform, weighted_order, whole
from core.errors import InputError
from core.pictures.sheets import save_sheet

RANDOM = [0.7550986144138947, 0.5384766303279859]
NORMAL = [-0.6818902321110457, -0.6633087547144007]
SQUARE = [[1, -1], [1, 1], [-1, 1], [-1, -1]]


def area(surface):
    a, b, c = surface.vertices[surface.faces].transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def volume(surface):
    """Positive where all faces are counter-clockwise seen from outside (divergence theorem)."""
    a, b, c = surface.vertices[surface.faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def edges_are_shared(surface):
    """Whether every edge between different corners is passed as often in one direction as back."""
    corners = np.unique(surface.vertices.round(9), axis=0, return_inverse=True)[1].ravel()
    count = {}
    for face in corners[surface.faces]:
        for edge in zip(face, np.roll(face, -1), strict=True):
            if edge[0] != edge[1]:
                count[edge] = count.get(edge, 0) + 1
    return all(count.get(edge[::-1]) == times for edge, times in count.items())


PROFILE = [[0, 0], [1, 0], [1, 2], [0.8, 2], [0.8, 0.2], [0, 0.2]]  # a cup
SOLIDS = {
    "box": (box((1, 2, 3)), 22, 6),
    "cube of a superquadric": (superquadric((1, 1, 1), (0.02, 0.02)), 24, 8),
    "sphere": (superquadric((1, 1, 1), (1, 1)), 4 * np.pi, 4 / 3 * np.pi),
    "cylinder": (tube([(0, 0, 0), (0, 0, 2)], 0.5, around=64), 2.5 * np.pi, 0.5 * np.pi),
    "extrusion": (extrusion(SQUARE, 2), 24, 8),
    "cup": (turned(PROFILE, around=64), None, np.pi * (2 - 0.64 * 1.8)),
    "ring": (turned([[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]], around=64), None, 3 * np.pi),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_surfaces_are_closed_and_look_outwards(name):
    surface, wanted_area, wanted_volume = SOLIDS[name]
    assert edges_are_shared(surface)
    assert volume(surface) == pytest.approx(wanted_volume, rel=0.03)
    if wanted_area:
        assert area(surface) == pytest.approx(wanted_area, rel=0.03)


@pytest.mark.parametrize("name", SOLIDS)
def test_inside_agrees_with_the_triangles(name):
    """By the winding number of the triangles (van Oosterom and Strackee 1983)."""
    surface = place(SOLIDS[name][0], (0.3, -0.2, 0.1), z_to(np.array([1.0, 2.0, 0.5])))
    low, high = surface.vertices.min(0) - 0.2, surface.vertices.max(0) + 0.2
    points = low + (high - low) * stream(3).random((200, 3))
    a, b, c = (surface.vertices[surface.faces][:, i] - points[:, None] for i in range(3))
    x, y, z = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    top = (a * np.cross(b, c)).sum(2)
    bottom = x * y * z + (a * b).sum(2) * z + (b * c).sum(2) * x + (c * a).sum(2) * y
    winding = np.arctan2(top, bottom).sum(1) / (2 * np.pi)
    assert np.mean((winding > 0.5) == surface.inside(points)) > 0.985  # facets cut round ones off


def test_tapered_extrusions_know_their_inside():
    frustum = extrusion(SQUARE, 2, top_scale=0.5)
    points = np.array([[0.7, 0, 0], [0.8, 0, 0], [0.95, 0, -0.95], [0.55, 0, 0.95], [0, 0, 1.1]])
    assert frustum.inside(points).tolist() == [True, False, True, False, False]
    assert volume(frustum) == pytest.approx(2 / 3 * (4 + 1 + 2))


def test_outlines_by_hand():
    angle = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], float)
    points = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5], [-0.1, 1], [2.1, 0.5]])
    assert in_outline(points, angle).tolist() == [True, True, False, True, False, False]


def test_samples_are_uniform_by_area_and_carry_normals():
    surfaces = [box((2, 1, 0.5)), place(box((1, 1, 1), part=1), (5, 0, 0))]
    found = sample(surfaces, 20_000, stream(0))
    areas = 2 * np.array([2 * 1 + 2 * 0.5 + 1 * 0.5, 3])
    assert np.bincount(found.parts) / 20_000 == pytest.approx(areas / areas.sum(), abs=0.015)
    on_first = found.points[found.parts == 0]
    normals = found.normals[found.parts == 0]
    half = np.array([1, 0.5, 0.25])
    assert np.allclose((on_first * normals).sum(1), np.abs(normals) @ half)  # on its own face
    top = on_first[normals[:, 2] > 0.5][:, :2]
    cells = np.histogram2d(*top.T, bins=4, range=[[-1, 1], [-0.5, 0.5]])[0]
    assert cells.min() > 0.8 * cells.mean()
    assert cells.max() < 1.2 * cells.mean()


def test_hidden_surfaces_have_no_samples():
    small = place(box((1, 1, 1), part=1), (1, 0, 0))
    surfaces = [box((2, 2, 2)), small, sheet((-1, -1, 0), (4, 0, 0), (0, 2, 0), 2)]
    found = sample(surfaces, 5000, stream(0))
    assert not (np.abs(found.points) < 1 - 1e-6).all(1).any()
    assert not (np.abs(found.points - [1, 0, 0]) < 0.5 - 1e-6).all(1).any()
    assert set(found.parts) == {0, 1, 2}  # of the sheet what sticks out is left


def test_shapes_are_pure_functions_of_their_key():
    for kind in range(len(KINDS)):
        rows = make_shape(3, "train", kind, 5, 200)
        assert np.array_equal(rows, make_shape(3, "train", kind, 5, 200))
        others = [make_shape(3, "val", kind, 5, 200), make_shape(4, "train", kind, 5, 200)]
        assert all(not np.array_equal(rows, other) for other in others)
        radius = np.linalg.norm(rows[:, :3], axis=1)
        assert radius.max() == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(rows[:, 3:6], axis=1) == pytest.approx(np.ones(200), abs=1e-4)


def test_parts_count_over_all_kinds():
    first = 0
    for number, kind in enumerate(KINDS):
        parts = {p for n in range(6) for p in make_shape(0, "train", number, n, 300)[:, 6]}
        assert parts <= set(range(first, first + len(kind.parts)))
        first += len(kind.parts)


def test_rooms_are_looked_at_from_within():
    found = room_scene(0, 1, 4000)
    assert np.array_equal(found.points, room_scene(0, 1, 4000).points)
    shell, center = found.parts == 0, np.array([0, 0, 1.2])
    inwards = ((center - found.points[shell]) * found.normals[shell]).sum(1)
    assert (inwards > 0).all()
    assert 2.2 < found.points[:, 2].max() <= 2.8
    assert (found.points[:, 2] > -1e-9).all()


def test_the_data_set_on_disk(tmp_path):
    root = write_solids(tmp_path / "solids", 2, 1, 1, seed=1, points=64, workers=1)
    names = json.loads((root / "train_test_split/shuffled_train_file_list.json").read_text())
    assert len(names) == 2 * len(KINDS)
    assert len(set(names)) == len(names)
    for name in names:
        rows = np.loadtxt(root / name.removeprefix("shape_data/").__add__(".txt"))
        kind = [k.synset for k in KINDS].index(name.split("/")[1])
        assert np.array_equal(rows, make_shape(1, "train", kind, int(name[-5:]), 64))
    lines = (root / "synsetoffset2category.txt").read_text().splitlines()
    assert "Table\t04379243" in lines
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    write_solids(root, 2, 1, 1, seed=1, points=64, workers=1)
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    with pytest.raises(InputError, match="holds the embedded solids"):
        write_solids(root, 3, 1, 1, seed=1, points=64)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="holds something else"):
        write_solids(tmp_path / "other", 1, 1, 1)
    with pytest.raises(InputError, match="64 points are needed"):
        write_solids(tmp_path / "few", 1, 1, 1, points=10)


def test_random_numbers_stay_what_they_are():
    """The raw stream of PCG64 and the hash of SeedSequence, which numpy promises, and its methods.

    A failure means that every hash of docs/pointcloud_protocol.md has to be made again.
    """
    rng = stream(2022, 7)
    assert rng.random(2).tolist() == RANDOM
    assert rng.standard_normal(2).tolist() == NORMAL
    assert whole(stream(1), 2, 4) in (2, 3, 4)
    assert pick(stream(1), "abc") in "abc"
    assert {whole(rng, 0, 2) for _ in range(50)} == {0, 1, 2}
    assert all(1 <= uniform(rng, 1, 2) < 2 for _ in range(10))


def test_weighted_order_prefers_the_heavier():
    weights = np.array([1.0, 1.0, 8.0])
    first = [int(weighted_order(stream(i), weights)[0]) for i in range(400)]
    assert np.mean(np.array(first) == 2) == pytest.approx(0.8, abs=0.06)
    assert sorted(weighted_order(stream(0), weights)) == [0, 1, 2]


# pictures


def test_nearer_points_hide_farther_ones():
    view = View(azimuth=-90, elevation=0)  # looks along +y
    points = np.array([[0, -0.5, 0], [0, 0.5, 0]], float)
    colours = np.array([[1, 0, 0], [0, 0, 1]], float)
    for order in ([0, 1], [1, 0]):
        picture = render(points[order], view, colours=colours[order], size=64, ball=0.2)
        red, _, blue = picture[32, 32].astype(int)
        assert red > 100
        assert blue < 30


def test_right_and_up_are_right_and_up():
    view = View(azimuth=-90, elevation=0)
    for point, (row, column) in {(0.5, 0, 0): (32, 46), (0, 0, 0.5): (18, 32)}.items():
        dark = np.argwhere(render(np.array([point]), view, size=64, ball=0.05).min(2) < 230)
        assert np.abs(dark.mean(0) - [row, column]).max() < 2


def test_points_that_look_away_are_left_out():
    points, view = np.zeros((1, 3)), View(azimuth=-90, elevation=0)
    towards, away = np.array([[0, -1.0, 0]]), np.array([[0, 1.0, 0]])
    assert render(points, view, normals=towards, size=32, ball=0.2, cull=True).min() < 200
    assert render(points, view, normals=away, size=32, ball=0.2, cull=True).min() == 255
    assert render(points, view, normals=away, size=32, ball=0.2).min() < 200
    assert render(np.zeros((0, 3)), size=32).min() == 255


def test_pictures_are_written(tmp_path):
    blue, white, red = (0.23, 0.45, 0.70), (0.93, 0.92, 0.88), (0.75, 0.16, 0.16)
    cloud = make_cloud(np.eye(3), None, [blue, white, red])
    picture = side_by_side({"before": cloud, "after": cloud.at([0])}, view_of(cloud.points))
    pixels = np.asarray(picture)
    assert picture.size[0] == 640
    inked = [(half < 200).any(2)[40:].sum() for half in np.split(pixels, 2, axis=1)]
    assert inked[0] > 2 * inked[1] > 0  # three balls, and one of them as large
    path = save_sheet(tmp_path / "solids.png", lambda: contact_sheet(0, 1, 32))
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert Image.open(path).height >= 32 * len(KINDS)
