"""Detectors in ONNX files: both layouts, against tensors and graphs made by hand."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from apps.pose.evaluation.boxes import box_ap
from apps.pose.prediction.onnx_detector import (
    RTMDET_MEAN,
    RTMDET_STD,
    OnnxDetector,
    decode_yolox,
    letterbox,
)
from apps.pose.prediction.pipeline import Frame
from core.errors import InputError

SIDE = 32  # of the input: 16 + 4 + 1 places
PLACES = 21


def frame(height, width):
    return Frame(Path("a.png"), 0, np.zeros((height, width, 3), np.uint8))


def write(path, outputs, shape=(1, 3, SIDE, SIDE), focus=True, nodes=(), kind=TensorProto.FLOAT):
    """A graph that slices or pools its input, for nothing, and gives these arrays."""
    whole = [(name, [0]) for name in ("start", "end")] if focus else []
    first = (
        helper.make_node("Slice", ["images", *(name for name, _ in whole)], ["unused"])
        if focus
        else helper.make_node("GlobalMaxPool", ["images"], ["unused"])
    )
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in outputs.items()
        if value is not None
    ]
    kinds = {"labels": TensorProto.INT64}
    graph = helper.make_graph(
        [first, *constants, *nodes],
        "toy",
        [helper.make_tensor_value_info("images", kind, shape)],
        [
            helper.make_tensor_value_info(
                name, kinds.get(name, kind), value.shape if value is not None else None
            )
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(np.array(value), name) for name, value in whole],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def raw(rows, classes=2):
    """A raw output of these rows {place: values}, the rest of them unlikely."""
    output = np.zeros((1, PLACES, 5 + classes), np.float32)
    for place, values in rows.items():
        output[0, place, : len(values)] = values
    return output


def test_a_raw_tensor_is_decoded_as_yolox_has_it():
    """Place 6 is row 1, column 2 of stride 8; place 18 is row 1, column 0 of stride 16."""
    rows = {6: (0.5, 0.25, np.log(2), np.log(3), 0.5, 0.8), 18: (0, 0, 0, 0, 1, 0.25)}
    corners, scores = decode_yolox(raw(rows)[0], (SIDE, SIDE))
    assert corners[6] == pytest.approx([20 - 8, 10 - 12, 20 + 8, 10 + 12], abs=1e-4)
    assert corners[18] == pytest.approx([-8, 8, 8, 24])
    assert scores[[6, 18]] == pytest.approx([0.4, 0.25])
    pixels = np.concatenate([[[20, 10, 16, 24, 0.5, 0.8, 0]], np.full((20, 7), 30)])
    assert decode_yolox(pixels, (SIDE, SIDE))[0][0] == pytest.approx([12, -2, 28, 22])


@pytest.mark.parametrize("size", [(64, 96), (30, 100), (100, 30)])
def test_a_letterbox_and_its_way_back(size):
    image = np.zeros((*size, 3), np.uint8)
    image[size[0] // 2 :, size[1] // 2 :] = (250, 0, 0)
    letter, ratio = letterbox(image, (SIDE, SIDE))
    rows, columns = np.nonzero(letter[..., 2] > 200)  # red is last: BGR
    for found, side in ((rows, size[0]), (columns, size[1])):
        assert found.min() / ratio == pytest.approx(side / 2, abs=1.1 / ratio)
        assert (found.max() + 1) / ratio == pytest.approx(side, abs=1.1 / ratio)
    beyond = letter[int(size[0] * ratio) :], letter[:, int(size[1] * ratio) :]
    assert all((part == 114).all() for part in beyond)


def test_a_yolox_file(tmp_path):
    """Two places with the same person are one box; another class and a low score are none."""
    person = (0.5, 0.25, np.log(2), np.log(2), 1, 0.9)
    rows = {
        6: person,
        5: (1.5, 0.25, np.log(2), np.log(2), 1, 0.8),  # one place to the left: the same box
        15: (0, 0, 1, 1, 1, 0, 1),
        20: (0, 0, 0, 0, 1, 0.2),
    }
    detector = OnnxDetector(write(tmp_path / "yolox.onnx", {"output": raw(rows)}), 0.3)
    assert str(detector).endswith("read as YOLOX at 32 x 32")
    ((box, score),), _ = detector([frame(64, 32), frame(32, 32)])
    assert box == pytest.approx([24, 4, 32, 32], abs=1e-4), "twice the letterbox's"
    assert score == pytest.approx(0.9)


def nms_inside(path, scale, focus):
    """dets whose last score is what a pixel of the input came to, as the network sees it."""
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["largest"], axes=[2, 3], keepdims=0),  # (1, 3)
        helper.make_node("Mul", ["largest", "scale"], ["small"]),
        helper.make_node("Unsqueeze", ["small", "axis"], ["scores"]),  # (1, 3, 1): B, G, R
        helper.make_node("Concat", ["corners", "scores"], ["dets"], axis=2),
    ]
    corners = np.tile(np.float32([4, 8, 12, 24]), (1, 3, 1))
    for name, value in {"scale": np.float32(scale), "corners": corners, "axis": [2]}.items():
        tensor = numpy_helper.from_array(np.array(value))
        nodes.insert(0, helper.make_node("Constant", [], [name], value=tensor))
    outputs = {"dets": None, "labels": np.array([[0, 0, 1]])}
    return write(path, outputs, focus=focus, nodes=nodes)


def test_files_with_nms_inside_get_what_their_networks_want(tmp_path):
    """A blue image: YOLOX sees 255 first, RTMDet 255 less its mean, by its deviation."""
    blue = Frame(Path("a.png"), 0, np.full((16, 32, 3), (0, 0, 255), np.uint8))
    rows, normal = {}, (255 - RTMDET_MEAN[0]) / RTMDET_STD[0]
    for name, scale, focus in (("YOLOX", 1 / 255, True), ("RTMDet", 1 / normal, False)):
        detector = OnnxDetector(nms_inside(tmp_path / f"{name}.onnx", scale, focus), 0.5)
        assert f"read as {name} at" in str(detector)
        (rows[name],) = detector([blue])
    assert rows["YOLOX"][0] == (pytest.approx([4, 8, 8, 16]), pytest.approx(1))
    assert rows["RTMDet"][0] == (pytest.approx([4, 8, 8, 16]), pytest.approx(1))
    # the padding of 114 is green's largest; red, the third, has another class
    assert [len(boxes) for boxes in rows.values()] == [1, 1]


@pytest.mark.parametrize(
    ("outputs", "shape"),
    [
        ({"logits": np.zeros((1, 1000), np.float32)}, (1, 3, SIDE, SIDE)),
        ({"output0": np.zeros((1, 84, PLACES), np.float32)}, (1, 3, SIDE, SIDE)),
        ({"keypoints": np.zeros((1, 17, 2), np.float32)}, (1, SIDE, SIDE, 3)),
    ],
)
def test_what_is_no_detector(tmp_path, outputs, shape):
    path = write(tmp_path / "other.onnx", outputs, shape)
    with pytest.raises(InputError, match=r"other.onnx is no YOLOX or RTMDet detector: it takes"):
        OnnxDetector(path, 0.3)


def test_what_is_no_onnx_file(tmp_path):
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(InputError, match=r"text.onnx cannot be opened by onnxruntime"):
        OnnxDetector(tmp_path / "text.onnx", 0.3)
    with pytest.raises(InputError, match="does not exist: give an ONNX file"):
        OnnxDetector(tmp_path / "none.onnx", 0.3)


def test_box_ap_by_hand():
    """Of three people two are found, the better one exactly, the other at an overlap of 0.6."""
    boxes = [[0, 0, 10, 100], [50, 0, 10, 100], [100, 0, 10, 100]]
    people = [
        {"id": n + 1, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate(boxes)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }
    near = [50, 0, 10, 60]
    found = [
        {"image_id": 1, "category_id": 1, "bbox": box, "score": score}
        for box, score in ((boxes[0], 0.9), (near, 0.8))
    ]
    figures = box_ap(content, found)
    # 101 recalls; up to 2/3 (67 of them) at overlaps .50 to .60, up to 1/3 (34) at the other seven
    assert figures["AP50"] == pytest.approx(67 / 101)
    assert figures["AP75"] == pytest.approx(34 / 101)
    assert figures["AP"] == pytest.approx((3 * 67 + 7 * 34) / 10 / 101)
    assert box_ap(content, [])["AP"] == 0
    with pytest.raises(InputError, match="no box of a person"):
        box_ap({**content, "annotations": []}, found)
