"""One method on one suite, and the table of several.

A method is a function (input (N, 3), count) -> (count, 3) in the item's unit sphere; a network's is
made of its prediction. The baselines alone:
python -m apps.pointcloud.evaluation.benchmark SUITE [--root ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from accelerate.utils import gather_object
from torch import Tensor

from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.inference import Method
from apps.pointcloud.evaluation.metrics import cloud_metrics, mean_metrics
from apps.pointcloud.evaluation.suites import SUITES, Suite, open_suite
from core.config import entry_point
from core.errors import InputError
from core.training.session import Session

DIGITS = {"chamfer_l1": (1e3, 2), "chamfer_l2": (1e4, 2), "hausdorff": (1e3, 1), "normals": (1, 3)}


def evaluate_suite(session: Session, method: Method, suite: Suite) -> dict[str, float]:
    """Mean metrics of a method on a suite, whose items the processes share out."""
    own = range(session.rank, len(suite), session.world)
    rows = [item_metrics(method, suite, suite.items[i]) for i in own]
    return mean_metrics(gather_object(rows))


def item_metrics(method: Method, suite: Suite, item: dict[str, Tensor]) -> dict[str, float]:
    """The metrics of one item of a suite, in its unit (docs/pointcloud_protocol.md).

    Raises InputError where the method returns another number of points than it was asked for.
    """
    target = item["target"].numpy()
    count = suite.outputs or len(target)
    predicted = method(item["input"].numpy(), count)
    if len(predicted) != count:
        raise InputError(f"{len(predicted)} points predicted, {count} are asked for")
    normals = item["normals"].numpy() if "normals" in item else None
    return cloud_metrics(predicted, target, suite.thresholds, normals, suite.unit(item))


def table(results: Mapping[str, Mapping[str, float]], metres: bool = False) -> str:
    """Rows of Markdown: a line for each method, a column for each metric.

    Chamfer L1 and Hausdorff in thousandths of the unit (radii, or millimetres of a scene), Chamfer
    L2 in ten-thousandths of its square, the others in percent; normals as the mean cosine.
    """
    names = list(dict.fromkeys(name for values in results.values() for name in values))
    unit = "mm" if metres else "1e-3"
    square = "1e-4 m²" if metres else "1e-4"
    heads = {
        "chamfer_l1": f"CD-L1 {unit}",
        "chamfer_l2": f"CD-L2 {square}",
        "hausdorff": f"HD {unit}",
    }
    lines = ["| method | " + " | ".join(heads.get(name, name) for name in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for method, values in results.items():
        cells = [_cell(name, values.get(name)) for name in names]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    factor, digits = DIGITS.get(name, (1, 1))
    return "" if value is None else f"{value * factor:.{digits}f}"


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description="Baselines on a test suite.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--root", default="", help="folder or file of real data")
    options = parser.parse_args()
    suite = open_suite(options.suite, options.root)
    results = {
        name: mean_metrics([item_metrics(method, suite, item) for item in suite])
        for name, method in available().items()
    }
    print(f"{suite.name}, {len(suite)} clouds\n\n{table(results, suite.metres)}")


if __name__ == "__main__":
    main()
