"""A folder with small runs and damaged files, in which commands are given bad input."""

import csv
import json
import os
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.config import save_config, to_plain
from core.training.files.checkpoint import link, save_weights, write_checkpoint
from tests.huge import huge

SKELETON = {"keypoints": ["nose", "left_eye", "right_eye"], "skeleton": [[1, 2], [1, 3]]}


def build(folder: Path) -> Path:
    """All of it; the folder."""
    runs(folder)
    files(folder)
    data_sets(folder)
    embedded(folder)
    return folder


def store_run(folder, config, network):
    """A run's folder as training would leave it, of a network with random weights."""
    (folder / "checkpoints").mkdir(parents=True)
    save_config(config, folder / "config.yaml")
    info = {"step": 1, "metrics": {}, **to_plain(network.describe())}

    def write(draft):
        (draft / "config.json").write_text(json.dumps(info))
        save_weights(network.state_dict(), draft / "model.safetensors")

    link(folder, "last", write_checkpoint(folder, 1, write))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')


def runs(folder):
    """pose, style, cloud, view: a run of each app; and what became of runs."""
    from apps.crossview import presets as view
    from apps.crossview.data.maps import CVUSA, as_palette
    from apps.crossview.models.network import build_generator
    from apps.pointcloud import presets as cloud
    from apps.pointcloud.models.network import create_network
    from apps.pose import presets as pose
    from apps.style import presets as style
    from core.models.network import build_classifier
    from tests.apps.pose.toys import COCO, network

    store_run(folder / "pose", pose.debug(), network(keypoints=COCO))
    classes = ["Baroque", "Cubism"]
    store_run(folder / "style", style.debug(), build_classifier(style.debug().model, classes))
    store_run(folder / "cloud", cloud.debug(), create_network(cloud.debug().model))
    store_run(
        folder / "view", view.debug(), build_generator(view.debug(), as_palette(CVUSA, "cvusa"))
    )
    (folder / "no_run").mkdir()
    (folder / "no_run/notes.txt").write_text("mine")
    _spoilt_runs(folder)


def _spoilt_runs(folder):
    damages = {
        "bad_yaml": ("config.yaml", "run: [1, 2"),
        "deep_yaml": ("config.yaml", "[" * 2_000),
        "other_field": ("config.yaml", "runn: {}"),
        "empty_yaml": ("config.yaml", ""),
        "binary_yaml": ("config.yaml", b"\xff\xfe\x00\x81\x00"),
        "tag_yaml": ("config.yaml", "!!python/object/apply:os.system ['touch ran']"),
        "range_yaml": ("config.yaml", "run: {clip: -1}"),
        "type_yaml": ("config.yaml", "run: {clip: [1]}"),
        "twice_yaml": ("config.yaml", "run: {clip: 1}\nrun: {}\n"),
        "bad_json": ("checkpoints/step-00000001/config.json", "{"),
        "list_json": ("checkpoints/step-00000001/config.json", "[]"),
        "number_json": ("checkpoints/step-00000001/config.json", '{"step": 1, "model": 3}'),
        "step_json": ("checkpoints/step-00000001/config.json", '{"step": "many"}'),
        "metrics_json": ("checkpoints/step-00000001/config.json", '{"step": 1, "metrics": [1]}'),
        "null_json": ("checkpoints/step-00000001/config.json", "null"),
        "no_json": ("checkpoints/step-00000001/config.json", None),
        "cut_weights": ("checkpoints/step-00000001/model.safetensors", b"\x08\0\0\0\0\0\0\0{}"),
        "empty_weights": ("checkpoints/step-00000001/model.safetensors", b""),
        "huge_header": ("checkpoints/step-00000001/model.safetensors", b"\xff" * 64),
        "no_weights": ("checkpoints/step-00000001/model.safetensors", None),
    }
    for app in ("pose", "style", "cloud", "view"):
        for name, (file, content) in damages.items():
            copy = folder / f"{app}_{name}"
            shutil.copytree(folder / app, copy, symlinks=True)
            (copy / "checkpoints/step-00000001/SHA256SUMS").unlink()
            write(copy / file, content)
        flipped = folder / f"{app}_flipped"
        shutil.copytree(folder / app, flipped, symlinks=True)
        weights = flipped / "checkpoints/last/model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-5] ^= 64
        weights.write_bytes(content)
        _diverge(folder / app, folder / f"{app}_diverged")
        no_checkpoint = folder / f"{app}_no_checkpoint"
        (no_checkpoint / "checkpoints").mkdir(parents=True)
        shutil.copy(folder / app / "config.yaml", no_checkpoint)


def _diverge(run, copy):
    """A run whose weights are numbers, and what they make of anything is not."""
    shutil.copytree(run, copy, symlinks=True)
    (copy / "checkpoints/step-00000001/SHA256SUMS").unlink()
    weights, rng = copy / "checkpoints/last/model.safetensors", np.random.default_rng(0)
    state = load_file(weights)
    large = {n: rng.normal(0, 1e30, v.shape).astype(v.dtype) for n, v in state.items() if v.ndim}
    save_file(state | large, weights)


def embedded(folder):
    """The data of each app's preset `debug`, so that no command has to make it."""
    from apps.crossview import presets as view
    from apps.crossview.data.source import PairData
    from apps.pointcloud import presets as cloud
    from apps.pointcloud.data.source import CloudData
    from apps.pose import presets as pose
    from apps.pose.data.sets import PoseSets
    from apps.style import presets as style
    from apps.style.data.source import StyleData
    from core.training.session import Session

    before, session = os.getcwd(), Session()
    os.chdir(folder)
    try:
        with patch("os.cpu_count", return_value=1):  # in this process: starting others takes long
            PairData(view.debug(), session).val()
            CloudData(cloud.debug(), session).val()
            PoseSets(pose.debug(), session)
            StyleData(style.debug(), session).open("val")
    finally:
        os.chdir(before)


def write(path, content):
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def files(folder):
    """Single files: pictures, clouds, jsons, weights."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8))
    picture.save(folder / "good.png")
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(folder / "grey.png")
    damaged = {
        "empty.png": b"",
        "text.png": "no picture",
        "cut.png": (folder / "good.png").read_bytes()[:200],
        "script.png": "%!PS\n(x) show\n",
        "text.heic": "x",
        "huge.png": huge("PNG"),
        "huge.jpg": huge("JPEG"),
        "page.html": "<html>",
        "empty.ply": b"",
        "text.ply": "hello",
        "cut.ply": "ply\nformat ascii 1.0\nelement vertex 9\nproperty float x\nproperty float y\n"
        "property float z\nend_header\n0 0 0\n",
        "huge.ply": "ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n",
        "list.ply": b"ply\nformat binary_little_endian 1.0\nelement face 1\n"
        b"property list uint int vertex_indices\nend_header\n\xff\xff\xff\x7f\0\0\0\0",
        "nan.xyz": "nan nan nan\n" * 30,
        "one.xyz": "1 2 3\n",
        "same.xyz": "1 2 3\n" * 30,
        "words.xyz": "a b c\n",
        "two.csv": "x,y\n1,2\n",
        "empty.xyz": b"",
        "bad.off": "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n",
        "bad.obj": "v 0 0\nf 1 2 3\n",
        "bad.pcd": "VERSION .7\nFIELDS x y z\nSIZE 4 4\n",
        "bad.npz": b"PK\x03\x04no archive",
        "bad.npy": b"\x93NUMPY\x01\x00\xff\xff",
        "bad.bin": b"123",
        "bad.las": b"LASF" + bytes(100),
        "bad.stl": "solid x\n",
        "cloud.zzz": "1 2 3\n",
        "list.json": "[1, 2]",
        "cut.json": '{"images": [',
        "deep.json": "[" * 100_000,
        "null.json": "null",
        "binary.json": b"\xff\x00\x01",
        "boxes_empty.json": "[]",
        "boxes_nan.json": '[{"image_id": 1, "file_name": "good.png", "bbox": [NaN, 0, 1, 1]}]',
        "boxes_negative.json": '[{"file_name": "good.png", "bbox": [0, 0, -5, 5], "score": 1}]',
        "boxes_three.json": '[{"file_name": "good.png", "bbox": [0, 0, 5], "score": 1}]',
        "boxes_words.json": '[{"file_name": "good.png", "bbox": ["a", 0, 5, 5], "score": 1}]',
        "boxes_other.json": '[{"file_name": "other.png", "bbox": [0, 0, 5, 5], "score": 1}]',
        "boxes_low.json": '[{"file_name": "good.png", "bbox": [0, 0, 5, 5], "score": 0.01}]',
        "boxes_nothing.json": '[{"bbox": [0, 0, 5, 5], "score": 1}]',
        "bad.onnx": b"no onnx",
        "bad.pth": b"no torch",
        "bad.safetensors": b"\x08\0\0\0\0\0\0\0{}",
        "bad.yaml": "a: [",
        "bad.mp4": b"no video",
        "empty.mp4": b"",
    }
    for name, content in damaged.items():
        write(folder / name, content)
    np.savez(folder / "objects.npz", a=np.array([{}], object))
    np.savez(folder / "strange.npz", a=np.zeros(3))
    np.savetxt(folder / "good.xyz", rng.normal(size=(200, 3)))
    (folder / "nothing").mkdir()
    (folder / "a_file").write_text("x")


def data_sets(folder):
    """One of each kind with one fault each."""
    _coco(folder)
    _styles(folder)
    _pairs(folder)
    (folder / "clouds").mkdir()
    np.savetxt(folder / "clouds/a.xyz", np.zeros((3, 3)))
    (folder / "shards").mkdir()
    (folder / "shards/train-000.tar").write_bytes(b"no tar")
    (folder / "shards/val-000.tar").write_bytes(b"no tar")


def person(**changes):
    points = [10, 10, 2, 12, 10, 2, 14, 10, 2]
    base = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400}
    base |= {"iscrowd": 0, "num_keypoints": 3, "keypoints": points}
    base |= changes
    return {name: value for name, value in base.items() if value != "absent"}


IMAGE = {"id": 1, "file_name": "a.png", "width": 60, "height": 40}
COCO_FAULTS = {
    "good": {},
    "no_category": {"categories": []},
    "no_images": {"images": []},
    "no_people": {"annotations": []},
    "no_list": {"annotations": "none"},
    "person_text": {"annotations": ["x"]},
    "unknown_image": {"annotations": [person(image_id=7)]},
    "string_image": {"annotations": [person(image_id="1x")]},
    "unknown_category": {"annotations": [person(category_id=9)]},
    "short": {"annotations": [person(keypoints=[1, 2, 2])]},
    "nested": {"annotations": [person(keypoints=[[1, [2], 2]])]},
    "text_points": {"annotations": [person(keypoints=["a"] * 9)]},
    "null_points": {"annotations": [person(keypoints=[None] * 9)]},
    "nan_points": {"annotations": [person(keypoints=[float("nan")] * 9)]},
    "huge_points": {"annotations": [person(keypoints=[1e308] * 9)]},
    "outside": {"annotations": [person(keypoints=[900, 10, 2, 12, 10, 2, 14, 10, 2])]},
    "visible_7": {"annotations": [person(keypoints=[10, 10, 7, 12, 10, 2, 14, 10, 2])]},
    "negative_box": {"annotations": [person(bbox=[5, 5, -20, 20])]},
    "nan_box": {"annotations": [person(bbox=[5, 5, float("nan"), 20])]},
    "text_box": {"annotations": [person(bbox="5 5 20 20")]},
    "three_box": {"annotations": [person(bbox=[5, 5, 20])]},
    "same_ids": {"annotations": [person(), person()]},
    "size_text": {"images": [{**IMAGE, "width": "wide"}]},
    "size_null": {"images": [{**IMAGE, "width": None, "height": None}]},
    "size_zero": {"images": [{**IMAGE, "width": 0, "height": 0}]},
    "no_name": {"images": [{"id": 1, "width": 60, "height": 40}]},
    "number_name": {"images": [{**IMAGE, "file_name": 3}]},
    "missing_file": {"images": [{**IMAGE, "file_name": "gone.png"}]},
    "twice": {"images": [IMAGE, {**IMAGE, "id": 2}]},
    "same_names": {"categories": [{"id": 1, "name": "p", "keypoints": ["a", "a", "b"]}]},
    "names_text": {"categories": [{"id": 1, "name": "p", "keypoints": "a b c"}]},
    "names_numbers": {"categories": [{"id": 1, "name": "p", "keypoints": [1, 2, 3]}]},
    "bones_text": {
        "categories": [{"id": 1, "name": "p", "keypoints": ["a", "b", "c"], "skeleton": "ab"}]
    },
    "bones_9": {
        "categories": [{"id": 1, "name": "p", "keypoints": ["a", "b", "c"], "skeleton": [[1, 9]]}]
    },
}


def _coco(folder):
    root = folder / "coco"
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(root / "images/a.png")
    base = {
        "images": [IMAGE],
        "categories": [{"id": 1, "name": "person", **SKELETON}],
        "annotations": [person()],
    }
    for name, changes in COCO_FAULTS.items():
        (root / f"{name}.json").write_text(json.dumps({**base, **changes}))
    yamls = {
        "list": "[1]",
        "names": "names: 3",
        "few": "names: [a, b]\nsigmas: [0.1]",
        "sigma": "names: [nose, left_eye, right_eye]\nsigmas: [-1, 0, x]",
        "pair": "names: [nose, left_eye, right_eye]\nflip_pairs: [[nose, tail]]",
        "field": "namess: [a]",
        "bone": "names: [nose, left_eye, right_eye]\nskeleton: [[nose]]",
    }
    for name, text in yamls.items():
        (root / f"{name}.yaml").write_text(text)


def _styles(folder):
    root = folder / "paintings"
    for name in ("Baroque", "Cubism"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (20, 20), (40 * number, 9, 9)).save(root / name / f"{number}.png")
    rows = {
        "missing": [("path", "class"), ("Baroque/gone.png", "Baroque"), ("Cubism/0.png", "Cubism")],
        "one_class": [("path", "class"), ("Baroque/0.png", "Baroque")],
        "header": [("file", "what"), ("Baroque/0.png", "Baroque")],
        "split": [("path", "class", "split"), ("Baroque/0.png", "Baroque", "holdout")],
        "ragged": [("path", "class"), ("Baroque/0.png",), ("Cubism/0.png", "Cubism")],
        "nameless": [("path", "class"), ("Baroque/0.png", ""), ("Cubism/0.png", "Cubism")],
        "headless": [("path", "class")],
    }
    for name, lines in rows.items():
        with open(root / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(lines)
    (root / "binary.csv").write_bytes(b"\xff\x00\x81")
    (root / "empty.csv").write_bytes(b"")
    (root / "long.csv").write_text("path,class\n" + "a" * 200_000 + ",b\n")
    one = folder / "one_class/Baroque"
    one.mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(one / "0.png")


def _pairs(folder):
    panels = folder / "panels"
    for side in ("train", "test"):
        (panels / side).mkdir(parents=True)
        Image.new("RGB", (4 * 16, 16)).save(panels / side / "a.png")
    Image.new("RGB", (70, 16)).save(panels / "train/odd.png")
    (panels / "palette.yaml").write_text("classes: 3")
    for name, text in {
        "list": "[1]",
        "colour": "sky: [300, 0, 0]\nroad: [0, 0, 0]",
        "one": "sky: [1, 2, 3]",
        "same": "sky: [1, 2, 3]\nroad: [1, 2, 3]",
        "word": "sky: blue\nroad: black",
    }.items():
        (panels / f"{name}.yaml").write_text(text)
