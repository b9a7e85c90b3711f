"""Keypoints of people by an exported network: onnxruntime and NumPy, nothing else.

    python runner.py pose.onnx photo.jpg [--box X Y WIDTH HEIGHT]... [--min-score 0.3]

prints json: for each box the keypoints with name, x, y (pixels of the image) and score. Without a
box the whole image is one person's. The image is a .npy of (h, w, 3) uint8 RGB, or, where Pillow is
installed, anything that Pillow reads. This file stands alone: copy it to where it is needed.

    people = PoseRunner("pose.onnx")
    keypoints, scores = people(image, boxes)      # (N, K, 2) pixels, (N, K)
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import onnxruntime


class PoseRunner:
    """A network that `export.py` wrote. names (K,), skeleton (pairs), sigmas: of its keypoints."""

    def __init__(self, path: str, batch_size: int = 64, providers=("CPUExecutionProvider",)):
        self.session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        about = self.session.get_modelmeta().custom_metadata_map
        if "image_size" not in about or "udp" not in about:
            raise ValueError(f"{path} has no metadata of apps/pose/export.py: export it with that")
        about = {name: json.loads(value) for name, value in about.items()}
        self.size, self.padding, self.udp = about["image_size"], about["padding"], about["udp"]
        self.names, self.skeleton, self.sigmas = about["names"], about["skeleton"], about["sigmas"]
        self.batch_size = batch_size

    def __call__(self, image: np.ndarray, boxes) -> tuple[np.ndarray, np.ndarray]:
        """image (h, w, 3) uint8 RGB, boxes (N, 4) x, y, width, height in pixels.

        Returns keypoints (N, K, 2) in pixels of the image and scores (N, K), both float32.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image is {image.dtype} {image.shape}, not uint8 (h, w, 3) RGB")
        center, scale = center_scale(np.asarray(boxes), self.size, self.padding)
        places = zip(center, scale, strict=True)
        crops = [crop(image, *place, self.size, self.udp) for place in places]
        points, scores = self._run(crops)
        height, width = self.size
        points = points / np.float32([width, height]) * scale[:, None]
        return points + center[:, None] - 0.5 * scale[:, None], scores

    def _run(self, crops: list) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (N, K, 2) in pixels of the crops, scores (N, K)."""
        points, scores = [np.empty((0, len(self.names), 2), np.float32)], []
        scores.append(points[0][..., 0])
        for start in range(0, len(crops), self.batch_size):
            batch = {"crops": np.stack(crops[start : start + self.batch_size])}
            outputs = self.session.run(["keypoints", "scores"], batch)
            points.append(outputs[0])
            scores.append(outputs[1])
        return np.concatenate(points), np.concatenate(scores)


def center_scale(boxes: np.ndarray, size, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Middle (N, 2) and size (N, 2) of what is cut out for boxes (N, 4): padded, and of the crop's
    proportions; size: its (height, width)."""
    boxes = np.reshape(boxes, (-1, 4)).astype(np.float32)
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()):
        raise ValueError("boxes must be finite x, y, width, height, with width and height above 0")
    ratio, scale = np.float32(size[1] / size[0]), boxes[:, 2:] * np.float32(padding)
    wide = scale[:, 0] > scale[:, 1] * ratio
    width = np.where(wide, scale[:, 0], scale[:, 1] * ratio)
    height = np.where(wide, scale[:, 0] / ratio, scale[:, 1])
    return boxes[:, :2] + 0.5 * boxes[:, 2:], np.stack([width, height], 1)


def crop(image: np.ndarray, center, scale, size, udp: bool) -> np.ndarray:
    """The part of the image (h, w, 3) around ``center``, resized to ``size``: (H, W, 3) uint8.

    Bilinear, 0 outside the image, as mmpose's TopdownAffine by OpenCV: the same to one grey value
    with OpenCV 5. OpenCV 4 rounds places to 1/32 of a pixel, which is up to 1/32 of the step from a
    pixel to the next.
    """
    height, width = size
    if udp:
        x = center[0] + (np.arange(width) / (width - 1) - 0.5) * scale[0]
        y = center[1] + (np.arange(height) / (height - 1) - 0.5) * scale[1]
    else:
        x = center[0] + (np.arange(width) / width - 0.5) * scale[0]
        y = center[1] + (np.arange(height) / height - 0.5) * scale[0] * (height / width)
    (left, right), columns = _between(x, image.shape[1])
    (above, below), rows = _between(y, image.shape[0])
    first, last = min(left.min(), right.min()), max(left.max(), right.max()) + 1
    part = image[:, first:last]  # of a large image, the columns that are needed
    # the two passes of a bilinear resize: down, (H, last - first, 3), then across
    lines = part[above] * rows[0][:, None, None] + part[below] * rows[1][:, None, None]
    pixels = lines[:, left - first] * columns[0][:, None]  # (H, W, 3)
    pixels += lines[:, right - first] * columns[1][:, None]
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def _between(places: np.ndarray, length: int):
    """The two pixels around each place, kept inside, and their weights: 0 for those outside."""
    low = np.floor(places).astype(int)
    share = (places - low).astype(np.float32)
    pixels = [low, low + 1]
    inside = [(p >= 0) & (p < length) for p in pixels]
    weights = [(1 - share) * inside[0], share * inside[1]]
    return [p.clip(0, length - 1) for p in pixels], weights


def read_image(path: str) -> np.ndarray:
    """(h, w, 3) uint8 RGB from a .npy, or by Pillow, upright by its EXIF tag."""
    if str(path).endswith(".npy"):
        return np.load(path)
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise SystemExit(f"{path}: without Pillow only .npy files can be read") from None
    with Image.open(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Keypoints of people by an exported network.")
    parser.add_argument("model", help="an .onnx of apps/pose/export.py")
    parser.add_argument("image", help=".npy of (h, w, 3) uint8 RGB, or an image file")
    parser.add_argument("--box", type=float, nargs=4, action="append", metavar=("X", "Y", "W", "H"))
    parser.add_argument("--min-score", type=float, default=0.0, help="of a keypoint to print")
    options = parser.parse_args()
    people, image = PoseRunner(options.model), read_image(options.image)
    points, scores = people(image, options.box or [[0, 0, image.shape[1], image.shape[0]]])
    records = [
        [
            {"name": name, "x": round(x, 2), "y": round(y, 2), "score": round(score, 4)}
            for name, (x, y), score in zip(people.names, person, person_scores, strict=True)
            if score >= options.min_score
        ]
        for person, person_scores in zip(points.tolist(), scores.tolist(), strict=True)
    ]
    print(json.dumps(records))


if __name__ == "__main__":
    main()
