"""One method on one suite, and the table of several.

The baselines alone: python -m apps.pointcloud.evaluation.benchmark SUITE [--root ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from accelerate.utils import gather_object
from torch import Tensor

from apps.pointcloud.data.open3d_compat import has_open3d
from apps.pointcloud.evaluation.baselines import available
from apps.pointcloud.evaluation.inference import Method
from apps.pointcloud.evaluation.metrics import cloud_metrics, mean_metrics
from apps.pointcloud.evaluation.pairs import mean_to_mesh
from apps.pointcloud.evaluation.suites import SUITES, Suite, open_suite
from core.config import entry_point
from core.errors import InputError
from core.tables import Table, scaled
from core.training.session import Session


def evaluate_suite(session: Session, method: Method, suite: Suite) -> dict[str, float]:
    """Mean metrics of a method on a suite, whose items the processes share out."""
    # every world-th item, so that slow suites are shared evenly; gathered in any order, for a mean
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
    values = cloud_metrics(predicted, target, suite.thresholds, normals, suite.unit(item))
    if "faces" in item and has_open3d():
        mesh = item["vertices"].numpy(), item["faces"].numpy()
        values["to_mesh"] = suite.unit(item) * mean_to_mesh(predicted, *mesh)
    return values


def table(results: Mapping[str, Mapping[str, float]], metres: bool = False) -> str:
    """Rows of Markdown: a line for each method, a column for each metric.

    Chamfer L1 and Hausdorff in thousandths of the unit (radii, or millimetres of a scene), Chamfer
    L2 in ten-thousandths of its square, the others in percent; normals as the mean cosine.
    """
    unit, square = ("mm", "1e-4 m²") if metres else ("1e-3", "1e-4")
    columns = {
        "chamfer_l1": (f"CD-L1 {unit}", scaled(1e3, 2)),
        "chamfer_l2": (f"CD-L2 {square}", scaled(1e4, 2)),
        "hausdorff": (f"HD {unit}", scaled(1e3, 1)),
        "normals": ("normals", scaled(1, 3)),
        "to_mesh": (f"to mesh {unit}", scaled(1e3, 2)),
    }
    names = list(dict.fromkeys(name for values in results.values() for name in values))
    heads = ["method", *(columns.get(name, (name,))[0] for name in names)]
    rows = [[method, *map(values.get, names)] for method, values in results.items()]
    return Table("", heads, rows, form="{:.1f}", forms=dict(columns.values())).markdown()


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description="Baselines on a test suite.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--root", default="", help="folder or file of real data")
    options = parser.parse_args()
    suite, session = open_suite(options.suite, options.root), Session()
    results = {name: evaluate_suite(session, each, suite) for name, each in available().items()}
    print(f"{suite.name}, {len(suite)} clouds\n\n{table(results, suite.metres)}")


if __name__ == "__main__":
    main()
