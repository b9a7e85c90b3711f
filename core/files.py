"""Files that appear whole or not at all, under names that do not collide; and reading text."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import errno
import io
import json
import os
import shutil
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import InputError, first_line
from core.memory import check_memory

# what spreadsheets and editors of Windows write before a text
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# what lies under a file's name in its place, by its first bytes
INSTEAD = {
    b"version https://git-lfs": "it is a pointer of Git LFS: fetch the file, git lfs pull",
    b"<": "it is a page (HTML, XML), as servers send in place of a file: download it again",
}
STEM = 40  # characters of a file's name that its partial file repeats: names may be 255 bytes long


@contextmanager
def kept_if_filled(folder: Path) -> Iterator[None]:
    """Make a folder for what is written within; one that was not there and stays empty goes."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{folder} cannot be a folder ({reason}): choose another output"
        ) from error
    try:
        yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def check_new(path: Path) -> None:
    """InputError where there is something at the path."""
    if path.exists():
        raise InputError(
            f"{path} exists already; nothing is overwritten: choose another output, or remove it"
        )


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A hidden path beside ``path``, of the same suffix, that takes its name when all went well.

    Missing folders are made. Where the block raises, what was at ``path`` stays and nothing is left
    beside it. Each caller has a partial file of its own, so that of several writers at once the
    last one wins, whole. Raises InputError where there is no room for it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]  # not of a seeded generator: a seed must not make two names equal
    partial = path.with_name(f".{path.stem[:STEM]}.{token}.partial{path.suffix}")
    try:
        with room_for(path):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def room_for(path: str | os.PathLike) -> Iterator[None]:
    """What is written here becomes ``path``: a full disk is an InputError with that name.

    Libraries that write through a file of their own have lost the name by then.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise InputError(no_room(path, error.strerror)) from error


def no_room(path: str | os.PathLike, reason: str) -> str:
    """That a file could not be written, why, and how much room is left where it was to lie."""
    place = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    return f"{path} could not be written ({reason}; {free:.1f} GB are free): free some disk space"


@contextmanager
def whole_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """A hidden, empty folder beside ``folder`` that takes its name when all went well.

    Raises InputError where ``folder`` exists, and where there is no room for it. Where the block
    raises, nothing is left.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already; nothing is overwritten: choose another folder")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        with room_for(folder):
            yield draft
            draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a text file, whole or not at all; returns its path."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | os.PathLike, value: Any, indent: int | None = 2) -> Path:
    """Write numbers, words, lists, dicts and dataclasses, whole or not at all; returns the path.

    What is not a number stays NaN, as Python's json has it: give None where others read the file.
    """
    return write_text(path, json.dumps(value, indent=indent, default=_plain) + "\n")


def _plain(value: Any) -> dict:
    """What json does not know by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} does not go into json: {value!r}")


def text_encoding(path: str | os.PathLike, otherwise: str = "utf-8") -> str:
    """The encoding of a text file by the mark that it begins with, ``otherwise`` without one."""
    with open(path, "rb") as file:
        start = file.read(3)
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), otherwise)


def read_text(path: str | os.PathLike, hint: str = "check the path") -> str:
    """A text in UTF-8, or in UTF-16 by its mark; all ends of lines are \\n.

    Raises InputError for another one, and with the ``hint`` where there is no such file.
    """
    try:
        return Path(path).read_text(encoding=text_encoding(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: {hint}") from error
    except UnicodeError as error:
        raise InputError(f"{path} is no text in UTF-8: save it as such") from error


def json_lines(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The objects of the whole lines of a .jsonl: a kill may have cut the last, a disk spoilt some.

    An empty list where there is no file.
    """
    path, rows = Path(path), []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        with suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def csv_rows(
    path: str | os.PathLike, text: str, separator: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row of a csv file's text that is not empty.

    Raises InputError where it is none: a cell as long as a book, where a quotation mark is missing.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}: is it a csv file?") from error


def name_on_disk(folder: str | os.PathLike, name: str) -> str:
    """The ``name`` of a file below ``folder`` as it is spelt there; as it is where there is none.

    macOS writes accents in two code points (NFD), others in one (NFC), and what is copied keeps
    what it had, folder by folder; Windows writes \\ between them.
    """
    place = Path(folder)
    if (name.isascii() and "\\" not in name) or (place / name).is_file():
        return name
    spelt = Path()
    for part in Path(name.replace("\\", "/")).parts:
        spellings = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        spelt /= next((one for one in spellings if (place / spelt / one).exists()), part)
    return spelt.as_posix() if (place / spelt).is_file() else name


def check_archive(path: str | os.PathLike) -> None:
    """Raise InputError for a zip file (.npz is one) that would fill the memory.

    By its directory alone: a gigabyte and more, out of less than a hundredth of it, is no data, and
    what is more than the machine has is not read.
    """
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(1e9, 100 * size):
        raise InputError(
            f"{path} has {size / 1e6:.1f} MB, and {unpacked / 1e9:.1f} GB unpacked: is it damaged, "
            "or made to fill the memory? Store it without compression"
        )
    check_memory(unpacked, f"{path}, unpacked,", "give it in smaller files")


def unreadable(source: str | os.PathLike | bytes, said: Exception | str) -> str:
    """Why a file or its content is not read: by what lies there in its place, else as was said."""
    start = source[:64] if isinstance(source, bytes) else _start(source)
    start = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if not start:
        return "it is empty: copy it again"
    words = (words for mark, words in INSTEAD.items() if start.startswith(mark))
    return next(words, first_line(said) if isinstance(said, Exception) else said)


def _start(path: str | os.PathLike) -> bytes:
    """The first bytes of a file; of none, or a folder, what is no file's."""
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError:
        return b"-"


def distinct_name(name: str, taken: set[str]) -> str:
    """``name``, or name-2, name-3, ... where it is taken; it is then taken."""
    distinct, number = name, 1
    while distinct in taken:
        number += 1
        distinct = f"{name}-{number}"
    taken.add(distinct)
    return distinct
