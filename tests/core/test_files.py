"""Files that appear whole or not at all."""

import errno
import json
import os
import threading
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from core.errors import InputError
from core.files import (
    distinct_name,
    kept_if_filled,
    name_on_disk,
    read_text,
    text_encoding,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        wanted = pytest.raises(InputError, match=r"cannot be a folder .*: choose another output")
        with wanted, kept_if_filled(place):
            pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with whole_file(path) as partial:
            partial.write_text("half of the ne")
            assert path.read_text() == "old"  # nothing is seen of it meanwhile
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert everything(tmp_path) == ["a.txt"]


def test_a_failure_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="early"), whole_file(tmp_path / "a.txt"):
        raise ValueError("early")
    assert everything(tmp_path) == []


def test_folders_are_made_and_files_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "a.tar.gz"
    for content in (b"one", b"two"):
        with whole_file(str(path)) as partial:
            assert partial.parent == path.parent
            assert partial.name.startswith(".")
            assert partial.suffix == ".gz"  # by which writers know the format
            partial.write_bytes(content)
        assert path.read_bytes() == content
    assert everything(path.parent) == ["a.tar.gz"]


def test_names_as_long_as_the_file_system_takes(tmp_path):
    write_text(tmp_path / f"{'ü' * 125}.json", "content")
    write_text(tmp_path / f"{'a' * 250}.json", "content")
    assert len(everything(tmp_path)) == 2


def test_of_several_writers_one_wins_whole(tmp_path):
    path, barrier = tmp_path / "a.txt", threading.Barrier(8)

    def write(letter):
        with whole_file(path) as partial:
            barrier.wait()  # all have begun, none has ended
            with partial.open("w") as file:
                for _ in range(50):
                    file.write(letter * 100)
                    file.flush()

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_text()
    assert len(content) == 5000
    assert len(set(content)) == 1
    assert everything(tmp_path) == ["a.txt"]


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (2, 3)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    name: str = "é"


def test_json(tmp_path):
    value = {"config": Outer(), "map": MappingProxyType({"a": (1, None)}), 3: True}
    path = write_json(tmp_path / "a.json", value)
    assert json.loads(path.read_text()) == {
        "config": {"inner": {"size": [2, 3]}, "name": "é"},
        "map": {"a": [1, None]},
        "3": True,
    }
    assert path.read_text().startswith('{\n  "config": {\n')
    assert path.read_text().endswith("}\n")
    assert write_json(tmp_path / "b.json", [1, 2], indent=None).read_text() == "[1, 2]\n"


def test_what_json_has_no_word_for_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path / "a.json", 1)
    for value in ({1, 2}, object(), Inner):
        with pytest.raises(TypeError, match="json"):
            write_json(path, [value])
    assert path.read_text() == "1\n"
    assert everything(tmp_path) == ["a.json"]


def test_distinct_names():
    taken = set()
    assert [distinct_name("a", taken) for _ in range(3)] == ["a", "a-2", "a-3"]
    assert distinct_name("a-2", taken) == "a-2-2"
    assert taken == {"a", "a-2", "a-3", "a-2-2"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_as_other_systems_write_them(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("é,1\r\nb\u2028c,2\r".encode(encoding))
    assert read_text(path) == "é,1\nb\u2028c,2\n"


def test_no_text_and_no_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_text(path)
    assert text_encoding(path, "latin-1") == "latin-1"
    with pytest.raises(InputError, match=r"b\.csv: .*: give a list"):
        read_text(tmp_path / "b.csv", "give a list")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD"), ("NFC", "NFC")])
def test_names_as_the_disk_spells_them(tmp_path, forms):
    """Each folder by itself; accents in one code point or two, a slash or a backslash."""
    parts = [unicodedata.normalize(form, part) for form, part in zip(forms, "éü", strict=True)]
    (tmp_path / parts[0]).mkdir()
    (tmp_path / parts[0] / parts[1]).touch()
    for form, between in (("NFC", "/"), ("NFD", "/"), ("NFC", "\\")):
        name = unicodedata.normalize(form, f"é{between}ü")
        assert name_on_disk(tmp_path, name) == "/".join(parts)
    assert name_on_disk(tmp_path, "é/ö") == "é/ö"  # is not there
    absolute = str(tmp_path / "é" / "ü")
    assert name_on_disk("elsewhere", absolute) == str(tmp_path.joinpath(*parts))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("draft", [whole_file, whole_folder])
def test_a_full_disk_is_one_line_with_the_file_and_what_is_free(tmp_path, number, draft):
    """The error of a library's own file has no name."""

    def write():
        with draft(tmp_path / "a.png"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=r"a\.png could not be written \(.*; .* GB are free\)"):
        write()
    assert everything(tmp_path) == []


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), whole_file(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "no", "elsewhere")
