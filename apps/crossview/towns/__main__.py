"""python -m apps.crossview.towns write --root FOLDER [--train 2000 --val 200 --size 64 --panorama]
python -m apps.crossview.towns sheet --out FILE.png [--size 128]"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from apps.crossview.towns.dataset import four_panels, write_towns
from core.config import entry_point
from core.files import whole_file


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="apps.crossview.towns", description="Embedded towns.")
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="the data set, in four-panel files")
    write.add_argument("--root", type=Path, required=True)
    write.add_argument("--train", type=int, default=2000)
    write.add_argument("--val", type=int, default=200)
    sheet = commands.add_parser("sheet", help="some towns in one picture")
    sheet.add_argument("--out", type=Path, required=True)
    sheet.add_argument("--rows", type=int, default=6)
    sheet.add_argument("--columns", type=int, default=2)
    for command, size in ((write, 64), (sheet, 128)):
        command.add_argument("--size", type=int, default=size, help="pixels of a panel's height")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--panorama", action="store_true")
    options = vars(parser.parse_args())
    if options.pop("command") == "write":
        print(write_towns(**options))
    else:
        print(town_sheet(**options))


def town_sheet(out: Path, rows: int, columns: int, size: int, seed: int, panorama: bool) -> Path:
    """Validation towns beside each other: from above, from the street, and both maps."""
    numbers = np.arange(rows * columns).reshape(rows, columns)
    strips = [[four_panels(seed, "val", int(n), size, panorama) for n in row] for row in numbers]
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as partial:
        Image.fromarray(np.concatenate([np.concatenate(s, 1) for s in strips], 0)).save(partial)
    return out


if __name__ == "__main__":
    main()
