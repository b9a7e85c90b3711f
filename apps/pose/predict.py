"""Draw people's keypoints: python apps/pose/predict.py RUN [IMAGE or FOLDER ...] [--boxes FILE].

Without a box file a whole image is taken for one person. Without images, some people of the run's
validation data are predicted from their annotated boxes and drawn.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track
from torch.utils.data import default_collate

from apps.pose.config import PoseConfig
from apps.pose.data import crop_box, read_image
from apps.pose.drawing import draw_people, sheet
from apps.pose.eval import open_run
from apps.pose.inference import predictor
from apps.pose.keypoints import read_json
from apps.pose.metrics import coco_results
from apps.pose.source import PoseData
from core.config import entry_point
from core.data.images import find_images
from core.data.loading import BadSample
from core.errors import InputError
from core.training.session import Session, build_accelerator

Boxes = list[tuple[list[float], float]]  # (x, y, width, height) in pixels, score


def read_boxes(path: str, images: list[Path], minimum: float) -> dict[Path, Boxes]:
    """Boxes of each image from a json list of {image_id or file_name, bbox, score}.

    A COCO image id is looked for as the number in the file's name. Boxes below ``minimum`` score
    are left out.
    """
    records = read_json(path)
    if not isinstance(records, list) or not all(
        isinstance(r, dict) and len(r.get("bbox", ())) == 4 for r in records
    ):
        raise InputError(f"{path}: expected a list of records with image_id or file_name, bbox")
    by_key = defaultdict(list)
    for record in records:
        key = record.get("file_name", record.get("image_id"))
        if record.get("score", 1.0) >= minimum:
            by_key[str(key)].append((record["bbox"], record.get("score", 1.0)))
    boxes = {image: by_key.get(image.name) or by_key.get(_image_id(image), []) for image in images}
    if not any(boxes.values()):
        raise InputError(f"{path} has no box for any of the images (the first is {images[0]})")
    return boxes


def _image_id(image: Path) -> str:
    """The COCO id in a file name such as 000000000785.jpg; the name itself if it has none."""
    digits = image.stem.rsplit("_", 1)[-1]
    return str(int(digits)) if digits.isdigit() else image.name


def annotated_people(config: PoseConfig, session: Session, count: int) -> dict[Path, Boxes]:
    """The first images of the run's validation data, with their annotated boxes."""
    data = PoseData(config, session)
    content, boxes = read_json(data.val_json), defaultdict(list)
    for annotation in content["annotations"]:
        if any(annotation.get("keypoints", ())[2::3]) and not annotation.get("iscrowd"):
            boxes[annotation["image_id"]].append((annotation["bbox"], 1.0))
    images = [image for image in content["images"] if boxes[image["id"]]][:count]
    folder = data.root / data.files.val_images
    return {folder / image["file_name"]: boxes[image["id"]] for image in images}


class Predictor:
    """Keypoints of the people in one picture."""

    def __init__(self, path: str, session: Session, flip_test: bool):
        self.config, self.network, self.checkpoint = open_run(path, session)
        self.session, self.keypoints = session, self.network.keypoints
        self.predict = predictor(self.network, self.config.model, self.keypoints, flip_test)

    def __call__(self, image: np.ndarray, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
        """image (h, w, 3) uint8 RGB, N boxes -> keypoints (N, K, 2) in pixels, scores (N, K)."""
        crops = [crop_box(image, box, self.config.model) for box, _ in boxes]
        with self.session.accelerator.autocast():
            return self.predict(self.session.to_device(default_collate(crops)))


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("images", nargs="*", help="images or folders")
    parser.add_argument("--boxes", help="json: a list of {image_id or file_name, bbox, score}")
    parser.add_argument("--min-box-score", type=float, default=0.3, help="of --boxes")
    parser.add_argument("--min-score", type=float, default=0.3, help="of a keypoint to draw")
    parser.add_argument("--flip-test", action="store_true", help="average with mirrored images")
    parser.add_argument("--output", type=Path, help="folder for pictures (RUN/pictures)")
    parser.add_argument("--count", type=int, default=12, help="pictures, where no image is given")
    _predict(parser.parse_args())


def _predict(options: argparse.Namespace) -> None:
    session = Session(build_accelerator())
    predict = Predictor(options.run, session, options.flip_test)
    if options.images:
        images = find_images(options.images)
        boxes, kind = {image: [] for image in images}, "the whole image as the box"
        if options.boxes:
            boxes = read_boxes(options.boxes, images, options.min_box_score)
            kind = f"boxes of {options.boxes}"
    else:
        boxes, kind = annotated_people(predict.config, session, options.count), "annotated boxes"
    if not session.is_main:
        return
    output = options.output or predict.checkpoint.parents[1] / "pictures"
    output.mkdir(parents=True, exist_ok=True)
    pictures, results = _draw_all(predict, boxes, options, output)
    if not pictures:
        raise InputError("none of the images could be read")
    (output / "predictions.json").write_text(json.dumps(results))
    Image.fromarray(sheet(pictures[:12], columns=4)).save(output / "sheet.png")
    print(f"{len(pictures)} pictures ({kind}): {output}, an overview: {output / 'sheet.png'}")
    print(f"keypoints in COCO's results format: {output / 'predictions.json'}")


def _draw_all(predict: Predictor, boxes: dict[Path, Boxes], options, output: Path):
    """Write a picture for each image; returns the pictures and the COCO results."""
    pictures, results = [], []
    for number, (path, people) in enumerate(track(boxes.items(), "drawing", len(boxes))):
        try:
            image = read_image(path)
        except BadSample as bad:
            print(f"left out: {bad}")
            continue
        whole = options.images and not options.boxes
        people = [([0, 0, *image.shape[1::-1]], 1.0)] if whole else people
        picture = image
        if people:
            points, scores = predict(image, people)
            picture = draw_people(
                image, points, scores, predict.keypoints, threshold=options.min_score
            )
            results += _records(path, number, points, scores, people)
        Image.fromarray(picture).save(output / f"{path.stem}.png")
        pictures.append(picture)
    return pictures, results


def _records(path: Path, number: int, points, scores, people: Boxes) -> list[dict]:
    """COCO results with the file's name beside the id, which is a count where the name has none."""
    name = _image_id(path)
    ids = np.full(len(people), int(name) if name.isdigit() else number)
    box_scores = np.array([score for _, score in people])
    return [
        {**record, "file_name": path.name}
        for record in coco_results(points, scores, ids, box_scores)
    ]


if __name__ == "__main__":
    main()
