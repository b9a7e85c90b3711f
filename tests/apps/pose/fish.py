"""Fish seen from above, with five keypoints, in COCO's format: a data set that is not of people."""

import json

import numpy as np
from PIL import Image, ImageDraw

NAMES = ["mouth", "left_fin", "right_fin", "tail", "middle"]
OUTLINE = {  # (along, across) in body lengths from the middle; y points down, so left is -across
    "mouth": (0.5, 0),
    "left_fin": (0.1, -0.35),
    "right_fin": (0.1, 0.35),
    "tail": (-0.5, 0),
    "middle": (0, 0),
}
COLORS = {"left_fin": (220, 60, 60), "right_fin": (60, 200, 60)}
SIGMAS = "sigmas: [0.05, 0.08, 0.08, 0.08, 0.1]\n"


def draw_fish(draw, middle, length, angle):
    """Returns (5, 2), the keypoints in pixels."""
    along = np.array([np.cos(angle), np.sin(angle)])
    frame = np.stack([along, [-along[1], along[0]]])

    def at(*places):
        return [tuple(middle + length * (np.array(p) @ frame)) for p in places]

    draw.polygon(at((0.5, 0), (0.2, -0.15), (-0.3, 0), (0.2, 0.15)), fill=(70, 110, 190))
    draw.polygon(at((-0.25, 0), (-0.5, -0.18), (-0.5, 0.18)), fill=(240, 220, 90))
    for name, color in COLORS.items():
        side = np.sign(OUTLINE[name][1])
        draw.polygon(at((0.2, 0.12 * side), OUTLINE[name], (-0.05, 0.1 * side)), fill=color)
    return np.array(at(*(OUTLINE[name] for name in NAMES)))


def make_fish(root, train=16, val=8, seed=0):
    """images/*.png, train.json and val.json below ``root``; one or two fish a picture."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        content = {"images": [], "annotations": [], "categories": [category()]}
        for i in range(count):
            name = f"{split}-{i}.png"
            content["images"].append({"id": i, "file_name": name, "width": 160, "height": 120})
            picture = Image.new("RGB", (160, 120), tuple(rng.integers(120, 200, 3).tolist()))
            for place in rng.permutation([40, 120])[: rng.integers(1, 3)]:
                points = draw_fish(
                    ImageDraw.Draw(picture),
                    np.array([place, 60]) + rng.uniform(-4, 4, 2),
                    rng.uniform(45, 65),
                    rng.uniform(-0.6, 0.6),
                )
                content["annotations"].append(annotation(len(content["annotations"]), i, points))
            picture.save(root / "images" / name)
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def category():
    return {"id": 7, "name": "fish", "keypoints": NAMES, "skeleton": [[1, 5], [5, 4]]}


def annotation(number, image, points):
    low, high = points.min(0) - 3, points.max(0) + 3
    return {
        "id": number,
        "image_id": image,
        "category_id": 7,
        "iscrowd": 0,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "keypoints": [v for x, y in points.tolist() for v in (x, y, 2)],
    }
