"""The data set on disk: COCO keypoint json and JPEG images, written whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
import uuid
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import Progress

from apps.pose.people.scene import SPLITS, draw_scene
from apps.pose.people.skeleton import BONES, KEYPOINTS
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


def make_people(root, train: int, val: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write the data set to root unless it is there already; returns root.

    Layout: annotations/{train,val}.json, images/{train,val}/*.jpg. It is built in a folder beside
    root and renamed, so that root never holds a part of it, and of two processes that start at
    once the second to finish takes what the first has made.

    Raises:
        InputError: root holds something else, or people of another seed, count or version.
    """
    root, counts = Path(root), {"train": train, "val": val}
    if seed < 0 or train < 1 or val < 1:
        given = f"seed {seed}, train {train}, val {val}"
        raise InputError(f"people: {given}: at least 0, 1 and 1 are needed")
    manifest = {"people": VERSION, "seed": seed, **counts}
    if is_there(root, manifest):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial_root = root.parent / f".{root.name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        _write(partial_root, counts, seed, workers)
        (partial_root / MANIFEST).write_text(json.dumps(manifest) + "\n")
        _move(partial_root, root, manifest)
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)
    return root


def is_there(root: Path, manifest: dict) -> bool:
    """Whether root is the data set of this manifest; False where there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    way_out = f"choose another folder than {root}, or delete it"
    if not (root / MANIFEST).is_file():
        raise InputError(f"{root}: holds something else than embedded people; {way_out}")
    found = _read_manifest(root / MANIFEST, way_out)
    if found != manifest:
        raise InputError(f"{root}: holds the embedded people {found}, wanted {manifest}; {way_out}")
    for split in SPLITS:
        images = len(list((root / "images" / split).glob("*.jpg")))
        if images != manifest[split] or not _json_path(root, split).is_file():
            raise InputError(f"{root}: {split} files are missing ({images} of {manifest[split]} "
                             f"images are there); delete {root} to make them again")  # fmt: skip
    return True


def _read_manifest(path: Path, way_out: str) -> dict:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not a manifest of embedded people; {way_out}") from error


def _json_path(root: Path, split: str) -> Path:
    return root / "annotations" / f"{split}.json"


def _move(source: Path, root: Path, manifest: dict) -> None:
    """Rename; where another process was first, its data set is the same one."""
    try:
        source.rename(root)  # replaces an empty folder, never one that holds something
    except OSError:
        if not is_there(root, manifest):
            raise


def _write(root: Path, counts: dict[str, int], seed: int, workers: int | None) -> None:
    (root / "annotations").mkdir(parents=True)
    workers = workers or min(os.cpu_count() or 1, 16)
    with ProcessPoolExecutor(workers, initializer=_start_worker) as pool:
        for split, count in counts.items():
            (root / "images" / split).mkdir(parents=True)
            draw = partial(_write_image, root / "images" / split, seed, split)
            found = pool.map(draw, range(count), chunksize=16)
            _json_path(root, split).write_text(json.dumps(_coco(split, count, seed, found)))


def _start_worker() -> None:
    cv2.setNumThreads(0)  # the processes fill the cores
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _write_image(folder: Path, seed: int, split: str, index: int) -> tuple[dict, list[dict]]:
    """Draw one scene; returns its COCO image entry and annotations, still without their ids."""
    image, annotations = draw_scene(seed, split, index)
    path = folder / f"{index:06d}.jpg"
    if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f"{path}: could not be written; is the disk full?")
    height, width = image.shape[:2]
    return {"id": index + 1, "file_name": path.name, "width": width, "height": height}, annotations


def _coco(split: str, count: int, seed: int, found) -> dict:
    """The COCO document of a split, images in order; `found` yields them as they are drawn."""
    images, annotations = [], []
    with Progress(transient=True) as progress:
        for entry, labels in progress.track(found, count, description=f"people: {split} images"):
            images.append(entry)
            for label in labels:
                ids = {"id": len(annotations) + 1, "image_id": entry["id"]}
                annotations.append(ids | label)
    info = {"description": f"embedded people, {split}", "version": str(VERSION), "seed": seed}
    return {"info": info, "licenses": [], "images": images, "annotations": annotations,
            "categories": [CATEGORY]}  # fmt: skip
