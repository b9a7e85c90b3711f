"""python -m core.models.weights: the weights that open by a name, as a table."""

from __future__ import annotations

import argparse

from core.config import entry_point
from core.models.weights.listing import list_weights, weights_table


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m core.models.weights", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="as a table of Markdown")
    table = weights_table(list_weights())
    print(table.markdown() if parser.parse_args().markdown else table)


if __name__ == "__main__":
    main()
