"""The images of a COCO json as they lie on disk: their names, and their sizes by the EXIF tag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from core.data.images.files import FORMATS
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.files import name_on_disk

LOOKED_AT = 500  # images whose headers are read at the start; all, where one of them is turned
_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 are quarter turns
_QUARTER_TURNS = (5, 6, 7, 8)


def fit_to_files(content: dict, folder: Path, path: str | Path) -> tuple[dict, list[str]]:
    """The json's content with names and sizes as its files have them, and lines on what differed.

    Images in which nobody is labelled do not ask for another size. Single missing files are found
    when they are read; here only whether this is the right folder. Raises InputError, which names
    the json ``path``.
    """
    named = [(image, name_on_disk(folder, image["file_name"])) for image in content["images"]]
    content = {**content, "images": [{**image, "file_name": name} for image, name in named]}
    _check_folder(content["images"], folder, path)
    lines = []
    if renamed := sum(image["file_name"] != name for image, name in named):
        lines.append(f"{path}: mended: {renamed} x file_name of other accents or \\")
    turned = _turned(content["images"], folder)
    if any(a["num_keypoints"] for a in content["annotations"] if a["image_id"] in turned):
        content = {**content, "images": _upright(content, turned, path)}
        lines.append(f"{path}: mended: {len(turned)} x size of before the EXIF turn: width, height")
    return content, lines


def _check_folder(images: list[dict], folder: Path, path: str | Path) -> None:
    """InputError where it has none of the first images, or the json lists an image twice."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: check data.root and the image folder's name")
    first = images[:20]
    if not any((folder / image["file_name"]).is_file() for image in first):
        raise InputError(
            f"{folder} has none of the first {len(first)} images of {path} "
            f"({first[0]['file_name']}, ...): give the folder that the json's file names are "
            "relative to"
        )
    seen: set[str] = set()
    for image in images:
        if image["file_name"] in seen:
            raise InputError(
                f"{path}: the image {image['file_name']} is listed twice (again with the id "
                f"{image['id']}): its people would count twice, remove one of the two"
            )
        seen.add(image["file_name"])


def _turned(images: list[dict], folder: Path) -> set[int]:
    """Ids of images whose size is that of the stored pixels, of which EXIF makes a quarter turn."""
    some = [images[i] for i in evenly_spaced(len(images), LOOKED_AT)]
    if not any(_is_turned(image, folder) for image in some):
        return set()
    return {image["id"] for image in images if _is_turned(image, folder)}


def _is_turned(image: dict, folder: Path) -> bool:
    try:
        with Image.open(folder / image["file_name"], formats=FORMATS) as file:
            stored, turn = file.size, file.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged and missing files are named when they are read
        return False
    size = image["width"], image["height"]
    return turn in _QUARTER_TURNS and stored == size and size[0] != size[1]


def _upright(content: dict, turned: set[int], path: str | Path) -> list[dict]:
    """The images with the sizes that their pictures have upright.

    Raises InputError unless keypoints say that they are those of the upright pictures: some lie
    outside the stored sizes, and none outside the upright ones.
    """
    sizes = {i["id"]: np.array([i["width"], i["height"]]) for i in content["images"]}
    stored = upright = True  # whether all keypoints lie in pictures of these sizes
    for person in content["annotations"]:
        if person["image_id"] in turned and person["keypoints"]:
            points = np.reshape(np.array(person["keypoints"], float), (-1, 3))
            points = points[points[:, 2] > 0, :2]
            size = sizes[person["image_id"]]
            stored &= bool((points <= size).all())
            upright &= bool((points <= size[::-1]).all())
    if stored or not upright:
        image = next(image for image in content["images"] if image["id"] in turned)
        raise InputError(
            f"{path}: {len(turned)} images, such as {image['file_name']}, have the size "
            f"({image['width']} x {image['height']}) of before their EXIF turn, and the keypoints "
            "do not say which of the two pictures they are of: exchange width and height if it is "
            "the upright one, else take the tag out of the files"
        )
    turn = {"width": "height", "height": "width"}
    return [
        {**image, **{to: image[of] for to, of in turn.items()}} if image["id"] in turned else image
        for image in content["images"]
    ]
