"""Learning curves as a picture: python core/curves.py RUN [RUN ...] [--out FILE]."""

from __future__ import annotations

import argparse

from core.config import entry_point
from core.training.curves import draw_curves


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out", default="", help=".png, .pdf or .svg; of one run: RUN/pictures/curves.png"
    )
    options = parser.parse_args()
    print(draw_curves(options.runs, options.out))


if __name__ == "__main__":
    main()
