"""The data set on disk: COCO keypoint json and JPEG images, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import Progress

from apps.pose.people.scene import draw_scene
from apps.pose.people.skeleton import BONES, KEYPOINTS
from core.data.embedded import end_with_parent, write_whole
from core.errors import InputError

VERSION = 1  # of the pictures: raise it when a change makes other images or labels
MANIFEST = "people.json"  # written last: a folder with it is complete
JPEG_QUALITY = 92
CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(KEYPOINTS),
    "skeleton": [list(bone) for bone in BONES],
}


def make_people(
    root: str | os.PathLike, train: int, val: int, seed: int = 0, workers: int | None = None
) -> Path:
    """Write the data set to root unless it is there already; returns root.

    Layout: annotations/{train,val}.json, images/{train,val}/*.jpg. Raises InputError where root
    holds something else, people of another seed, count or version, or not all of their files.
    """
    counts = {"train": train, "val": val}
    if seed < 0 or train < 1 or val < 1:
        given = f"seed {seed}, train {train}, val {val}"
        raise InputError(f"people: {given}: at least 0, 1 and 1 are needed")
    manifest = {"people": VERSION, "seed": seed, **counts}
    write = partial(_write, counts=counts, seed=seed, workers=workers)
    root = write_whole(root, MANIFEST, manifest, "embedded people", write)
    _check_files(root, counts)
    return root


def _check_files(root: Path, counts: dict[str, int]) -> None:
    """Raise InputError where somebody has deleted some since."""
    for split, count in counts.items():
        images = len(list((root / "images" / split).glob("*.jpg")))
        if images != count or not _json_path(root, split).is_file():
            raise InputError(
                f"{root}: {split} files are missing ({images} of {count} images are there); "
                f"delete {root} to make them again"
            )


def _json_path(root: Path, split: str) -> Path:
    return root / "annotations" / f"{split}.json"


def _write(root: Path, counts: dict[str, int], seed: int, workers: int | None) -> None:
    (root / "annotations").mkdir(parents=True)
    workers = workers or min(os.cpu_count() or 1, 16)
    with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        for split, count in counts.items():
            (root / "images" / split).mkdir(parents=True)
            draw = partial(_write_image, root / "images" / split, seed, split)
            scenes = pool.map(draw, range(count), chunksize=16)
            _json_path(root, split).write_text(json.dumps(_coco(split, count, seed, scenes)))


def _start_worker() -> None:
    cv2.setNumThreads(0)  # the processes fill the cores
    end_with_parent()


def _write_image(folder: Path, seed: int, split: str, index: int) -> tuple[dict, list[dict]]:
    """Draw one scene; returns its COCO image entry and annotations, still without their ids."""
    image, annotations = draw_scene(seed, split, index)
    path = folder / f"{index:06d}.jpg"
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f"{path}: could not be written; is the disk full?")
    height, width = image.shape[:2]
    return {"id": index + 1, "file_name": path.name, "width": width, "height": height}, annotations


def _coco(split: str, count: int, seed: int, scenes: Iterator[tuple[dict, list[dict]]]) -> dict:
    """The COCO document of a split, images in order; `scenes` gives them as they are drawn."""
    images, annotations = [], []
    with Progress(transient=True) as progress:
        for entry, labels in progress.track(scenes, count, description=f"people: {split} images"):
            images.append(entry)
            for label in labels:
                ids = {"id": len(annotations) + 1, "image_id": entry["id"]}
                annotations.append(ids | label)
    info = {"description": f"embedded people, {split}", "version": str(VERSION), "seed": seed}
    return {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [CATEGORY],
    }
