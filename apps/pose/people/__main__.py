"""`python -m apps.pose.people ROOT --train 3000 --val 300 --seed 0`, or `--sheet people.png`."""

from __future__ import annotations

import argparse
import sys

from apps.pose.people import contact_sheet, make_people
from core.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m apps.pose.people", description=__doc__)
    parser.add_argument("root", nargs="?", help="folder to write the data set to")
    parser.add_argument("--train", type=int, default=3000, help="number of training images")
    parser.add_argument("--val", type=int, default=300, help="number of validation images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes; default: one for each core")
    parser.add_argument("--sheet", help="write a picture of some scenes to this file")
    parser.add_argument("--skeletons", action="store_true", help="with their labels")
    given = parser.parse_args(arguments)
    if not given.root and not given.sheet:
        parser.error("give a ROOT to write to, or --sheet FILE")
    if given.sheet:
        contact_sheet(given.sheet, given.seed, skeletons=given.skeletons)
    if given.root:
        make_people(given.root, given.train, given.val, given.seed, given.workers)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
