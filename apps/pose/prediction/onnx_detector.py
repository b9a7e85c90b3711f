"""People's boxes by a detector in an ONNX file: YOLOX or RTMDet, as rtmlib and mmdeploy have them.

Two layouts, told apart by their outputs:

    raw   (1, N, 5 + C)                 YOLOX's own export: of N places of three grids the offsets,
                                        the sizes' logarithms, objectness and C classes
    NMS   dets (1, N, 5), labels (1, N) mmdeploy's end2end.onnx: x1, y1, x2, y2, score

Class 0 is the person, as in COCO's list of 80. Both take images letterboxed with grey 114, BGR.
YOLOX takes 0 to 255 (github.com/Megvii-BaseDetection/YOLOX, data_augment.py `preproc`), RTMDet
mmdet's mean and deviation (rtmdet_l_8xb32-300e_coco.py, `data_preprocessor`). Nothing in the
outputs says which it is, but YOLOX's first layer, the Focus, is a slicing and RTMDet's is not.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from apps.pose.prediction.pipeline import Boxes, Frame
from core.errors import InputError
from core.evaluation.exporting.exporters import import_onnx, open_onnx

SUFFIX = ".onnx"
STRIDES = (8, 16, 32)
GREY = 114
PERSON = 0
USUAL_SIZE = (640, 640)  # of a file that takes any size: that of YOLOX and RTMDet in training
OVERLAP = 0.65  # intersection over union of two boxes of one person (YOLOX's test configuration)
RTMDET_MEAN, RTMDET_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # BGR
LARGEST_LOG = 20  # exp(20) is no box's size: above it, sizes are pixels


class OnnxDetector:
    """A source of boxes: every person that the file's network finds with ``minimum`` score.

    size: (H, W) of its input; raw: which of the two layouts; normalised: whether it wants RTMDet's
    mean and deviation. Raises InputError for what is no ONNX file, and for one that is no detector.
    """

    def __init__(self, path: str | Path, minimum: float):
        self.path, self.minimum = path, minimum
        self.session = open_onnx(path, cuda=True)
        self.input, self.outputs = _signature(self.session, path)
        self.size = _size(self.input.shape)
        self.raw = len(self.outputs) == 1
        self.normalised = not self.raw and not _starts_with_focus(path)

    def __str__(self) -> str:
        kind = "RTMDet" if self.normalised else "YOLOX"
        return f"{self.path}, read as {kind} at {self.size[1]} x {self.size[0]}"

    def __call__(self, frames: list[Frame]) -> list[Boxes]:
        return [self._of(frame.image) for frame in frames]

    def _of(self, image: np.ndarray) -> Boxes:
        letter, ratio = letterbox(image, self.size)
        if self.normalised:
            letter = (letter - np.float32(RTMDET_MEAN)) / np.float32(RTMDET_STD)
        kind = np.float16 if self.input.type == "tensor(float16)" else np.float32
        batch = np.ascontiguousarray(letter.transpose(2, 0, 1)[None], kind)  # (1, 3, H, W)
        outputs = self.session.run(self.outputs, {self.input.name: batch})
        corners, scores = self._people([np.asarray(output[0]) for output in outputs])
        corners = corners / ratio
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        return list(zip(boxes.tolist(), scores.tolist(), strict=True))

    def _people(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Corners (N, 4) x1, y1, x2, y2 in pixels of the letterbox, and scores (N,)."""
        if not self.raw:
            dets, labels = outputs
            people = (labels == PERSON) & (dets[:, 4] >= self.minimum)
            return dets[people, :4].astype(np.float32), dets[people, 4].astype(np.float32)
        corners, scores = decode_yolox(outputs[0].astype(np.float32), self.size)
        likely = scores >= self.minimum
        corners, scores = corners[likely], scores[likely]
        from torchvision.ops import nms  # slow to import

        kept = nms(torch.from_numpy(corners), torch.from_numpy(scores), OVERLAP).numpy()
        return corners[kept], scores[kept]


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """The image (h, w, 3) RGB in the upper left of a grey BGR one of ``size`` (H, W), and by how
    much it was scaled: a place there, divided by this, is the place in the image."""
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    inner = (max(1, int(width * ratio)), max(1, int(height * ratio)))
    letter = np.full((*size, 3), GREY, np.uint8)
    letter[: inner[1], : inner[0]] = cv2.resize(image, inner)[..., ::-1]
    return letter, ratio


def decode_yolox(output: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (N, 4) in pixels of the (H, W) input and scores (N,) as a person of (N, 5 + C).

    Of place (column, row) of the grid of stride s: the centre is (offset + place) s, the size
    exp(output) s, the score objectness x class (arXiv 2107.08430; yolo_head.py `decode_outputs`).
    A file exported with `--decode_in_inference` has done that already.
    """
    centres, sizes = output[:, :2], output[:, 2:4]
    if sizes.max(initial=0) <= LARGEST_LOG:
        places, strides = _grid(size)
        centres, sizes = (centres + places) * strides, np.exp(sizes) * strides
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
    return corners, output[:, 4] * output[:, 5 + PERSON]


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) as column, row and the strides (N, 1) of all of them, fine to coarse."""
    places, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        places.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _signature(session, path: str | Path) -> tuple:
    """The input, and the names of the outputs to ask for: the raw one, or dets and labels."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    image = inputs[0]
    takes_images = len(inputs) == 1 and len(image.shape) == 4 and image.shape[1] == 3
    if takes_images and image.type in ("tensor(float)", "tensor(float16)"):
        names = {output.name for output in outputs}
        if {"dets", "labels"} <= names:
            return image, ["dets", "labels"]
        if len(outputs) == 1 and _is_raw(outputs[0].shape, _size(image.shape)):
            return image, [outputs[0].name]
    gives = ", ".join(f"{output.name} {_written(output.shape)}" for output in outputs)
    raise InputError(
        f"{path} is no YOLOX or RTMDet detector: it takes {image.name} {_written(image.shape)} and "
        f"gives {gives}; wanted are (1, 3, H, W) and YOLOX's (1, N, 85), or mmdeploy's dets, labels"
    )


def _is_raw(shape: list, size: tuple[int, int]) -> bool:
    """Whether an output of this shape has a row for each place of the three grids."""
    if len(shape) != 3 or not isinstance(shape[2], int) or shape[2] < 6:
        return False
    return not isinstance(shape[1], int) or shape[1] == len(_grid(size)[0])


def _size(shape: list) -> tuple[int, int]:
    """(H, W) of an input (1, 3, H, W), any of which may be free."""
    height, width = shape[2:]
    both = isinstance(height, int) and isinstance(width, int)
    return (height, width) if both else USUAL_SIZE


def _written(shape: list) -> str:
    return f"({', '.join(map(str, shape))})"


def _starts_with_focus(path: str | Path) -> bool:
    """Whether what takes the input first is a slicing, as YOLOX's Focus layer is."""
    graph = import_onnx("onnx").load(str(path), load_external_data=False).graph
    (name,) = {i.name for i in graph.input} - {i.name for i in graph.initializer}
    return any(node.op_type == "Slice" for node in graph.node if name in node.input)
