"""A detector's boxes of a data set, and how good they are.

python -m apps.pose.evaluation.boxes DETECTOR.onnx --json ANNOTATIONS.json --images FOLDER

prints COCO's box AP of people, by hotcoco; --output boxes.json writes COCO's detections, which
eval.py and predict.py take as --boxes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.progress import track

from apps.pose.data.dataset import read_image
from apps.pose.data.records.annotations import read_images
from apps.pose.evaluation.metrics import quietly
from apps.pose.prediction.boxes import usable
from apps.pose.prediction.onnx_detector import OnnxDetector
from apps.pose.prediction.pipeline import Frame
from core.app.predicting import add_max_pixels, pixel_limit
from core.config import entry_point
from core.data.images.files import MOST_PIXELS, PILLOWS, PixelLimit
from core.errors import InputError
from core.files import write_json
from core.ranges import Share, argument

PERSON = 1  # COCO's category
NAMES = ("AP", "AP50", "AP75", "APS", "APM", "APL")


def detect(
    detector: OnnxDetector, content: dict, folder: Path, limit: PixelLimit = PILLOWS
) -> list[dict]:
    """COCO's detections {image_id, category_id, bbox, score} of the json's images."""
    detections = []
    for image in track(content["images"], "detecting"):
        path = folder / image["file_name"]
        frame = Frame(path, image["id"], read_image(path, limit))
        (boxes,) = detector([frame])
        for box, score in usable(boxes, frame.image)[0]:
            record = {"image_id": image["id"], "category_id": PERSON}
            detections.append({**record, "bbox": np.round(box, 2).tolist(), "score": score})
    return detections


def box_ap(content: dict, detections: list[dict]) -> dict[str, float]:
    """COCO's AP of people's boxes, the mean over overlaps .50:.05:.95, and its parts.

    Crowds are neither right nor wrong. Raises InputError where the json has nobody.
    """
    import hotcoco

    people = [
        {"iscrowd": 0, "area": a["bbox"][2] * a["bbox"][3], **a}
        for a in content["annotations"]
        if a["category_id"] == PERSON and "bbox" in a
    ]
    if not people:
        raise InputError("the json has no box of a person, category 1: nothing to compare with")
    if not detections:
        return dict.fromkeys(NAMES, 0.0)

    def evaluate():
        truth = hotcoco.COCO({**content, "annotations": people})
        run = hotcoco.COCOeval(truth, truth.loadRes(detections), "bbox")
        run.params.cat_ids = [PERSON]
        run.run()
        return run.stats

    return dict(zip(NAMES, map(float, quietly(evaluate)), strict=False))


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("detector", help="YOLOX or RTMDet as FILE.onnx")
    parser.add_argument("--json", required=True, help="COCO annotations, or images alone")
    parser.add_argument("--images", type=Path, required=True, help="folder of its images")
    parser.add_argument("--output", type=Path, help="json of detections to write")
    parser.add_argument("--min-box-score", type=argument(Share), default=0.001)
    add_max_pixels(parser, "a larger one is refused", MOST_PIXELS)
    options = parser.parse_args()
    detector = OnnxDetector(options.detector, options.min_box_score)
    content = read_images(options.json)
    detections = detect(detector, content, options.images, pixel_limit(options))
    if options.output:
        print(f"{len(detections)} boxes: {write_json(options.output, detections, indent=None)}")
    if content["annotations"]:
        figures = box_ap(content, detections)
        print(f"people's boxes by {detector}, {len(content['images'])} images:")
        print(", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
