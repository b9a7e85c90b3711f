"""Damaged and strange files, drawn by hypothesis: a reader takes them, or ends in an InputError.

In an image or a cloud of a data set it may be a BadSample. EXAMPLES=10000 pytest ... draws as many
for each reader instead of a hundred, others each time.
"""

import io
import json
import math
import os
import resource
import shutil
import tarfile
import warnings
from copy import deepcopy

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from apps.crossview.config import DataConfig
from apps.crossview.data.pairs import Pairs
from apps.pointcloud.data.files import read_cloud, silent, write_cloud
from apps.pointcloud.geometry.cloud import make_cloud
from apps.pose.data.keypoints import KeypointSet
from apps.pose.data.records.annotations import check_detections, read_coco, read_truth
from apps.style.data.lists import read_csv, read_lists
from core.checkpoints import find_checkpoint, read_info
from core.config import load_config, save_config
from core.data.images.packed import open_packed
from core.data.loading import BadSample
from core.data.streams.tar_shard import index_tar, read_tar
from core.errors import InputError
from core.training.files.checkpoint import load_weights, newest_whole
from core.training.files.folder import read_metrics
from core.training.run_config import RunConfig
from tests.bad_input.scene import SKELETON, person

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
MEMORY = 1 << 30  # bytes that all readers together may need beyond what the process has
drawn = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

STRANGE = st.one_of(
    st.sampled_from([None, True, -1, 0, 1, 0.5, 1e308, math.nan, -math.inf, 10**30, 2**63]),
    st.sampled_from(["", "x", "1", "nan", "é\u2028", "../x", [], {}, [[]], [None], {"a": 1}]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-3, 70), max_size=5),
)


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """All that is read here is small: so is what it may take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("read")


def refused(read, *words, **options):
    """Whether it was; every other exception is the test's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(*words, **options)
    except (InputError, BadSample):
        return True
    return False


@st.composite
def damaged(draw, contents):
    """One of the contents with a few bytes cut out, put in, repeated or changed."""
    content = draw(st.sampled_from(contents))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 100]))
        put = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=8),
                st.just(content[place : place + length] * 2),
                st.sampled_from([b"-1", b"nan", b"99999999999", b"\n", b"\0", b'"', b" ", b","]),
            )
        )
        content = content[:place] + put + content[place + draw(st.sampled_from([0, length])) :]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@st.composite
def replaced(draw, value):
    """A json value with a few of its parts replaced, or taken out."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        place, way = value, draw(st.integers(1, 6))
        while isinstance(place, dict | list) and place and way:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key, way = draw(st.sampled_from(list(keys))), way - 1
            if way == 0 or not (isinstance(place[key], dict | list) and place[key]):
                if draw(st.booleans()):
                    place[key] = deepcopy(draw(STRANGE))  # it may be changed in turn
                else:
                    del place[key]
                break
            place = place[key]
    return value


# ---- pose ------------------------------------------------------------------------------------

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
    "categories": [{"id": 1, "name": "person", **SKELETON}],
    "annotations": [person(), person(id=2)],
}
DETECTIONS = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}] * 2
SIDE = {
    "names": ["nose", "left_eye", "right_eye"],
    "skeleton": [["nose", "left_eye"]],
    "flip_pairs": [["left_eye", "right_eye"]],
    "sigmas": [0.1, 0.2, 0.2],
}


def coco_file(folder, content):
    Image.new("RGB", (60, 40)).save(folder / "a.png")
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


@drawn
@given(content=replaced(COCO))
def test_coco_jsons(folder, content):
    path = coco_file(folder, content)
    if not refused(KeypointSet.read, path):
        refused(read_coco, path, 3, folder, silent)
        refused(read_truth, path, KeypointSet.of(SKELETON["keypoints"]))


@drawn
@given(content=damaged([json.dumps(COCO).encode()]))
def test_coco_bytes(folder, content):
    path = folder / "bytes.json"
    path.write_bytes(content)
    refused(KeypointSet.read, path)
    refused(read_coco, path, 3, folder, silent)


@drawn
@given(content=replaced(DETECTIONS))
def test_detections(folder, content):
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    refused(check_detections, path, COCO["images"])


@drawn
@given(side=replaced(SIDE), content=damaged([yaml.safe_dump(SIDE).encode()]))
def test_keypoint_yamls(folder, side, content):
    people, path = coco_file(folder, COCO), folder / "side.yaml"
    path.write_text(yaml.safe_dump(side))
    refused(KeypointSet.read, people, path)
    path.write_bytes(content)
    refused(KeypointSet.read, people, path)


# ---- style, images ---------------------------------------------------------------------------

CSV = b'path,class,split\na/b.png,Baroque,train\n"c, d.png",Cubism,val\n'
LISTS = {
    "style_class.txt": b"0 Baroque\n1 Cubism\n",
    "style_train.csv": b"Baroque/a.jpg,0\nCubism/b.jpg,1\n",
    "style_val.csv": b"Baroque/c.jpg,0\nCubism/d.jpg,1\n",
}


@drawn
@given(content=damaged([CSV, CSV.replace(b",", b";"), CSV.decode().encode("utf-16")]))
def test_label_csvs(folder, content):
    (folder / "labels.csv").write_bytes(content)
    refused(read_csv, folder / "labels.csv")


@drawn
@given(name=st.sampled_from(sorted(LISTS)), data=st.data())
def test_lists(folder, name, data):
    for other, content in LISTS.items():
        (folder / other).write_bytes(content)
    (folder / name).write_bytes(data.draw(damaged([LISTS[name]])))
    refused(read_lists, folder)


def png(side=8):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def packed():
    blob = np.frombuffer(png() * 2, np.uint8)
    offsets = np.array([0, len(png()), len(blob)])
    names = np.array(["a", "b"])
    return npz(data=blob, offsets=offsets, labels=np.array([0, 1]), classes=names)


def every(images):
    for index in range(min(len(images), 5)):
        refused(images.__getitem__, index)


@drawn
@given(content=damaged([packed()]))
def test_packed_images(folder, content):
    path = folder / "images.npz"
    path.write_bytes(content)
    refused(lambda: every(open_packed(path)))


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in [("a.png", png()), ("a.cls", b"0"), ("b.png", png()), ("b.cls", b"1")]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@drawn
@given(content=damaged([tar()]))
def test_tar_shards(folder, content):
    path = folder / "shard.tar"
    path.write_bytes(content)
    refused(index_tar, str(path))
    refused(lambda: list(read_tar(str(path), 0)))


def panels():
    ground = np.random.default_rng(0).integers(0, 256, (16, 64, 3), np.uint8)
    ground[:, 32:] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(ground).save(buffer, "PNG")
    return buffer.getvalue()


@drawn
@given(content=damaged([panels()]))
def test_four_panel_files(folder, content):
    root = folder / "panels"
    (root / "train").mkdir(parents=True, exist_ok=True)
    (root / "train/a.png").write_bytes(content)
    config = DataConfig(str(root), palette="cvusa", size=(16, 16), order="pair")
    refused(lambda: every(Pairs(config, "train")))


# ---- point clouds ----------------------------------------------------------------------------

ROWS = "\n".join(f"{i} {i * i} {-i} 9 8 7" for i in range(12)).encode()
PLY = b"""ply
format ascii 1.0
comment made by hand
element vertex 4
property double x
property float y
property float z
property uchar red
element face 2
property list uchar int vertex_indices
end_header
0 0 0 1
1 0 0 2
0 1 0 3
1 1 0 4
3 0 1 2
4 0 1 3 2
"""
PCD = b"""# .PCD v.7
VERSION .7
FIELDS x y z intensity
SIZE 4 8 4 1
TYPE F F F U
COUNT 1 1 1 1
WIDTH 3
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 3
DATA """


def binary_pcd():
    kinds = [("x", "f4"), ("y", "f8"), ("z", "f4"), ("i", "u1")]
    return PCD + b"binary\n" + np.zeros(3, np.dtype(kinds)).tobytes()


def las():
    header = bytearray(227)
    header[:4], header[24:26], header[94:96] = b"LASF", b"\x01\x02", (227).to_bytes(2, "little")
    header[96:100], header[105:107] = (227).to_bytes(4, "little"), (20).to_bytes(2, "little")
    header[107:111] = (3).to_bytes(4, "little")
    header[131:155] = np.ones(3).tobytes()
    return bytes(header) + bytes(60)


def array(kind="f4"):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(30, dtype=kind).reshape(10, 3))
    return buffer.getvalue()


STL = b"solid\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"
CLOUDS = {
    ".xyz": [ROWS, b"x y z\n12\n" + ROWS, ROWS.replace(b" ", b";")],
    ".csv": [b"id,x,y,z\n1,2,3,4\n2,3,4,5\n", b"X;Y;Z\n1,5;2;3\n4;5;6\n"],
    ".pcd": [PCD + b"ascii\n1 2 3 4\n2 3 4 5\n3 4 5 6\n", binary_pcd()],
    ".npz": [npz(points=np.ones((9, 3))), npz(arr_0=np.ones((9, 6)))],
    ".npy": [array(), array("i8"), array(">f8")],
    ".bin": [np.arange(48, dtype="f4").tobytes(), np.arange(60, dtype="f4").tobytes()],
    ".off": [b"OFF\n4 1 0\n0 0 0\n1 0 0\n0 1 0\n1 1 1\n4 0 1 2 3\n"],
    ".obj": [b"v 0 0 0\nv 1 0 0 1 0 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1\nf -1 -2 -3\n"],
    ".stl": [STL + b"endfacet\nendsolid\n", bytes(80) + b"\1\0\0\0" + bytes(50)],
    ".las": [las()],
}


def binary_ply(folder):
    rng = np.random.default_rng(0)
    cloud = make_cloud(rng.normal(size=(9, 3)).astype("f4"))
    return write_cloud(folder / "whole.ply", cloud).read_bytes()


@drawn
@given(data=st.data())
def test_plys(folder, data):
    content = data.draw(damaged([PLY, binary_ply(folder)]))
    (folder / "cloud.ply").write_bytes(content)
    refused(read_cloud, folder / "cloud.ply", silent, 50)


@pytest.mark.parametrize("suffix", CLOUDS)
@drawn
@given(data=st.data())
def test_clouds(folder, suffix, data):
    path = folder / f"cloud{suffix}"
    path.write_bytes(data.draw(damaged(CLOUDS[suffix])))
    refused(read_cloud, path, silent, 50)


# ---- runs ------------------------------------------------------------------------------------


@drawn
@given(data=st.data())
def test_config_yamls(folder, data):
    path = folder / "config.yaml"
    save_config(RunConfig(), path)
    whole = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(data.draw(replaced(whole))))
    refused(load_config, RunConfig, path)
    path.write_bytes(data.draw(damaged([yaml.safe_dump(whole).encode()])))
    refused(load_config, RunConfig, path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """(a run's folder, its network)."""
    from core.models.classifier import create_classifier
    from core.training.files.checkpoint import link, save_weights, write_checkpoint

    run, network = (
        tmp_path_factory.mktemp("run") / "run",
        create_classifier("mixer_c8_l1_p8", 16, 2),
    )
    (run / "checkpoints").mkdir(parents=True)

    def write(draft):
        save_weights(network.state_dict(), draft / "model.safetensors")
        (draft / "config.json").write_text(json.dumps({"step": 1, "metrics": {"loss": 1.0}}))

    link(run, "last", write_checkpoint(run, 1, write))
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n')
    return run, network


@drawn
@given(summed=st.booleans(), data=st.data())
def test_checkpoints(folder, checkpoint, summed, data):
    (whole, network), run = checkpoint, folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(whole, run, symlinks=True)
    step = run / "checkpoints/step-00000001"
    files = [step / "config.json", step / "model.safetensors", run / "metrics.jsonl"]
    if summed:
        files.append(step / "SHA256SUMS")
    else:
        (step / "SHA256SUMS").unlink()
    file = data.draw(st.sampled_from(files))
    file.write_bytes(data.draw(damaged([file.read_bytes()])))
    refused(read_info, step)
    refused(read_metrics, run)
    refused(find_checkpoint, run)
    refused(load_weights, network, step / "model.safetensors")
    refused(newest_whole, run, "loss", False)
