"""Files as other programs write them: each kind of layout, each with the values that it holds."""

import struct
import zipfile

import numpy as np
import pytest

from apps.pointcloud.config import CorruptionConfig
from apps.pointcloud.data.dataset import Reconstruction, collate, open_clouds
from apps.pointcloud.data.files import SUFFIXES, read_cloud, read_mesh, write_cloud
from apps.pointcloud.data.formats.ply import read_ply
from apps.pointcloud.data.modelnet import open_npz
from apps.pointcloud.data.open3d_compat import has_open3d, open3d
from apps.pointcloud.data.plywriter import ply_stream
from apps.pointcloud.geometry.cloud import Cloud, distinct_cloud, make_cloud
from apps.pointcloud.geometry.spacing import spacing_of, thinned, typical_spacing
from core.errors import InputError
from core.training.session import Session

RNG = np.random.default_rng(3)
POINTS = RNG.normal(0, [3, 2, 1], (200, 3)).round(3).astype(np.float32)
BYTES = RNG.integers(0, 256, (200, 3))
COLOURS = (BYTES / 255).astype(np.float32)
INTENSITY = RNG.random((200, 1)).round(3)
UTM = np.array([694385.5, 5155486.25, 381.125])


def quiet(_line):
    pass


def read(path, text=None, **options):
    if text is not None:
        path.write_text(text, **options)
    return read_cloud(path, quiet)


def table(rows, separator=" ", first=(), last=""):
    lines = [separator.join(f"{value:.10g}" for value in row) + last for row in rows]
    return "\n".join([*first, *lines, ""])


# ---- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".xyz", ".txt", ".pts", ".csv", ".asc"])
@pytest.mark.parametrize("separator", [" ", ",", ", ", ";", "\t"])
def test_any_separator_in_any_suffix(tmp_path, suffix, separator):
    path = tmp_path / f"a{suffix}"
    cloud = read(path, table(np.c_[POINTS, BYTES], separator))
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
    np.testing.assert_allclose(cloud.colours, COLOURS, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("x,y,z", "p"),
        (",x,y,z", "ip"),
        ("id,X,Y,Z,R,G,B", "ipc"),
        ("r,g,b,x,y,z", "cp"),
        ('"intensity","Points_m_XYZ:0","Points_m_XYZ:1","Points_m_XYZ:2"', "ip"),
        ("Easting [m],Northing [m],Height [m],intensity", "pi"),
        ("//X,Y,Z,Red,Green,Blue", "pc"),
        ("# x,y,z,label", "pi"),
        ("pos_x,pos_y,pos_z", "p"),
    ],
)
def test_columns_go_by_their_names(tmp_path, names, order):
    parts = {"p": POINTS, "c": BYTES, "i": np.arange(200)[:, None]}
    rows = np.hstack([parts[part] for part in order])
    cloud = read(tmp_path / "a.csv", table(rows, ",", [names]))
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
    assert (cloud.colours is not None) == ("c" in order)
    if "c" in order:
        np.testing.assert_allclose(cloud.colours, COLOURS, atol=1e-6)


def test_names_that_are_no_coordinates_are_refused_and_listed(tmp_path):
    text = table(POINTS, ",", ["lat,lon,alt"])
    with pytest.raises(InputError, match=r"named lat, lon, alt: name the coordinates x, y, z"):
        read(tmp_path / "a.csv", text)
    with pytest.raises(InputError, match="is empty: names of columns"):
        read(tmp_path / "b.csv", "x,y,z\n")


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("first", [(), ("x y z",), ("exported by scanner", "x y z"), ("200",)])
def test_marks_and_other_lines_first_cost_no_point(tmp_path, mark, first):
    cloud = read(tmp_path / "a.xyz", table(POINTS, " ", first), encoding=mark)
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)


def test_decimal_commas_quotes_and_words_behind(tmp_path):
    commas = table(POINTS, ";", ["x;y;z"]).replace(".", ",")
    quoted = "\n".join(",".join(f'"{value:.10g}"' for value in row) for row in POINTS)
    spaced = table(POINTS).replace(".", ",")
    for text in (
        commas,
        quoted,
        spaced,
        table(POINTS, last=" ground 5"),
        table(POINTS, ";", (), ";"),
    ):
        np.testing.assert_allclose(read(tmp_path / "a.txt", text).points, POINTS, atol=1e-6)
    counted = table(np.c_[POINTS, BYTES], " ", ["//X Y Z R G B", "200"])  # CloudCompare's
    np.testing.assert_allclose(read(tmp_path / "a.txt", counted).colours, COLOURS, atol=1e-6)


def test_intensity_and_time_are_no_colours(tmp_path):
    ring, time = np.arange(200)[:, None] % 16, np.arange(200)[:, None] * 1e-4
    lidar = table(np.c_[POINTS, 255 * INTENSITY, ring, time])
    assert read(tmp_path / "a.xyz", lidar).colours is None
    for kind in ("xyz", "pts"):
        seven = read(tmp_path / f"b.{kind}", table(np.c_[POINTS, INTENSITY, BYTES]))
        np.testing.assert_allclose(seven.colours, COLOURS, atol=1e-6)
    labelled = read(tmp_path / "c.xyz", table(np.c_[POINTS, BYTES, ring]))
    np.testing.assert_allclose(labelled.colours, COLOURS, atol=1e-6)


# ---- numbers of other sizes --------------------------------------------------------------------


def test_16_bit_colours_are_not_white(tmp_path):
    wide = BYTES * 257  # 255 becomes 65,535
    for name, text in {
        "a.xyz": table(np.c_[POINTS, wide]),
        "b.csv": table(np.c_[POINTS, wide], ",", ["x,y,z,r,g,b"]),
        "c.ply": ply_text(np.c_[POINTS, wide], ["ushort red", "ushort green", "ushort blue"]),
    }.items():
        np.testing.assert_allclose(read(tmp_path / name, text).colours, COLOURS, atol=1e-5)
    np.savez(tmp_path / "d.npz", points=POINTS, colors=wide)
    np.testing.assert_allclose(read(tmp_path / "d.npz").colours, COLOURS, atol=1e-5)


def test_surveyed_coordinates_keep_their_millimetres(tmp_path):
    """UTM needs ten digits; float32 has seven: the origin is kept apart, and added in writing."""
    far = POINTS.astype(np.float64) + UTM
    lines = "\n".join(" ".join(f"{v:.4f}" for v in row) for row in far)
    (tmp_path / "a.xyz").write_text(lines)
    floats = "".join(f"property float {axis}\n" for axis in "xyz")  # as many converters declare it
    head = f"ply\nformat ascii 1.0\nelement vertex {len(far)}\n{floats}end_header\n"
    (tmp_path / "f.ply").write_text(head + lines)
    np.savez(tmp_path / "b.npz", points=far)
    np.save(tmp_path / "c.npy", far)
    double_pcd(tmp_path / "d.pcd", far)
    write_las(tmp_path / "e.las", far)
    for name in ("a.xyz", "b.npz", "c.npy", "d.pcd", "f.ply", "e.las"):
        cloud = read(tmp_path / name)
        np.testing.assert_allclose(cloud.places(), far, atol=1e-4, err_msg=name)
        again = read(write_cloud(tmp_path / "out.ply", cloud))
        np.testing.assert_allclose(again.places(), far, atol=1e-4)
        with ply_stream(tmp_path / "grown.ply", cloud, "x") as stream:
            stream.add(cloud)
        np.testing.assert_allclose(read(tmp_path / "grown.ply").places(), far, atol=1e-4)
    small = thinned(cloud, 0.5)
    assert np.linalg.norm(small.places() - far[:, None].mean(0), axis=1).max() < 20
    assert read(write_cloud(tmp_path / "near.ply", make_cloud(POINTS))).origin is None


def double_pcd(path, points):
    n = len(points)
    head = f"VERSION 0.7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\n"
    path.write_bytes(f"{head}POINTS {n}\nDATA binary\n".encode() + points.astype("<f8").tobytes())


def write_las(path, points, colours=None):
    """LAS 1.2, point format 2, in millimetres from the first point."""
    head = bytearray(227)
    head[:4], head[24:26] = b"LASF", b"\x01\x02"
    struct.pack_into("<H I I B H I", head, 94, 227, 227, 0, 2, 26, len(points))
    struct.pack_into("<6d", head, 131, 0.001, 0.001, 0.001, *points[0])
    rows = np.zeros(len(points), [("xyz", "<i4", 3), ("rest", "u1", 8), ("rgb", "<u2", 3)])
    rows["xyz"] = np.round((points - points[0]) * 1000)
    rows["rgb"] = 0 if colours is None else colours
    path.write_bytes(bytes(head) + rows.tobytes())


def test_las_and_its_colours(tmp_path):
    write_las(tmp_path / "a.las", POINTS.astype(float), BYTES * 257)
    cloud = read(tmp_path / "a.las")
    np.testing.assert_allclose(cloud.points, POINTS, atol=0.001)
    np.testing.assert_allclose(cloud.colours, COLOURS, atol=1e-5)
    (tmp_path / "b.las").write_bytes((tmp_path / "a.las").read_bytes()[:-30])
    with pytest.raises(InputError, match="truncated: 198 of 200"):
        read(tmp_path / "b.las")
    write_las(tmp_path / "c.las", POINTS.astype(float))
    assert read(tmp_path / "c.las").colours is None


@pytest.mark.parametrize(
    ("place", "kind", "value", "said"),
    [
        (24, "B", 2, r"version 2\.2, and 1\.0 to 1\.4 are known"),
        (25, "B", 5, r"version 1\.5, "),
        (96, "<I", 0, "points from byte 0 on, within the header of 227"),
        (104, "B", 99, "points of format 99, and 0 to 10 are known"),
        (104, "B", 3, "points of 26 bytes, and format 3 has 34"),
        (105, "<H", 0, "points of 0 bytes, and format 2 has 26"),
    ],
)
def test_a_header_that_no_las_has(tmp_path, place, kind, value, said):
    write_las(tmp_path / "a.las", POINTS.astype(float))
    content = bytearray((tmp_path / "a.las").read_bytes())
    struct.pack_into(kind, content, place, value)
    (tmp_path / "a.las").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.las: its header is damaged.*: {said}"):
        read(tmp_path / "a.las")


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_truths_are_no_points(tmp_path, name):
    truths = POINTS > 0
    if name == "a.npz":
        np.savez(tmp_path / name, points=truths)
    else:
        np.save(tmp_path / name, truths)
    with pytest.raises(InputError, match=rf"{name}.*\(200, 3\) bool"):
        read(tmp_path / name)


def test_an_npz_that_would_fill_the_memory_is_not_read(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("points.npy", b"")
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # of the size unpacked, in the zip's directory
    struct.pack_into("<I", content, place, 3_600_000_000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"3\.6 GB unpacked"):
        read(path)
    with pytest.raises(InputError, match=r"3\.6 GB unpacked"):
        open_npz(path, "train")


@pytest.mark.parametrize("shift", [0, 50])  # 50: no coordinate is below 0
@pytest.mark.parametrize(
    ("name", "extra"), [("kitti", 1), ("nuscenes", 2), ("scannet", 3), ("x", 0)]
)
def test_bin_of_three_to_six_numbers_a_row(tmp_path, name, extra, shift):
    rest = {1: INTENSITY, 2: np.c_[255 * INTENSITY, np.arange(200) % 32], 3: BYTES}
    for count in (200, 199, 120):
        rows = np.c_[POINTS + shift, rest.get(extra, np.zeros((200, 0)))][:count]
        rows.astype("<f4").tofile(tmp_path / "a.bin")
        cloud = read(tmp_path / "a.bin")
        np.testing.assert_allclose(cloud.points, POINTS[:count] + shift, atol=1e-5)
        assert (cloud.colours is not None) == (extra == 3)


def test_bin_that_is_none(tmp_path):
    (tmp_path / "a.bin").write_bytes(RNG.bytes(120))
    with pytest.raises(InputError, match="are no float32 rows"):
        read(tmp_path / "a.bin")


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_pcd_of_any_types(tmp_path, encoding):
    """Doubles, a packed colour, a field of several numbers and padding between."""
    kinds = [
        ("x", "<f8"),
        ("y", "<f4"),
        ("fpfh", "<f4", 33),
        ("z", "<f8"),
        ("_", "u1"),
        ("rgb", "<u4"),
    ]
    rows = np.zeros(200, kinds)
    for i, axis in enumerate("xyz"):
        rows[axis] = POINTS[:, i]
    rows["rgb"] = (BYTES << [16, 8, 0]).sum(1)
    head = "FIELDS x y fpfh z _ rgb\nSIZE 8 4 4 8 1 4\nTYPE F F F F U U\nCOUNT 1 1 33 1 1 1\n"
    head = f"# .PCD v0.7\n{head}WIDTH 20\nHEIGHT 10\nPOINTS 200\nDATA {encoding}\n".encode()
    body = rows.tobytes()
    if encoding == "ascii":
        body = table(
            [np.hstack([np.ravel(value) for value in row]) for row in rows.tolist()]
        ).encode()
    elif encoding == "binary_compressed":
        columns = b"".join(np.ascontiguousarray(rows[name]).tobytes() for name in rows.dtype.names)
        runs = [columns[i : i + 32] for i in range(0, len(columns), 32)]
        packed = b"".join(bytes([len(run) - 1]) + run for run in runs)  # LZF without copies
        body = struct.pack("<II", len(packed), len(columns)) + packed
    (tmp_path / "a.pcd").write_bytes(head + body)
    cloud = read(tmp_path / "a.pcd")
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
    np.testing.assert_allclose(cloud.colours, COLOURS, atol=1e-6)
    (tmp_path / "b.pcd").write_bytes((head + body)[:-30])
    with pytest.raises(InputError, match=r"b\.pcd: .*(truncated|damaged)"):
        read(tmp_path / "b.pcd")


@pytest.mark.skipif(not has_open3d(), reason="Open3D cannot be imported here")
def test_compressed_pcd_of_open3d(tmp_path):
    """LZF with copies: of a cloud with many equal numbers."""
    points = np.round(POINTS).astype(float)
    cloud = open3d().geometry.PointCloud(open3d().utility.Vector3dVector(points))
    open3d().io.write_point_cloud(str(tmp_path / "a.pcd"), cloud, compressed=True)
    assert b"binary_compressed" in (tmp_path / "a.pcd").read_bytes()[:300]
    np.testing.assert_array_equal(read(tmp_path / "a.pcd").points, points.astype(np.float32))


# ---- PLY as text -------------------------------------------------------------------------------


def ply_text(rows, properties=(), count=None, faces=()):
    names = [*(f"float {axis}" for axis in "xyz"), *properties]
    lines = ["ply", "format ascii 1.0", f"element vertex {count or len(rows)}"]
    lines += [f"property {name}" for name in names]
    if faces:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    lines += ["end_header"]
    return table(rows, " ", lines) + "".join(f"{len(f)} {' '.join(map(str, f))}\n" for f in faces)


def test_ascii_ply_of_any_lines(tmp_path):
    """A number a line, blank lines and a byte order mark are all rows of the same numbers."""
    faces = [(0, 1, 2), (3, 4, 5, 6), (2, 3, 4)]
    plain = ply_text(POINTS, faces=faces)
    head, _, body = plain.partition("end_header\n")
    for text in (
        plain,
        f"{head}end_header\n" + "\n".join(body.split()),
        f"{head}end_header\n" + body.replace("\n", "\n\n"),
        f"\ufeff{plain}",
        plain.replace("\n", "\r\n"),
    ):
        (tmp_path / "a.ply").write_text(text, encoding="utf-8")
        cloud, triangles = read_ply(tmp_path / "a.ply")
        np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
        assert triangles.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6], [2, 3, 4]]


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_a_list_of_a_billion_is_truncated(tmp_path, order):
    lines = ["ply", f"format {order} 1.0", "element vertex 1"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += ["element face 2", "property list uint int vertex_indices", "end_header", ""]
    row = b"0 0 0\n1000000000 0 1 2\n3 0 0 0\n"
    if order != "ascii":
        row = struct.pack("<3f", 0, 0, 0) + struct.pack("<I3i", 10**9, 0, 1, 2)
    (tmp_path / "a.ply").write_bytes("\n".join(lines).encode() + row)
    with pytest.raises(InputError, match="is truncated"):
        read_ply(tmp_path / "a.ply")
    many = "\n".join(lines).replace("vertex 1", f"vertex {10**15}").encode()
    (tmp_path / "b.ply").write_bytes(many + row)
    with pytest.raises(InputError, match="is truncated"):
        read_ply(tmp_path / "b.ply")


def test_ascii_ply_takes_little_more_memory_than_its_numbers(tmp_path):
    import tracemalloc

    rows = np.resize(POINTS, (12_000, 3))
    (tmp_path / "a.ply").write_text(ply_text(rows))
    tracemalloc.start()
    cloud = read_ply(tmp_path / "a.ply")[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(cloud) == 12_000
    assert peak / len(cloud) < 300  # bytes; 1,700 when every word was an object


# ---- meshes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n"),
        ("b.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n"),
        ("b.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n"),
        ("c.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -4\n"),
        ("a.ply", ply_text(POINTS[:3], faces=[(0, 1, 3)])),
    ],
)
def test_a_face_of_no_vertex_is_one_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name}: faces name vertices that are not there"):
        read_mesh(tmp_path / name)


def test_obj_of_points_and_its_ways_of_counting(tmp_path):
    vertices = [
        f"v {x} {y} {z} {r} {g} {b}" for (x, y, z), (r, g, b) in zip(POINTS, COLOURS, strict=True)
    ]
    cloud = read(tmp_path / "a.obj", "\n".join(vertices))
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
    np.testing.assert_allclose(cloud.colours, COLOURS, atol=1e-6)
    corners = "v 0 0 0\nv 1 0 0 \\\n\nv 1 1 0 1.0\nv 0 1 0\n"
    for face in ("f 1 2 3 4", "f 1/1/1 2//2 3/4 4", "f -4 -3 -2 -1", "f 1 2 \\\n3 4 # all"):
        (tmp_path / "b.obj").write_text(f"mtllib x\n{corners}{face}\n")
        assert read_mesh(tmp_path / "b.obj")[1].tolist() == [[0, 1, 2], [0, 2, 3]]


def test_stl_in_both_ways(tmp_path):
    corners = POINTS[:6].reshape(2, 3, 3)
    facets = ["facet normal 0 0 0\nouter loop"] * 2
    text = "".join(
        f"{facet}\n" + "".join(f"vertex {x} {y} {z}\n" for x, y, z in rows) + "endloop\nendfacet\n"
        for facet, rows in zip(facets, corners.tolist(), strict=True)
    )
    (tmp_path / "a.stl").write_text(f"solid x\n{text}endsolid x\n")
    rows = np.zeros(2, [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("r", "<u2")])
    rows["c"] = corners
    binary = b"solid".ljust(80) + struct.pack("<I", 2) + rows.tobytes()
    (tmp_path / "b.stl").write_bytes(binary)
    for name in "ab":
        vertices, faces = read_mesh(tmp_path / f"{name}.stl")
        np.testing.assert_allclose(vertices[faces], corners, atol=1e-6)
    (tmp_path / "c.stl").write_bytes(binary[:-1])
    with pytest.raises(InputError, match="truncated: 1 of 2 triangles"):
        read_mesh(tmp_path / "c.stl")


# ---- what a scan holds besides -----------------------------------------------------------------


def test_copies_and_empty_measurements_do_not_change_the_scale():
    scan = make_cloud(POINTS)
    dirty = np.concatenate([np.repeat(POINTS, 5, 0), np.zeros((300, 3), np.float32)])
    cloud, lines = distinct_cloud(make_cloud(dirty), "scan")
    assert np.array_equal(cloud.points, POINTS)
    assert spacing_of(cloud.points) == spacing_of(POINTS) > 2 * spacing_of(dirty)
    assert lines == [
        "scan: 300 points at (0, 0, 0), no measurements, left out",
        "scan: 800 of 1300 points are exact copies, left out",
    ]
    assert distinct_cloud(scan, "scan") == (scan, [])
    surveyed = Cloud(np.concatenate([POINTS, np.tile(-UTM, (3, 1))]).astype(np.float32), origin=UTM)
    assert np.array_equal(distinct_cloud(surveyed, "scan")[0].points, POINTS)


def test_folders_named_after_splits_are_the_splits(tmp_path):
    for name in ("train/a", "train/b", "val/c", "train/d"):
        write_cloud(tmp_path / f"{name}.ply", make_cloud(POINTS))
    assert open_clouds(tmp_path, "train").names == ("train/a.ply", "train/b.ply", "train/d.ply")
    assert open_clouds(tmp_path, "val").names == ("val/c.ply",)
    with pytest.raises(InputError, match="none of its 4 clouds is in the split 'test'"):
        open_clouds(tmp_path, "test")


def test_a_damaged_cloud_among_the_validation_ones_costs_no_other(tmp_path):
    """The spacing is of those that can be read; the loader counts the others by data.skip_bad."""
    for name in "abc":
        write_cloud(tmp_path / f"val/{name}.ply", make_cloud(POINTS))
    options = CorruptionConfig(points=100), 200, 1
    clean = typical_spacing(Reconstruction(open_clouds(tmp_path, "val"), *options))
    write_cloud(tmp_path / "val/d.ply", make_cloud(POINTS * np.nan))
    val = Reconstruction(open_clouds(tmp_path, "val"), *options)
    assert typical_spacing(val) == clean > 0
    told = []
    loader = Session().eval_loader(
        val, 2, collate=collate, skip_bad=1, on_bad=lambda *bad: told.append(bad)
    )
    assert sum(int(batch["mask"].sum()) for batch in loader) == 3
    assert len(told) == 1
    assert "NaN or infinite" in told[0][1]


# ---- anything at all ---------------------------------------------------------------------------


def examples(tmp_path):
    """A small whole file of each format."""
    write_cloud(tmp_path / "a.ply", make_cloud(POINTS[:9], POINTS[:9], COLOURS[:9]))
    (tmp_path / "b.ply").write_text(ply_text(POINTS[:9], faces=[(0, 1, 2), (3, 4, 5, 6)]))
    double_pcd(tmp_path / "c.pcd", POINTS[:9])
    write_las(tmp_path / "d.las", POINTS[:9].astype(float))
    (tmp_path / "e.csv").write_text(table(np.c_[POINTS, BYTES][:9], ",", ["x,y,z,r,g,b"]))
    (tmp_path / "f.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    (tmp_path / "g.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    np.savez(tmp_path / "h.npz", points=POINTS[:9])
    np.save(tmp_path / "i.npy", POINTS[:9])
    np.c_[POINTS, INTENSITY][:9].astype("<f4").tofile(tmp_path / "j.bin")
    (tmp_path / "k.stl").write_bytes(
        bytes(80) + struct.pack("<I", 1) + POINTS[:4].tobytes() + b"\0\0"
    )
    return sorted(tmp_path.iterdir())


def damaged(content, rng):
    """Bytes cut, doubled, or overwritten by others, by digits and by signs."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
        kind = rng.integers(4)
        if kind == 0:
            del data[place : place + length]
        elif kind == 1:
            data[place:place] = data[place : place + length]
        else:
            pool = (
                rng.bytes(length) if kind == 2 else bytes(rng.choice(list(b"0189-.e ,\n"), length))
            )
            data[place : place + length] = pool
    return bytes(data)


def test_only_input_errors_come_out_of_damaged_files(tmp_path):
    """A seeded fuzz of each reader: a cloud of finite points, or one line that names the file."""
    rng = np.random.default_rng(0)
    for path in examples(tmp_path):
        whole = path.read_bytes()
        assert len(read(path)), path
        for _ in range(40):
            path.write_bytes(damaged(whole, rng))
            try:
                finite = bool(np.isfinite(read(path).points).all())
            except InputError as error:
                finite = str(error).startswith(str(path))
            assert finite, path.read_bytes()
    assert {path.suffix for path in tmp_path.iterdir()} <= set(SUFFIXES)
