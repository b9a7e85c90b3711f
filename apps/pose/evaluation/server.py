"""The files that COCO's evaluation server takes: results for images nobody else can score."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from core.files import whole_file, write_json


def write_server_files(
    results: list[dict], images_json: Path, folder: Path, name: str
) -> list[Path]:
    """Write a json whose name says what it is, and the same zipped; returns both paths.

    The name is person_keypoints_[subset]_[name]_results (cocodataset.org/#upload); the subset is
    test-dev2017 where ``images_json`` is image_info_test-dev2017.json. Coordinates are rounded to a
    tenth of a pixel, as the format's description recommends.
    """
    subset = images_json.stem.removeprefix("image_info_")
    stem = f"person_keypoints_{subset}_{re.sub('[^A-Za-z0-9-]+', '-', name)}_results"
    rounded = [{**r, "keypoints": [round(v, 1) for v in r["keypoints"]]} for r in results]
    path = write_json(folder / f"{stem}.json", rounded, indent=None)
    zipped = folder / f"{stem}.zip"
    with whole_file(zipped) as partial, ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return [path, zipped]
