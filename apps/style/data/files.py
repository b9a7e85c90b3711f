"""Whether listed paintings lie where their lists say, and what lies there besides."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.data.images.files import SUFFIXES
from core.data.images.folders import is_foreign
from core.errors import InputError

Reporter = Callable[[str], object]  # takes a line for a person

# Broken in the zip: github.com/cs-chan/ArtGAN/issues/4 and /14.
CORRUPT = (
    "Baroque/rembrandt_woman-standing-with-raised-hands.jpg",
    "Post_Impressionism/vincent-van-gogh_l-arlesienne-portrait-of-madame-ginoux-1890.jpg",
)


def check_folders(root: str, paths: Sequence[str], lists: str) -> None:
    """Raises InputError where a folder of the root holds images and none of them is listed."""
    listed = {unicodedata.normalize("NFC", path.partition("/")[0]) for path in paths}
    place = Path(root).expanduser()
    if not place.is_dir():
        raise InputError(f"{root or 'data.root'} is no folder: the paintings of {lists} lie there")
    for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
        known = unicodedata.normalize("NFC", entry.name) in listed or is_foreign(entry.name)
        if known or not entry.is_dir():
            continue
        if any(name.lower().endswith(SUFFIXES) for name in os.listdir(entry)):
            raise InputError(
                f"{entry.path} holds images and is in no list of {lists}: move it away, or list "
                "its images"
            )


def present_files(paths: Mapping[int, str], allowed: int, report: Reporter) -> list[int]:
    """The keys of files that are there and not known to be broken; the others are reported.

    Raises InputError where more than `allowed` are missing.
    """
    broken = {i for i, path in paths.items() if path.replace(os.sep, "/").endswith(CORRUPT)}
    names = _contents({os.path.dirname(path) for path in paths.values()})
    missing = [
        i
        for i, path in paths.items()
        if i not in broken and os.path.basename(path) not in names[os.path.dirname(path)]
    ]
    if len(missing) > allowed:
        raise InputError(
            f"{len(missing)} of {len(paths)} listed files are missing, the first is "
            f"{paths[missing[0]]}: is data.root right? data.skip_bad allows {allowed}"
        )
    for i in sorted(broken):
        report(f"left out: {paths[i]} is broken in ArtGAN's zip")
    for i in missing:
        report(f"left out: {paths[i]} is missing")
    return [i for i in paths if i not in broken.union(missing)]


def _contents(folders: set[str]) -> dict[str, set[str]]:
    """The names of files in each folder: one look instead of one for each file."""
    return {f: _files(f or ".") if os.path.isdir(f or ".") else set() for f in folders}


def _files(folder: str) -> set[str]:
    """Names of files; of links by what they lead to."""
    with os.scandir(folder) as entries:
        return {e.name for e in entries if (os.path.isfile(e) if e.is_symlink() else e.is_file())}
