"""The command line and the folder of data that an app makes itself."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from core import InputError
from core.app.embedded import embedded_commands, embedded_folder
from core.training.session import Session


@dataclass(frozen=True)
class WriteConfig:
    """All of it, as files."""

    root: str = "data/dots"
    train: int = 3


@dataclass(frozen=True)
class SheetConfig:
    """Some of it, in one picture."""

    out: str = "dots.png"
    size: int = 4


def write(config):
    Path(config.root).mkdir(parents=True)
    return config.root


COMMANDS = {
    "write": (WriteConfig, write),
    "sheet": (SheetConfig, lambda config: Image.new("RGB", (config.size, 2))),
}


def test_write_and_sheet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    embedded_commands(COMMANDS, ["write", "--root", "here"])
    embedded_commands(COMMANDS, ["sheet", "--size", "6"])
    assert capsys.readouterr().out == "here\ndots.png\n"
    assert Image.open("dots.png").size == (6, 2)
    with pytest.raises(InputError, match=r"dots.png exists already: give another --out"):
        embedded_commands(COMMANDS, ["sheet"])
    with pytest.raises(InputError, match=r"dots.psd: an image's name ends in .png"):
        embedded_commands(COMMANDS, ["sheet", "--out", "dots.psd"])
    with pytest.raises(InputError, match="Did you mean sheet"):
        embedded_commands(COMMANDS, ["sheets"])


def test_the_folder_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    roots = []
    assert embedded_folder(Session(), "app-dots-3", roots.append) == Path("data/app-dots-3")
    assert roots == [Path("data/app-dots-3")]
