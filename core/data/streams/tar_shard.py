"""The labelled images of one tar file as webdataset lays it out.

The members of a sample follow each other and share their key, the path up to the first dot of the
file's name: <key>.jpg (or another image), and <key>.cls (a whole number) or <key>.json ("label").
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from core.data.images.files import SUFFIXES
from core.errors import InputError, first_line

NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)")  # key and extension
LABELS = ("cls", "cls.txt", "json")

Members = dict[str, tarfile.TarInfo]  # of a sample, by extension


class Sample(NamedTuple):
    """One sample as it is stored: image, label, name, the order of all that is said of one."""

    data: bytes  # the encoded image
    label: int
    name: str


class Entry(NamedTuple):
    """Where a sample is stored."""

    offset: int  # of the encoded image, in bytes
    size: int
    label: int
    name: str


class Index(NamedTuple):
    """The whole samples of a tar file, and what is wrong with it: empty, or that it breaks off."""

    entries: list[Entry]
    damage: str


def read_tar(path: str, start: int) -> Iterator[Sample]:
    """The samples from number ``start`` on; those before it cost a look at their headers.

    Ends where a damaged file does. Raises InputError where a sample has no image or label.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for key, members in islice(_samples(tar), start, None):
                image, label = _parts(path, tar, key, members)
                yield Sample(tar.extractfile(image).read(), label, image.name)
    except tarfile.ReadError:
        return


def index_tar(path: str) -> Index:
    """Where the samples of a file lie. Raises InputError where one has no image or no label."""
    entries = []
    try:
        with tarfile.open(path, "r:") as tar:
            for key, members in _samples(tar):
                image, label = _parts(path, tar, key, members)
                entries.append(Entry(image.offset_data, image.size, label, image.name))
    except tarfile.ReadError as error:
        damage = f"breaks off after {len(entries)} whole samples ({first_line(error)})"
        return Index(entries, damage)
    return Index(entries, "")


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, Members]]:
    """Keys and members. Raises ReadError behind the last whole sample of a file that breaks off."""
    key, members = "", {}
    while (member := tar.next()) is not None:
        tar.members = []  # else it remembers every header
        name = NAME.fullmatch(member.name)
        if not (member.isfile() and name):
            continue
        # a key that comes again, as where archives were joined, is another sample
        if members and (name[1] != key or name[2].lower() in members):
            yield key, members
            members = {}
        key = name[1]
        members[name[2].lower()] = member
    ended = _ended(tar)
    if members and (ended or _is_whole(members)):
        yield key, members
    if not ended:
        raise tarfile.ReadError("no end-of-archive block")


def _ended(tar: tarfile.TarFile) -> bool:
    """Whether the archive's end is marked: tarfile takes a cut or broken header for the end."""
    tar.fileobj.seek(tar.offset)
    return tar.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _is_whole(members: Members) -> bool:
    return any(_is_image(e) for e in members) and any(e in members for e in LABELS)


def _is_image(extension: str) -> bool:
    return f".{extension}" in SUFFIXES


def _parts(
    path: str, tar: tarfile.TarFile, key: str, members: Members
) -> tuple[tarfile.TarInfo, int]:
    """The member with the image, and the label."""
    images = [member for extension, member in members.items() if _is_image(extension)]
    labels = [extension for extension in LABELS if extension in members]
    if not images or not labels:
        lacks = "label (.cls, or .json)" if images else f"image ({', '.join(SUFFIXES)})"
        raise InputError(f"{path} [{key}] has no {lacks}, only: {', '.join(members)}")
    text = tar.extractfile(members[labels[0]]).read()
    try:
        return images[0], int(json.loads(text)["label"] if labels[0] == "json" else text)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} [{key}]: .{labels[0]} gives no whole number as label ({first_line(error)})"
        ) from error
