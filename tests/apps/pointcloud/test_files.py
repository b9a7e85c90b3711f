"""Clouds and meshes from files, what can be wrong with them, and Open3D where it is needed."""

import struct
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from apps.pointcloud.data import files
from apps.pointcloud.data.files import find_clouds, read_cloud, read_mesh, write_cloud
from apps.pointcloud.data.formats.ply import read_ply
from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.data.plywriter import ply_stream, write_ply
from apps.pointcloud.geometry.cloud import Cloud, finite_cloud, make_cloud, sphere_of
from core.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
needs_open3d = pytest.mark.skipif(not has_open3d(), reason="Open3D cannot be imported here")
RNG = np.random.default_rng(0)
POINTS = RNG.random((20, 3)).astype(np.float32)
NORMALS = (POINTS - 0.5) / np.linalg.norm(POINTS - 0.5, axis=1, keepdims=True)
COLOURS = (RNG.integers(0, 256, (20, 3)) / 255).astype(np.float32)
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def quiet(_line):
    pass


def same(cloud, points=POINTS, normals=None, colours=None, tolerance=0.0):
    pairs = ((cloud.points, points), (cloud.normals, normals), (cloud.colours, colours))
    return all(
        actual is expected
        if actual is None or expected is None
        else np.allclose(actual, expected, atol=tolerance)
        for actual, expected in pairs
    )


# PLY


def test_ply_gives_back_what_was_written(tmp_path):
    for i, rest in enumerate([(), (NORMALS,), (None, COLOURS), (NORMALS, COLOURS)]):
        cloud = make_cloud(POINTS, *rest)
        path = write_ply(tmp_path / f"{i}.ply", cloud, "a comment")
        again, faces = read_ply(path)
        assert same(again, cloud.points, cloud.normals, cloud.colours, 1e-7)
        assert faces.shape == (0, 3)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("grown", [False, True])
def test_colours_a_little_outside_their_range_are_cut_and_not_wrapped(tmp_path, grown):
    """Means and interpolations may leave 0..1 by a rounding; 256 as a byte would be 0."""
    colours = np.array([[-0.01, 0.5, 1.004], [0, 1, 3]], np.float32)
    cloud = make_cloud(np.eye(3)[:2], None, colours)
    if grown:
        with ply_stream(tmp_path / "a.ply", cloud, "x") as stream:
            stream.add(cloud)
    else:
        write_ply(tmp_path / "a.ply", cloud)
    bytes_ = read_ply(tmp_path / "a.ply")[0].colours * 255
    assert bytes_.round().tolist() == [[0, 128, 255], [0, 255, 255]]


def test_a_very_dark_cloud_stays_dark(tmp_path):
    """Bytes are divided by 255 however small they are, floats up to 1 are not; lists or none."""
    plain, listed = ("1 0 1", []), ("1 0 1 2 8 9", ["property list uchar int near"])
    kinds = {"uchar": 1 / 255, "float": 1.0}
    for (kind, expected), (row, more) in product(kinds.items(), (plain, listed)):
        names = [f"property {kind} {name}" for name in ("red", "green", "blue")]
        lines = ["element vertex 1", *(f"property float {axis}" for axis in "xyz"), *names, *more]
        (tmp_path / "a.ply").write_bytes(header("ascii", *lines) + f"0 0 0 {row}\n".encode())
        colours = read_ply(tmp_path / "a.ply")[0].colours
        np.testing.assert_allclose(colours, [[expected, 0, expected]], rtol=1e-6)


def header(order, *lines):
    return "\n".join(["ply", f"format {order} 1.0", "comment x", *lines, "end_header", ""]).encode()


def mesh_lines(kind="float"):
    xyz = [f"property {kind} {axis}" for axis in "xyz"]
    colours = [f"property uchar {name}" for name in ("red", "green", "blue")]
    faces = ["element face 6", "property list uchar int vertex_indices"]
    return ["element vertex 8", *xyz, *colours, *faces]


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_polygons_of_any_byte_order_become_triangles(tmp_path, order, kind):
    path = tmp_path / "cube.ply"
    if order == "ascii":
        body = "".join(f"{x:g} {y:g} {z:g} 255 0 51\n" for x, y, z in CUBE)
        body += "".join(f"4 {' '.join(map(str, quad))}\n" for quad in QUADS)
        path.write_bytes(header(order, *mesh_lines(kind)) + body.encode())
    else:
        end, code = "<" if "little" in order else ">", "f" if kind == "float" else "d"
        body = b"".join(struct.pack(f"{end}3{code}3B", *p, 255, 0, 51) for p in CUBE)
        body += b"".join(struct.pack(f"{end}B4i", 4, *quad) for quad in QUADS)
        path.write_bytes(header(order, *mesh_lines(kind)) + body)
    cloud, faces = read_ply(path)
    assert same(cloud, CUBE, None, np.tile([1, 0, 0.2], (8, 1)), 1e-7)
    assert faces.tolist() == [[q[0], q[i], q[i + 1]] for q in QUADS for i in (1, 2)]


def test_lists_of_different_lengths(tmp_path):
    lines = [line.replace("face 6", "face 2") for line in mesh_lines()]
    body = b"".join(struct.pack("<3f3B", *p, 0, 0, 0) for p in CUBE)
    body += struct.pack("<B3i", 3, 0, 1, 2) + struct.pack("<B4i", 4, 4, 5, 6, 7)
    (tmp_path / "a.ply").write_bytes(header("binary_little_endian", *lines) + body)
    assert read_ply(tmp_path / "a.ply")[1].tolist() == [[0, 1, 2], [4, 5, 6], [4, 6, 7]]
    (tmp_path / "b.ply").write_bytes(header("binary_little_endian", *lines) + body[:-2])
    with pytest.raises(InputError, match=r"b\.ply: is truncated: 1 of 2 rows of 'face'"):
        read_ply(tmp_path / "b.ply")


@needs_open3d
@pytest.mark.parametrize("text", [True, False])
def test_ply_agrees_with_open3d(tmp_path, text):
    o3d = open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(POINTS.astype(float)))
    cloud.normals = o3d.utility.Vector3dVector(NORMALS.astype(float))
    cloud.colors = o3d.utility.Vector3dVector(COLOURS.astype(float))
    path = tmp_path / "theirs.ply"
    o3d.io.write_point_cloud(str(path), cloud, write_ascii=text)
    assert same(read_ply(path)[0], POINTS, NORMALS, COLOURS, 1e-6)
    ours = o3d.io.read_point_cloud(str(write_ply(tmp_path / "ours.ply", read_ply(path)[0])))
    assert np.allclose(ours.points, POINTS, atol=1e-6)
    assert np.allclose(ours.colors, COLOURS, atol=1e-6)


@pytest.mark.parametrize("text", [True, False])
def test_a_truncated_ply_is_said_to_be(tmp_path, text):
    path = tmp_path / "scan.ply"
    if text:
        lines = ["element vertex 20", *(f"property float {axis}" for axis in "xyz")]
        rows = "".join(f"{x} {y} {z}\n" for x, y, z in POINTS[:13])
        path.write_bytes(header("ascii", *lines) + rows.encode())
    else:
        write_ply(path, Cloud(POINTS))
        path.write_bytes(path.read_bytes()[: -7 * 12 + 5])
    with pytest.raises(InputError, match=r"scan\.ply: is truncated: 13 of 20 rows of 'vertex'"):
        read_cloud(path)


def test_damaged_headers(tmp_path):
    path = tmp_path / "a.ply"
    good = header("ascii", "element vertex 1", "property float x")
    for content, words in [
        (b"hello\n", "not a PLY file"),
        (good.replace(b"end_header", b""), "header is damaged"),
        (good.replace(b"ascii", b"morse"), "header is damaged"),
        (good.replace(b"vertex 1", b"vertex -5"), "'element vertex -5' is no name and count"),
        (good.replace(b"float", b"half"), "a property that PLY does not have: property half x"),
        (good + b"1\n", "no x, y, z but x"),
        (header("ascii"), "no element 'vertex'"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_cloud(path)


def test_faces_without_their_vertices(tmp_path):
    lines = [line.replace("vertex 8", "vertex 1") for line in mesh_lines()]
    body = struct.pack("<3f3B", *CUBE[0], 0, 0, 0)
    body += b"".join(struct.pack("<B4i", 4, *quad) for quad in QUADS)
    (tmp_path / "a.ply").write_bytes(header("binary_little_endian", *lines) + body)
    with pytest.raises(InputError, match="vertices that are not there"):
        read_cloud(tmp_path / "a.ply")


# text, npz, bin, off


def test_columns_of_text(tmp_path):
    part = np.full((20, 1), 3.0)
    for name, rows, wanted in [
        ("a.xyz", POINTS, (None, None)),
        ("b.txt", np.c_[POINTS, NORMALS], (NORMALS, None)),
        ("c.txt", np.c_[POINTS, NORMALS, part], (NORMALS, None)),
        ("d.xyz", np.c_[POINTS, COLOURS * 255], (None, COLOURS)),
        ("e.pts", np.c_[POINTS, part, COLOURS * 255], (None, COLOURS)),
    ]:
        first = "20" if name == "e.pts" else ""
        np.savetxt(tmp_path / name, rows, "%.7f", header=first, comments="")
        assert same(read_cloud(tmp_path / name), POINTS, *wanted, 1e-6), name
    np.savetxt(tmp_path / "f.csv", POINTS, "%.7f", ",", header="x,y,z", comments="")
    assert same(read_cloud(tmp_path / "f.csv"), tolerance=1e-6)


def test_text_that_is_no_cloud(tmp_path):
    for text, words in [
        ("1 2 3\n4 5\n", "not rows of numbers"),
        ("1 2\n3 4\n", "no row of three numbers"),
        ("1 2 3\na b c\n", "not rows of numbers"),
        ("x y z\n", "empty"),
    ]:
        (tmp_path / "a.xyz").write_text(text)
        with pytest.raises(InputError, match=words):
            read_cloud(tmp_path / "a.xyz")


def test_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", points=POINTS, normals=NORMALS, colors=(COLOURS * 255).round())
    assert same(read_cloud(tmp_path / "a.npz"), POINTS, NORMALS, COLOURS, 1e-6)
    np.save(tmp_path / "b.npy", np.c_[POINTS, COLOURS])
    assert same(read_cloud(tmp_path / "b.npy"), POINTS, None, COLOURS, 1e-6)
    np.savez(tmp_path / "c.npz", points=POINTS[None])
    np.savez(tmp_path / "d.npz", weights=POINTS, more=POINTS)
    (tmp_path / "e.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    for name, words in [
        ("c", "a data set"),
        ("d", "none of points"),
        ("e", "cannot be read as npz"),
    ]:
        with pytest.raises(InputError, match=words):
            read_cloud(tmp_path / f"{name}.npz")


def test_bin_is_rows_with_colours(tmp_path):
    np.c_[POINTS, COLOURS * 255].astype("<f4").tofile(tmp_path / "a.bin")
    assert same(read_cloud(tmp_path / "a.bin"), POINTS, None, COLOURS, 1e-6)
    (tmp_path / "b.bin").write_bytes(b"x" * 25)
    with pytest.raises(InputError, match="25 bytes are no float32 rows"):
        read_cloud(tmp_path / "b.bin")


def off_text(head="OFF\n8 6 0\n", colour=""):
    vertices = "".join(f"{x:g} {y:g} {z:g}{colour}\n" for x, y, z in CUBE)
    return head + vertices + "".join(f"4 {' '.join(map(str, quad))} 255 0 0\n" for quad in QUADS)


def test_off_and_its_quirks(tmp_path):
    heads = ["OFF\n8 6 0\n", "OFF8 6 0\n", "OFF 8 6 0\n", "# made by hand\nOFF\n\n8 6 0\n"]
    texts = [*map(off_text, heads), off_text("COFF\n8 6 0\n", " 255 0 0 255")]
    for text in texts:
        (tmp_path / "a.off").write_text(text)
        vertices, faces = read_mesh(tmp_path / "a.off")
        assert np.array_equal(vertices, CUBE)
        assert faces.shape == (12, 3)
    whole = off_text()
    cases = [(whole[:60], "truncated: "), (whole[:-20], "11|truncated.*5 of 6 faces")]
    for text, words in [*cases, ("OFF\nx y z\n", "damaged"), ("hello", "not an OFF file")]:
        (tmp_path / "a.off").write_text(text)
        with pytest.raises(InputError, match=words):
            read_mesh(tmp_path / "a.off")


# beside Open3D


@needs_open3d
@pytest.mark.parametrize("kind", ["obj", "stl", "ply", "off"])
def test_meshes_by_open3d(tmp_path, kind):
    o3d = open3d()
    mesh = o3d.geometry.TriangleMesh.create_torus(radial_resolution=8, tubular_resolution=6)
    mesh.compute_vertex_normals()
    path = tmp_path / f"torus.{kind}"
    o3d.io.write_triangle_mesh(str(path), mesh)
    vertices, faces = read_mesh(path)
    wanted = np.asarray(mesh.vertices)[np.asarray(mesh.triangles)]
    assert np.allclose(vertices[faces], wanted, atol=1e-5)


def test_obj_of_quads_and_triangles_is_read_whole(tmp_path):
    text = "".join(f"v {x:g} {y:g} {z:g}\n" for x, y, z in CUBE)
    text += "".join(f"f {' '.join(str(i + 1) for i in quad)}\n" for quad in QUADS[:5])
    text += "f 2 6 8\nf 2 8 4\n"
    (tmp_path / "a.obj").write_text(text)
    vertices, faces = read_mesh(tmp_path / "a.obj")
    assert (len(vertices), len(faces)) == (8, 12)
    (tmp_path / "b.obj").write_text("hello")
    with pytest.raises(InputError, match=r"b\.obj: no vertices"):
        read_mesh(tmp_path / "b.obj")


@needs_open3d
@pytest.mark.parametrize("text", [True, False])
def test_pcd(tmp_path, text):
    o3d, path = open3d(), tmp_path / "a.pcd"
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(POINTS.astype(float)))
    cloud.colors = o3d.utility.Vector3dVector(COLOURS.astype(float))
    o3d.io.write_point_cloud(str(path), cloud, write_ascii=text)
    assert same(read_cloud(path), POINTS, None, COLOURS, 1e-6)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="of 20 points can be read: truncated"):
        read_cloud(path)
    path.write_text("hello")
    with pytest.raises(InputError, match=r"not a PCD file|can be read"):
        read_cloud(path)


WITHOUT = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "open3d":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hide())
import numpy as np
from apps.pointcloud.evaluation import baselines
from apps.pointcloud.evaluation import benchmark
from apps.pointcloud.data import dataset as data
from apps.pointcloud.geometry import render
from apps.pointcloud.data import rgbd
from apps.pointcloud.data import scenes
from apps.pointcloud.evaluation import suites
from apps.pointcloud import solids
from apps.pointcloud.data.files import read_cloud, write_cloud
from core.errors import InputError

cloud = read_cloud(sys.argv[1])
write_cloud(sys.argv[2], cloud)
moved = baselines.moving_least_squares(cloud.points, 50)
assert moved.shape == (50, 3) and render.render(moved, size=32).shape == (32, 32, 3)
assert len(read_cloud(sys.argv[3])) == 1
try:
    baselines.poisson(cloud.points, 50)
except InputError as error:
    assert "needs Open3D" in str(error) and "pip install" in str(error), error
else:
    raise AssertionError("no error")
print("works")
"""


def test_all_but_poisson_works_without_open3d(tmp_path):
    write_ply(tmp_path / "a.ply", Cloud(POINTS))
    (tmp_path / "a.obj").write_text("v 0 0 0\n")
    paths = [str(tmp_path / name) for name in ("a.ply", "b.ply", "a.obj")]
    words = [sys.executable, "-c", WITHOUT, *paths]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "works" in done.stdout, done.stderr


# bad input


def test_a_mesh_where_a_cloud_is_expected_is_sampled(tmp_path):
    (tmp_path / "a.off").write_text(off_text())
    told = []
    cloud = read_cloud(tmp_path / "a.off", told.append, 500)
    assert "a mesh of 12 triangles: 500 points of its surface" in told[0]
    assert len(cloud) == 500
    outwards = cloud.normals * (cloud.points - 0.5)  # half an edge along one axis
    assert np.allclose(outwards.sum(1), 0.5)
    assert np.array_equal(cloud.points, read_cloud(tmp_path / "a.off", quiet, 500).points)


def test_a_cloud_where_a_mesh_is_expected(tmp_path):
    with pytest.raises(InputError, match="20 points and no faces: a cloud, where a mesh"):
        read_mesh(write_ply(tmp_path / "a.ply", Cloud(POINTS)))


def test_a_mesh_without_area(tmp_path):
    (tmp_path / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n")
    with pytest.raises(InputError, match="none of its 1 triangles has an area"):
        read_cloud(tmp_path / "a.off", quiet)


def test_corners_that_are_not_finite_are_told_of(tmp_path):
    lines, corners = [], "0 0 {}\n1 0 0\n0 1 0\n0 0 1\n"
    (tmp_path / "a.off").write_text(f"OFF\n4 2 0\n{corners.format('nan')}3 0 1 2\n3 1 2 3\n")
    assert len(read_cloud(tmp_path / "a.off", lines.append, 50)) == 50
    assert "1 of 2 triangles have a corner that is NaN or infinite, left out" in lines[1]
    facet = "facet normal 0 0 1\nouter loop\nvertex 0 0 inf\nvertex 1 0 0\nvertex 0 1 0\n"
    (tmp_path / "b.stl").write_text(f"solid a\n{facet}endloop\nendfacet\nendsolid\n")
    with pytest.raises(InputError, match=r"b\.stl: none of its 1 triangles has finite corners"):
        read_cloud(tmp_path / "b.stl", quiet)


def test_points_that_are_not_finite_are_left_out_and_told_of(tmp_path):
    points, colours = POINTS.copy(), COLOURS.copy()
    points[3, 1], points[7, 0], colours[0, 0] = np.nan, np.inf, np.nan
    np.savez(tmp_path / "a.npz", points=points, colors=colours)
    told = []
    cloud = read_cloud(tmp_path / "a.npz", told.append)
    assert told == [f"{tmp_path / 'a.npz'}: 2 of 20 points are NaN or infinite, left out"]
    assert np.array_equal(cloud.points, np.delete(POINTS, [3, 7], 0))
    assert np.isfinite(cloud.colours).all()
    np.savez(tmp_path / "b.npz", points=points * np.nan)
    with pytest.raises(InputError, match="all 20 points have NaN or infinite"):
        read_cloud(tmp_path / "b.npz")


def test_files_without_content(tmp_path):
    (tmp_path / "a.ply").touch()
    (tmp_path / "a.doc").write_text("x")
    write_ply(tmp_path / "b.ply", Cloud(np.zeros((0, 3), np.float32)))
    cases = [("a.ply", "empty"), ("b.ply", "the cloud is empty"), ("c.ply", "missing")]
    for name, words in [*cases, ("a.doc", r"\.doc is not read; \.ply")]:
        with pytest.raises(InputError, match=words):
            read_cloud(tmp_path / name)


def test_clouds_without_a_size():
    for points in (POINTS[:1], np.repeat(POINTS[:1], 9, 0)):
        with pytest.raises(InputError, match=r"1 point|9 points at one place"):
            sphere_of(points)
    center, radius = sphere_of(np.array([[1, 0, 0], [3, 0, 0]], np.float32))
    assert (center.tolist(), radius) == ([2, 0, 0], 1)


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match=r"points are \(3, 2\)"):
        make_cloud(np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"normals are \(2, 3\)"):
        make_cloud(np.zeros((3, 3)), np.zeros((2, 3)))
    assert finite_cloud(Cloud(POINTS), "x")[1] == []


def test_inputs_are_never_overwritten(tmp_path):
    path = write_cloud(tmp_path / "new" / "a.ply", Cloud(POINTS))
    with pytest.raises(InputError, match="is an input and would be overwritten"):
        write_cloud(tmp_path / "new" / ".." / "new" / "a.ply", Cloud(POINTS), [path])
    with pytest.raises(InputError, match=r"written as \.ply"):
        write_cloud(tmp_path / "a.xyz", Cloud(POINTS))
    assert [p.name for p in path.parent.iterdir()] == ["a.ply"]


def test_folders_are_searched(tmp_path):
    for name in ("b/a.ply", "a.XYZ", "c.jpg", "._a.XYZ"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_clouds([tmp_path, tmp_path / "c.jpg"])
    assert [str(p.relative_to(tmp_path)) for p in found] == ["a.XYZ", "b/a.ply", "c.jpg"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no cloud or mesh"):
        find_clouds([tmp_path / "none"])
    assert set(files.TEXT) < set(files.SUFFIXES)
