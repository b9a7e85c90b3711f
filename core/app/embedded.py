"""The data that an app makes itself: one command line, one place, for all apps.

    python -m apps.APP.ROOM write [--root FOLDER] [--train N ...]    the data set, in files
    python -m apps.APP.ROOM sheet [--out FILE.png] [...]             some of it in one picture

An app writes `ROOM/__main__.py` with two frozen dataclasses, WriteConfig (with `root`) and
SheetConfig (with `out`), a function for each, and

    @entry_point
    def main() -> None:
        embedded_commands({"write": (WriteConfig, write), "sheet": (SheetConfig, sheet)})

write(config) -> the folder; sheet(config) -> a PIL image. The first line of a dataclass's docstring
is its help. Runs make the data if need be (`embedded_folder`), by the section `embedded` of their
settings. How a folder is whole or absent: `core.data.embedded.write_whole`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.config import cli
from core.pictures.sheets import save_sheet
from core.training.session import Session


def embedded_commands(
    commands: Mapping[str, tuple[type, Callable[[Any], Any]]], argv: Sequence[str] | None = None
) -> None:
    """Run the command that the first word names; print what it wrote."""
    kinds = {name: kind for name, (kind, _) in commands.items()}
    config = cli(kinds, argv if argv is None else list(argv))
    work = next(work for kind, work in commands.values() if type(config) is kind)
    if hasattr(config, "out"):
        print(save_sheet(config.out, lambda: work(config)))
    else:
        print(work(config))


def embedded_folder(session: Session, name: str, write: Callable[[Path], Any]) -> Path:
    """data/NAME, which the main process lets ``write`` make if need be; all processes call it."""
    root = Path("data") / name
    if session.is_main:
        write(root)
    session.wait()
    return root
