"""Layouts of data sets, the corruption, the fixed suites and their hashes, RGB-D frames."""

import hashlib
import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree

from apps.pointcloud.config import (
    CorruptionConfig,
    DataConfig,
    EmbeddedConfig,
    PointCloudConfig,
    VaryConfig,
)
from apps.pointcloud.data import rgbd, scenes
from apps.pointcloud.data.cloud_set import drawn_side
from apps.pointcloud.data.corruption import check_vary, corrupt, varied
from apps.pointcloud.data.dataset import (
    Reconstruction,
    collate,
    open_clouds,
)
from apps.pointcloud.data.plywriter import write_ply
from apps.pointcloud.data.source import CloudData, embedded_clouds
from apps.pointcloud.evaluation import suites
from apps.pointcloud.evaluation.suites import open_suite
from apps.pointcloud.geometry.cloud import Cloud
from apps.pointcloud.solids import KINDS, make_shape, write_solids
from core.data.loading import BadSample, EvalLoader, TrainLoader
from core.data.randomness import stream
from core.errors import InputError
from core.training.session import Session

PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "pointcloud_protocol.md"
PLAIN = CorruptionConfig(points=64, noise=0, outliers=0, bias=0, holes=0)
TRIANGLE = "OFF\n3 1 0\n0 0 0\n2 0 0\n0 1 0\n3 0 1 2\n"
OBJ = "v 0 0 0\nv 2 0 0\nv 0 1 0\nf 1 2 3\n"


def sphere(count, seed=0):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def real(name):
    folder = os.environ.get("MIXER_TEST_DATA", "")
    path = Path(folder) / name
    if not folder or not path.exists():
        pytest.skip(f"MIXER_TEST_DATA names no folder with {name}")
    return str(path)


@pytest.fixture(scope="module")
def solids(tmp_path_factory):
    root = tmp_path_factory.mktemp("solids") / "root"
    return write_solids(root, 2, 1, 1, points=128, workers=1)


# layouts


def test_embedded_solids_are_a_shapenet_part_folder(solids):
    train, val = open_clouds(solids, "train"), open_clouds(solids, "val")
    assert (len(train), len(val)) == (2 * len(KINDS), len(KINDS))
    assert list(train.names) == sorted(train.names)
    name = train.names[0]
    kind = [k.synset for k in KINDS].index(name.split("/")[0])
    rows = make_shape(0, "train", kind, int(name[-5:]), 128)
    cloud, center, radius = train.read(0)
    assert np.allclose(cloud.points * radius + center, rows[:, :3], atol=1e-6)
    assert np.allclose(cloud.normals, rows[:, 3:6], atol=1e-4)


def test_embedded_clouds_are_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # other processes would take seconds to start
    monkeypatch.chdir(tmp_path)
    config, session = EmbeddedConfig(train=1, val=1, seed=3), Session()
    clouds = embedded_clouds(session, config, "val")
    assert len(clouds) == len(KINDS)
    assert len(embedded_clouds(session, config, "train")) == len(KINDS)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["pointcloud-solids-1-1-seed3"]
    record = json.loads((tmp_path / "data/pointcloud-solids-1-1-seed3/solids.json").read_text())
    assert (record["seed"], record["train"], record["val"]) == (3, 1, 1)


def test_a_run_trains_on_turned_clouds_and_validates_on_the_same_ones(solids):
    data = DataConfig(root=str(solids), outputs=48, turn="any")
    config = PointCloudConfig(data=data, corruption=CorruptionConfig(points=16))
    clouds = CloudData(config, Session())
    assert (clouds.train().turn, clouds.train().seed) == ("any", None)
    first, again = clouds.val()[0], clouds.val()[0]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert len(first["input"]) == 16
    assert len(first["target"]) == 48


def shapenet_lists(root, names):
    (root / "train_test_split").mkdir(parents=True)
    for split in ("train", "val", "test"):
        listed = [f"shape_data/{name}" for name in names.get(split, [])]
        path = root / "train_test_split" / f"shuffled_{split}_file_list.json"
        path.write_text(json.dumps(listed))


def test_the_old_layout_of_shapenet_part(tmp_path):
    shapenet_lists(tmp_path, {"test": ["02691156/b", "02691156/a"]})
    for i, name in enumerate("ab"):
        path = tmp_path / "02691156" / "points" / f"{name}.pts"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, sphere(50, i) * 3, "%.6f")
    clouds = open_clouds(tmp_path, "test")
    assert clouds.names == ("02691156/a", "02691156/b")
    cloud, _, radius = clouds.read(0)
    assert cloud.normals is None
    assert radius == pytest.approx(3, rel=0.2)
    assert np.linalg.norm(cloud.points, axis=1).max() == pytest.approx(1)


def test_shapenet_part_with_files_missing(tmp_path):
    shapenet_lists(tmp_path, {"test": ["1/a", "1/b"]})
    (tmp_path / "1").mkdir()
    np.savetxt(tmp_path / "1" / "a.txt", np.zeros((5, 6)))
    with pytest.raises(
        InputError, match=r"1 of 2 listed clouds are missing, the first is .*b\.txt"
    ):
        open_clouds(tmp_path, "test")
    np.savetxt(tmp_path / "1" / "b.txt", np.zeros((5, 6)))
    with pytest.raises(InputError, match=r"rows of 6 numbers; x y z nx ny nz part"):
        open_clouds(tmp_path, "test").read(0)
    (tmp_path / "train_test_split" / "shuffled_val_file_list.json").write_text("[1")
    with pytest.raises(InputError, match="not a list of shape_data"):
        open_clouds(tmp_path, "val")


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_meshes_of_modelnet(tmp_path):
    for i in range(3):
        for side in ("train", "test"):
            put(tmp_path / "chair" / side / f"chair_{side}_{i:04d}.off", TRIANGLE)
    test = open_clouds(tmp_path, "test", mesh_points=40)
    assert test.names == tuple(f"chair_test_{i:04d}" for i in range(3))
    cloud, center, radius = test.read(0)
    assert cloud.points.shape == cloud.normals.shape == (40, 3)
    assert np.allclose((cloud.points * radius + center)[:, 2], 0, atol=1e-6)
    assert np.array_equal(cloud.points, test.read(0)[0].points)
    assert not np.array_equal(cloud.points, test.read(1)[0].points)


def test_shapenet_core_by_its_csv(tmp_path):
    # that Open3D is not needed to list them is part of it
    for name in "abc":
        put(tmp_path / "02691156" / name / "models" / "model_normalized.obj", OBJ)
    rows = [
        f"{i},2691156,2691156,{n},{s}"
        for i, (n, s) in enumerate(zip("abc", ("train", "val", "test"), strict=True))
    ]
    put(tmp_path / "all.csv", "\n".join(["id,synsetId,subSynsetId,modelId,split", *rows]))
    names = {split: open_clouds(tmp_path, split).names for split in ("train", "val", "test")}
    assert names == {"train": ("02691156/a",), "val": ("02691156/b",), "test": ("02691156/c",)}
    assert len(open_clouds(tmp_path, "all")) == 3


def test_resampled_modelnet(tmp_path):
    np.savetxt(tmp_path / "modelnet10_test.txt", ["night_stand_0001"], "%s")
    np.savetxt(tmp_path / "modelnet10_train.txt", ["bed_0001"], "%s")
    path = tmp_path / "night_stand" / "night_stand_0001.txt"
    path.parent.mkdir()
    np.savetxt(path, np.c_[sphere(30), sphere(30)], "%.6f", ",")
    cloud, _, _ = open_clouds(tmp_path, "test").read(0)
    assert np.allclose(cloud.normals, sphere(30), atol=1e-5)
    with pytest.raises(InputError, match=r"bed_0001\.txt: cannot be read"):
        open_clouds(tmp_path, "train").read(0)


def test_packed_clouds(tmp_path):
    points = np.stack([sphere(20, i) for i in range(40)])
    packed = (points * 32767).round().astype(np.int16)
    np.savez(
        tmp_path / "a.npz",
        points_i16=packed,
        split=np.arange(40) % 2,
        names=[f"n{i}" for i in range(40)],
    )
    test, train, val = (open_clouds(tmp_path / "a.npz", s) for s in ("test", "train", "val"))
    assert test.names == tuple(f"n{i}" for i in range(1, 40, 2))
    assert set(train.names) | set(val.names) == {f"n{i}" for i in range(0, 40, 2)}
    assert all(drawn_side(name) == "val" for name in val.names)
    cloud, center, radius = test.read(0)
    assert np.allclose(cloud.points * radius + center, points[1], atol=1e-4)
    np.savez(tmp_path / "b.npz", points=points, normals=points)
    sides = [open_clouds(tmp_path / "b.npz", s).names for s in ("test", "train", "val")]
    assert sorted(n for names in sides for n in names) == [f"{i:06d}" for i in range(40)]
    assert open_clouds(tmp_path / "b.npz", "all").read(3)[0].normals.shape == (20, 3)
    np.savez(tmp_path / "d.npz", points=points, split=np.full(40, 7))
    with pytest.raises(InputError, match="split has to be 0 train, 1 test or 2 val"):
        open_clouds(tmp_path / "d.npz", "test")
    np.savez(tmp_path / "c.npz", points=points[0])
    with pytest.raises(InputError, match=r"no points \(S, D, 3\)"):
        open_clouds(tmp_path / "c.npz", "all")


def test_any_folder_of_files(tmp_path):
    for i in range(30):
        (tmp_path / "deep").mkdir(exist_ok=True)
        write_ply(tmp_path / "deep" / f"{i}.ply", Cloud(sphere(20, i)))
    sides = {s: set(open_clouds(tmp_path, s).names) for s in ("train", "val", "test")}
    assert sum(map(len, sides.values())) == 30
    assert sides["val"] == {n for n in set.union(*sides.values()) if drawn_side(n) == "val"}
    for split in ("train", "test"):
        put(tmp_path / "named" / split / "a.off", TRIANGLE)
    assert open_clouds(tmp_path / "named", "test").names == ("test/a.off",)


def test_roots_that_are_no_data_set(tmp_path):
    for root, words in [(tmp_path / "none", "no folder and no .npz"), (tmp_path, "holds no cloud")]:
        with pytest.raises(InputError, match=words):
            open_clouds(root, "test")
    write_ply(tmp_path / "a.ply", Cloud(sphere(9)))
    with pytest.raises(InputError, match="unknown split 'tset'"):
        open_clouds(tmp_path, "tset")
    only = drawn_side("a.ply")
    with pytest.raises(InputError, match="none of its 1 clouds is in the split"):
        open_clouds(tmp_path, next(s for s in ("test", "val") if s != only))


# corruption


def test_without_corruption_the_input_is_a_subset():
    dense = sphere(500)
    found = corrupt(dense, PLAIN, stream(0))
    assert found.shape == (64, 3)
    near = np.abs(found[:, None] - dense[None]).max(2)
    assert near.min(1).max() < 1e-6  # of the grid
    assert len(set(near.argmin(1))) == 64


def change(**fields):
    return CorruptionConfig(**{**vars(PLAIN), "points": 4000, **fields})


def test_noise_has_its_standard_deviation():
    dense = np.zeros((4000, 3), np.float32)
    dense[0] = [1e-3, 0, 0]
    found = corrupt(dense, change(noise=0.05), stream(0))
    assert found.std(0) == pytest.approx([0.05] * 3, rel=0.05)


def test_outliers_are_a_share_in_the_box():
    dense = sphere(8000)
    found = corrupt(dense, change(outliers=0.1), stream(0))
    off = np.abs(np.linalg.norm(found, axis=1) - 1) > 1e-4
    assert off.sum() == pytest.approx(400, abs=15)
    assert np.abs(found).max() > 1.02
    assert np.abs(found).max() < 1.2


def test_density_grows_along_a_direction():
    dense = sphere(200_000)
    found = corrupt(dense, change(bias=1.0), stream(0))
    # on a sphere of radius 1, in half diagonals of the box, the mean of exp(b h) shifts the mean
    b = 1 / np.sqrt(3)
    shift = 1 / np.tanh(b) - 1 / b
    assert np.linalg.norm(found.mean(0)) == pytest.approx(shift, abs=0.03)
    assert np.linalg.norm(corrupt(dense, change(), stream(0)).mean(0)) < 0.03


def test_holes_are_empty():
    dense = sphere(8000)
    found = corrupt(dense, change(holes=2, hole_radius=0.4), stream(0))
    distance = np.sqrt(((dense[::20, None] - found[None]) ** 2).sum(2)).min(1)
    assert (distance > 0.35).any()
    plain = corrupt(dense, change(), stream(0))
    assert np.sqrt(((dense[::20, None] - plain[None]) ** 2).sum(2)).min(1).max() < 0.15


def test_a_hole_never_takes_half_of_the_cloud():
    found = corrupt(sphere(100), change(points=100, holes=5, hole_radius=9.0), stream(0))
    assert len(np.unique(found, axis=0)) == 100


def test_clouds_smaller_than_the_input_repeat():
    found = corrupt(sphere(10), change(points=25), stream(0))
    assert len(found) == 25
    assert len(np.unique(found, axis=0)) == 10
    assert corrupt(np.ones((1, 3), np.float32), CorruptionConfig(), stream(0)).shape == (512, 3)


def test_what_varies_lies_between_its_ends_and_the_rest_stays():
    vary = VaryConfig(points=(20, 180), noise=(0.01, 0.03))
    drawn = [varied(PLAIN, vary, stream(seed)) for seed in range(300)]
    points = np.array([each.points for each in drawn])
    assert points.min() >= 20
    assert points.max() <= 180
    # of the logarithm: half of them below the geometric mean
    assert 0.4 < (points < 60).mean() < 0.6
    noise = np.array([each.noise for each in drawn])
    assert noise.min() >= 0.01
    assert noise.max() <= 0.03
    assert abs(noise.mean() - 0.02) < 0.001
    assert {(each.outliers, each.holes) for each in drawn} == {(0, 0)}
    assert varied(PLAIN, VaryConfig(), stream(0)) == PLAIN


def test_training_inputs_vary_and_validation_does_not(solids):
    vary, embedded = VaryConfig(points=(16, 500)), EmbeddedConfig(train=2, val=1)
    config = PointCloudConfig(DataConfig(str(solids)), embedded, PLAIN, vary=vary)
    data = CloudData(config, Session())
    train = [len(item["input"]) for item in some_of(data.train(), 8)]
    assert len(set(train)) > 4
    assert 16 <= min(train) < max(train) <= 500
    assert {len(item["input"]) for item in some_of(data.val(), 4)} == {PLAIN.points}


def some_of(clouds, count):
    return [clouds[i % len(clouds)] for i in range(count)]


@pytest.mark.parametrize("ends", [(0.3,), (0.3, 0.1), (0.1, 0.2, 0.3), (-0.1, 0.2)])
def test_ends_without_a_meaning(ends):
    with pytest.raises(InputError, match=r"vary\.noise is .*choose"):
        check_vary(VaryConfig(noise=ends))


def test_settings_without_a_meaning():
    for fields in ({"points": 0}, {"outliers": 1.5}, {"noise": -1.0}, {"holes": -1}):
        with pytest.raises(InputError, match=rf"corruption\.{next(iter(fields))} is .*choose"):
            corrupt(sphere(10), change(**fields), stream(0))


# items


def test_items_are_pure_functions_of_seed_and_index(solids):
    clouds = open_clouds(solids, "train")
    data = Reconstruction(clouds, CorruptionConfig(points=32), 100, seed=5)
    item = data[3]
    shapes = {"input": (32, 3), "target": (100, 3), "normals": (100, 3), "center": (3,)}
    assert {name: tuple(value.shape) for name, value in item.items()} == {**shapes, "scale": ()}
    assert {value.dtype for value in item.values()} == {torch.float32}
    assert all(torch.equal(item[k], data[3][k]) for k in item)
    other = Reconstruction(clouds, CorruptionConfig(points=32), 100, seed=6)[3]
    assert not torch.equal(item["input"], other["input"])
    assert len(np.unique(item["target"].numpy(), axis=0)) == 100
    more = Reconstruction(clouds, CorruptionConfig(points=32, noise=0.5), 100, seed=5)[3]
    assert torch.equal(more["target"], item["target"])  # whatever was done to the input


def test_training_items_follow_the_loaders_seeds(solids):
    clouds = open_clouds(solids, "train")
    data = Reconstruction(clouds, CorruptionConfig(points=32), 64, turn="any")

    def first(seed):
        return next(TrainLoader(data, 3, seed=seed, collate=collate).batches())

    assert torch.equal(first(1)["input"], first(1)["input"])
    assert not torch.equal(first(1)["input"], first(2)["input"])


@pytest.mark.parametrize("turn", ["none", "upright", "any"])
def test_turns_keep_distances_and_normals(solids, turn):
    clouds = open_clouds(solids, "train")
    np.random.seed(3)  # noqa: NPY002 - as the loaders do
    item = Reconstruction(clouds, PLAIN, 128, turn=turn)[0]
    cloud, _, _ = clouds.read(0)
    points, normals = item["target"].numpy(), item["normals"].numpy()

    def sorted_products(p, n):
        return np.sort(np.c_[(p * p).sum(1), (p * n).sum(1)].round(4), 0)

    assert np.allclose(
        sorted_products(points, normals), sorted_products(cloud.points, cloud.normals), atol=2e-4
    )
    kept = np.allclose(np.sort(points[:, 2]), np.sort(cloud.points[:, 2]), atol=1e-5)
    assert kept == (turn != "any")
    assert np.array_equal(np.sort(points, 0), np.sort(cloud.points, 0)) == (turn == "none")


def test_batches_pack_clouds(solids):
    data = Reconstruction(open_clouds(solids, "val"), CorruptionConfig(points=16), 48, seed=0)
    (batch, *_) = EvalLoader(data, 4, collate=collate)
    assert batch["input"].shape == (64, 3)
    assert batch["input_batch"].tolist() == [0] * 16 + [1] * 16 + [2] * 16 + [3] * 16
    assert torch.equal(batch["target"][48:96], data[1]["target"])
    assert batch["normals"].shape == (192, 3)
    assert (batch["center"].shape, batch["scale"].shape) == ((4, 3), (4,))
    without = {k: v for k, v in data[0].items() if k != "normals"}
    assert "normals" not in collate([data[0], without])


def test_bad_files_are_bad_samples(tmp_path):
    write_ply(tmp_path / "good.ply", Cloud(sphere(99)))
    path = write_ply(tmp_path / "bad.ply", Cloud(sphere(99)))
    path.write_bytes(path.read_bytes()[:-99])
    clouds = open_clouds(tmp_path, "all")
    data = Reconstruction(clouds, PLAIN, 20, seed=0)
    with pytest.raises(BadSample, match=r"bad\.ply.*truncated"):
        data[0]
    with pytest.raises(InputError, match=r"1 bad sample\(s\), 0 allowed"):
        list(EvalLoader(data, 2, collate=collate))
    (batch,) = EvalLoader(data, 2, collate=collate, skip_bad=1)
    assert batch["mask"].tolist() == [False, True]


def test_data_sets_go_to_loader_processes(solids, tmp_path):
    put(tmp_path / "chair" / "test" / "a.off", TRIANGLE)
    np.savez(tmp_path / "a.npz", points=sphere(60).reshape(2, 30, 3))
    for root, split in ((solids, "test"), (tmp_path, "test"), (tmp_path / "a.npz", "all")):
        data = Reconstruction(open_clouds(root, split), PLAIN, 20, seed=0)
        other = pickle.loads(pickle.dumps(data))
        assert torch.equal(other[0]["input"], data[0]["input"])


# suites


def recorded():
    rows = re.findall(r"^\| (\w+) \| `(\w{64})` \| `(\w{64})` \|$", PROTOCOL.read_text(), re.M)
    return {name: {"input": a, "target": b} for name, a, b in rows}


@pytest.mark.parametrize("name", suites.EMBEDDED)
def test_embedded_suites_have_the_protocols_hashes(name):
    assert open_suite(name).hashes() == recorded()[name]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("modelnet10", "modelnet10/points1024.npz"),
        ("shapenet_sampled", "shapenet_sampled2048.npz"),
        ("common_meshes", "common_meshes"),
        ("icl", "icl_livingroom1"),
    ],
)
def test_real_suites_have_the_protocols_hashes(name, file):
    assert open_suite(name, real(file)).hashes() == recorded()[name]


def test_rendered_rooms_are_seen_from_within():
    """Most points lie on what is true, and what is occluded stays unseen."""
    item = open_suite("rooms_rgbd").items[1]
    assert torch.equal(item["target"], open_suite("rooms").items[1]["target"])
    metres = float(item["scale"])
    seen, true = (metres * item[name].numpy() for name in ("input", "target"))
    assert (cKDTree(true).query(seen)[0] < 0.05).mean() > 0.9
    reached = (cKDTree(seen).query(true)[0] < 0.2).mean()
    assert 0.7 < reached < 0.98


def test_the_layout_of_the_real_shapenet_part():
    suite = open_suite("shapenetpart", real("shapenetpart_layout"))
    assert len(suite) == 2
    assert suite.items[0]["normals"].shape == (2048, 3)


def test_hashes_are_of_float32_rows_in_order(solids):
    data = Reconstruction(open_clouds(solids, "val"), PLAIN, 20, seed=0)
    suite = suites.Suite("toy", data, (1, 2, 3))
    rows = b"".join(item["input"].numpy().tobytes() for item in suite)
    assert suite.hashes()["input"] == hashlib.sha256(rows).hexdigest()


def test_suites_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no suite 'embeded'.*Did you mean embedded"):
        open_suite("embeded")
    with pytest.raises(InputError, match="suite icl is made of files: give"):
        open_suite("icl")
    with pytest.raises(InputError, match="no train_test_split"):
        open_suite("shapenetpart", str(tmp_path))
    with pytest.raises(InputError, match="neither <scene>"):
        open_suite("scannet", str(tmp_path))


def test_modelnet10_takes_ten_of_a_class(tmp_path):
    names = [f"{c}_{i:04d}" for c in ("night_stand", "bed") for i in range(14)]
    np.savez(tmp_path / "a.npz", points=np.zeros((28, 9, 3)), names=names, split=np.ones(28))
    suite = open_suite("modelnet10", str(tmp_path / "a.npz"))
    assert [n.rpartition("_")[0] for n in suite.items.clouds.names] == ["bed"] * 10 + [
        "night_stand"
    ] * 10


def test_scannet_meshes_are_scenes_in_metres(tmp_path):
    corners = np.array([[0, 0, 0], [5, 0, 0], [5, 4, 0], [0, 4, 0]], np.float32)
    path = tmp_path / "scene0000_00" / "scene0000_00_vh_clean_2.ply"
    text = ["ply", "format ascii 1.0", "element vertex 4", *(f"property float {a}" for a in "xyz")]
    text += ["element face 2", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(map(str, corner)) for corner in corners.tolist()]
    put(path, "\n".join([*text, *rows, "3 0 1 2", "3 0 2 3", ""]))
    suite = open_suite("scannet", str(tmp_path))
    item = suite.items[0]
    assert len(suite) == 1
    assert suite.unit(item) == pytest.approx(np.hypot(5, 4) / 2, rel=0.01)
    assert (len(item["target"]), len(item["input"])) == (160_000, 20_000)
    height = (item["input"] * item["scale"] + item["center"])[:, 2]
    assert float(height.abs().median()) == pytest.approx(0.0135, rel=0.1)  # of 0.02 m, 2 % lost
    np.c_[sphere(50), np.zeros((50, 3))].astype("<f4").tofile(tmp_path / "b.bin")
    path.unlink()
    assert len(open_suite("scannet", str(tmp_path)).items[0]["target"]) == 50


# RGB-D frames


CAMERA = rgbd.Camera(fx=40, fy=40, cx=19.5, cy=14.5)
TURN = np.array([[0, 0, 1, 0.5], [1, 0, 0, 0], [0, 1, 0, 0.2], [0, 0, 0, 1.0]])


def write_depth(folder, count=3, value=2000):
    (folder / "depth").mkdir(parents=True)
    for i in range(count):
        depth = np.full((30, 40), value, np.uint16)
        depth[:5] = 0
        Image.fromarray(depth).save(folder / "depth" / f"{i:05d}.png")


def test_back_projection_by_hand():
    depth = np.zeros((30, 40))
    depth[10, 30] = 2.0
    (point,) = rgbd.back_project(depth, CAMERA, TURN)
    x, y, z = 2 * (30 - 19.5) / 40, 2 * (10 - 14.5) / 40, 2.0
    assert point == pytest.approx([z + 0.5, x, y + 0.2])


def test_back_projection_undoes_projection():
    depth = 1 + np.random.default_rng(0).random((30, 40))
    points = (rgbd.back_project(depth, CAMERA, TURN) - TURN[:3, 3]) @ TURN[:3, :3]
    column = points[:, 0] / points[:, 2] * CAMERA.fx + CAMERA.cx
    row = points[:, 1] / points[:, 2] * CAMERA.fy + CAMERA.cy
    assert np.allclose(column, np.tile(np.arange(40), 30))
    assert np.allclose(row, np.repeat(np.arange(30), 40))
    assert np.allclose(points[:, 2], depth.ravel())


def log_text(poses):
    rows = ["\n".join(" ".join(map(str, row)) for row in pose.tolist()) for pose in poses]
    blocks = [f"{i} {i} {i + 1}\n{text}" for i, text in enumerate(rows)]
    return "\n".join(blocks) + "\n"


def test_trajectories_of_three_kinds(tmp_path):
    for name in ("redwood", "scannet", "icl"):
        write_depth(tmp_path / name)
    put(tmp_path / "redwood" / "trajectory.log", log_text([np.eye(4), TURN, np.eye(4)]))
    for i, pose in enumerate((np.eye(4), TURN, np.full((4, 4), -np.inf))):
        put(
            tmp_path / "scannet" / "pose" / f"{i}.txt",
            "\n".join(" ".join(map(str, r)) for r in pose),
        )
    intrinsic = np.diag([577.0, 578.0, 1, 1])
    intrinsic[:2, 2] = 320, 240
    put(
        tmp_path / "scannet/intrinsic/intrinsic_depth.txt",
        "\n".join(" ".join(map(str, r)) for r in intrinsic),
    )
    put(
        tmp_path / "icl" / "livingRoom1.gt.freiburg",
        "1 0.5 0 0.2 0.5 0.5 0.5 0.5\n2 0 0 0 0 0 0 1\n",
    )
    redwood, scannet, icl = (rgbd.open_frames(tmp_path / n) for n in ("redwood", "scannet", "icl"))
    assert (len(redwood), len(scannet), len(icl)) == (3, 2, 2)
    assert np.allclose(redwood.poses[1], TURN)
    assert np.allclose(scannet.poses[1], TURN)
    assert np.allclose(icl.poses[0], TURN)
    assert scannet.camera == rgbd.Camera(577, 578, 320, 240, 1000)
    assert icl.camera.per_metre == 5000
    looks_ahead = rgbd.frame_points(icl, 1)  # pixels above the optical axis: there y goes up
    assert np.allclose(looks_ahead[:, 2], 2000 / 5000)
    assert (looks_ahead[:, 1] > 0).all()
    assert (rgbd.frame_points(redwood, 0)[:, 1] < 0).all()
    assert icl.depths[0].name == "00001.png"


def test_frames_that_cannot_be_used(tmp_path):
    write_depth(tmp_path)
    with pytest.raises(InputError, match="no trajectory"):
        rgbd.open_frames(tmp_path)
    put(tmp_path / "a.log", log_text([TURN])[:-9])
    with pytest.raises(InputError, match=r"a\.log: not blocks of 3 \+ 16"):
        rgbd.open_frames(tmp_path)
    put(tmp_path / "a.log", log_text([TURN]).replace("0 0 1\n", "7 7 8\n", 1))
    with pytest.raises(InputError, match="no number in both"):
        rgbd.open_frames(tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "eight.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "depth/00000.png").read_bytes()[:60])
    for name, words in (("eight.png", "16-bit depth map is needed"), ("cut.png", "cannot be read")):
        with pytest.raises(InputError, match=words):
            rgbd.read_depth(tmp_path / name, CAMERA)


def test_fusing_averages_voxels_over_frames(tmp_path):
    write_depth(tmp_path)
    put(tmp_path / "a.log", log_text([np.eye(4)] * 3))
    frames = rgbd.open_frames(tmp_path)
    points = rgbd.frame_points(frames, 0)
    assert points.shape == (25 * 40, 3)
    found = rgbd.fuse(frames, range(3), 0.05)
    cells, place = np.unique(np.floor(points / 0.05), axis=0, return_inverse=True)
    wanted = np.stack([points[place.ravel() == i].mean(0) for i in range(len(cells))])
    assert np.allclose(found, wanted)
    with pytest.raises(InputError, match="too small for coordinates"):
        rgbd.voxel_keys(np.full((1, 3), 3e6), 1.0)


def test_sensor_noise_grows_with_depth():
    for depth, spread in ((1.0, 0.0012 + 0.0019 * 0.36), (3.0, 0.0012 + 0.0019 * 2.6**2)):
        flat = np.full((200, 200), depth)
        flat[0, 0] = 0
        error = (rgbd.noisy_depth(flat, stream(0)) - depth)[2:, 2:]
        step = depth**2 / rgbd.KINECT / 8
        assert error.std() == pytest.approx(np.hypot(spread, step / 12**0.5), rel=0.05)
        assert rgbd.noisy_depth(flat, stream(0))[0, 0] == 0


def test_frames_as_a_scene(tmp_path):
    write_depth(tmp_path, 11)
    put(tmp_path / "a.log", log_text([np.eye(4)] * 11))
    suite = open_suite("icl", str(tmp_path))
    item = suite.items[0]
    assert len(item["input"]) == len(item["target"]) // 8
    back = (item["target"] * item["scale"] + item["center"]).numpy()
    assert np.allclose(back, rgbd.fuse(suite.items.frames, range(11), 0.02), atol=1e-5)
    assert torch.equal(item["input"], open_suite("icl", str(tmp_path)).items[0]["input"])
    noisy = suite.items.seen()
    assert 1900 < len(noisy) <= 2 * 25 * 40  # frames 0 and 10, some pixels moved off their edge
    assert 0.001 < noisy[:, 2].std() < 0.03
    write_depth(tmp_path / "other", 11, value=2100)
    (tmp_path / "other" / "depth").rename(tmp_path / "depth_noisy")
    assert np.allclose(scenes.frame_items(str(tmp_path), 0).seen()[:, 2], 2.1)


def test_open3d_scenes_by_name():
    pytest.importorskip("open3d", exc_type=ImportError)
    with pytest.raises(InputError, match="none of RedwoodIndoorLivingRoom1"):
        scenes.frame_items("open3d:LivingRoom9", 0)
