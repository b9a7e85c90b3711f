"""The official Mixer weights by name, fetched once into a cache on this machine.

    imagenet1k    mixer_b16 mixer_l16                  from scratch, a head of 1,000 classes
    imagenet21k   mixer_b16 mixer_l16                  a head of 21,843 classes
    sam           mixer_b16 mixer_b32                  with SAM, 1,000 classes
    gsam          mixer_b16 mixer_b32 mixer_s16        with GSAM, 1,000 classes
                  mixer_s32 mixer_c512_l8_p8 (S/8)

Which files exist, and their sizes, are those that google-research/vision_transformer lists. The
address and the layout inside the real files could not be checked where this was written: the
layouts that `formats.py` reads are those that public loaders of these files expect.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from core.cache import cache_folder
from core.errors import InputError, first_line

ROOT = "https://storage.googleapis.com/mixer_models"
OFFICIAL = {  # MiB of Mixer-<key>.npz, rounded to 0.01
    "imagenet1k": {"B_16": 228.47, "L_16": 794.29},
    "imagenet21k": {"B_16": 289.61, "L_16": 875.78},
    "sam": {"B_16": 228.47, "B_32": 230.04},
    "gsam": {"B_16": 228.47, "B_32": 230.04, "S_16": 70.71, "S_32": 72.91, "S_8": 78.79},
}
NAMES = {
    "mixer_b16": "B_16",
    "mixer_b32": "B_32",
    "mixer_l16": "L_16",
    "mixer_s16": "S_16",
    "mixer_s32": "S_32",
    "mixer_c512_l8_p8": "S_8",  # no column of the paper's Table 1
}
MIB = 2**20
TIMEOUT = 60  # seconds without a byte
ATTEMPTS = 5  # connections, each going on where the last one broke off


def official_weights(name: str, which: str) -> Path:
    """The .npz of backbone `name` in the set `which`, e.g. ("mixer_b16", "imagenet1k").

    It is fetched on the first request into `cache_folder()`/`which`/; one that lies there already,
    put by hand too, is used as it is. A download that breaks off goes on where it stopped, now or
    with the next request, and processes that ask at once wait for one of them. Checked are the
    exact length that the server names, the released size, and the MD5 that Google's storage sends.
    Raises InputError for weights that were never released, and with the way out where they cannot
    be fetched.
    """
    key = _released(name, which)
    path = cache_folder() / which / f"Mixer-{key}.npz"
    url = f"{ROOT}/{which}/{path.name}"
    if path.is_file():
        return path
    from filelock import FileLock  # it comes with torch and with huggingface_hub

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not path.is_file():  # another process may have been faster
                _fetch(url, path, OFFICIAL[which][key])
    except (OSError, HTTPException) as error:
        raise InputError(
            f"{url} could not be fetched ({first_line(error)}): fetch it where that address can be "
            f"reached and put it at {path}"
        ) from error
    return path


def _released(name: str, which: str) -> str:
    if which not in OFFICIAL:
        raise InputError(f"there is no official set {which!r}; the sets are {', '.join(OFFICIAL)}")
    key = NAMES.get(name)
    if key in OFFICIAL[which]:
        return key
    sets = ", ".join(known for known in OFFICIAL if key in OFFICIAL[known])
    there_is = f"{name} has {sets}" if sets else f"{name} has none of these sets"
    names = ", ".join(known for known in NAMES if NAMES[known] in OFFICIAL[which])
    raise InputError(
        f"no {which} weights of {name} were ever released: {there_is}; {which} has {names}"
    )


def _fetch(url: str, path: Path, mebibytes: float) -> None:
    """Download into a partial file beside `path`, check it, and rename it."""
    partial = path.with_name(f"{path.name}.partial")
    for _ in range(ATTEMPTS):
        before = _size(partial)
        total, md5 = _continue(url, partial, mebibytes)
        if _size(partial) == total or _size(partial) <= before:
            break
    _check(url, partial, total, md5)
    os.replace(partial, path)


def _continue(url: str, partial: Path, mebibytes: float) -> tuple[int, str]:
    """One connection, from the partial file's end on: (the file's length, MD5 or "")."""
    last = max(_size(partial) - 1, 0)  # the last byte again: a complete file has a rest too
    with _open(url, last, partial) as response:
        begin = last if response.status == 206 else 0  # 200: the server knows no ranges
        total = begin + int(response.headers.get("Content-Length") or 0)
        if abs(total / MIB - mebibytes) > 0.01:
            raise InputError(
                f"{url} has {total / MIB:.2f} MiB there, the released file {mebibytes}: this is "
                "another one (a proxy's page?)"
            )
        _write(response, partial, begin, total)
        found = re.search(r"md5=([\w+/]+=*)", str(response.headers.get_all("x-goog-hash")))
    return total, found[1] if found else ""


def _open(url: str, begin: int, partial: Path) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        partial.unlink()  # it is longer than the file, so it is no part of it
        return _open(url, 0, partial)


def _write(response: HTTPResponse, partial: Path, begin: int, total: int) -> None:
    """Write what arrives at `begin`; a connection that breaks off leaves what came before."""
    from tqdm.auto import tqdm  # it comes with huggingface_hub

    bar = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "disable": None}
    title = partial.name.removesuffix(".partial")
    with (
        open(partial, "r+b" if begin else "wb") as file,
        tqdm(total=total, initial=begin, desc=title, **bar) as progress,
    ):
        file.seek(begin)
        try:
            while chunk := response.read1(MIB):
                progress.update(file.write(chunk))
        except (HTTPException, ConnectionError, TimeoutError) as error:
            broke = f"{title}: {first_line(error)} after {file.tell() / MIB:.2f} MiB"
            progress.write(broke, file=sys.stderr)


def _check(url: str, partial: Path, total: int, md5: str) -> None:
    if _size(partial) != total:
        raise InputError(
            f"{url} broke off after {_size(partial)} of {total} bytes: ask again, and it goes on "
            f"from {partial}"
        )
    if md5 and md5 != _md5(partial):
        partial.unlink()
        raise InputError(
            f"{url} arrived damaged (its MD5 is not the {md5} that the server names) and was "
            "deleted: ask again"
        )


def _md5(path: Path) -> str:
    """In base64, as x-goog-hash has it."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
    return base64.b64encode(digest.digest()).decode()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
