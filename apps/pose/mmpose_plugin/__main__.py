"""Weights of a run of this app for mmpose: python -m apps.pose.mmpose_plugin RUN CONFIG OUT.pth."""

from __future__ import annotations

import argparse

from apps.pose.mmpose_plugin.weights import convert
from core.config import entry_point


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("config", help="an mmpose config whose model has the same parts")
    parser.add_argument("output", help="the checkpoint to write, a .pth")
    options = parser.parse_args()
    convert(options.run, options.config, options.output)
    print(f"{options.output}: for load_from in {options.config}, or mmpose's tools/test.py")


if __name__ == "__main__":
    main()
