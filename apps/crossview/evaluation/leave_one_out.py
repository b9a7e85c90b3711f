"""Baselines of a few pairs: python -m apps.crossview.evaluation.leave_one_out PRESET [...].

Each training pair is predicted from all the others, and the metrics are means over the pairs: for
sets that are too small for a validation side. `another photograph` is the mean over all others, and
not one of them by lot. Presets and settings are those of train.py; only `data`, `embedded` and
`direction` matter here.
"""

from __future__ import annotations

import copy

import torch
from torch.utils.data import default_collate

from apps.crossview.config import Direction
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.source import found_data
from apps.crossview.data.views import views_of
from apps.crossview.evaluation.baselines import NAMES, OTHER, fit_baselines
from apps.crossview.evaluation.metrics import image_metrics
from apps.crossview.evaluation.report import metrics_table
from apps.crossview.presets import PRESETS
from core.config import cli, entry_point
from core.errors import InputError
from core.training.session import Session


def score_left_out(pairs: Pairs, direction: Direction) -> dict[str, dict[str, float]]:
    """Mean metrics of each baseline, by its name. Raises InputError for fewer than two pairs."""
    if len(pairs) < 2:
        raise InputError(f"{pairs}: two pairs at least, so that one is left to predict from")
    each = [_score_one(pairs, index, direction) for index in range(len(pairs))]
    return {
        name: {
            metric: sum(one[name][metric] for one in each) / len(each) for metric in each[0][name]
        }
        for name in NAMES
    }


def _score_one(pairs: Pairs, index: int, direction: Direction) -> dict[str, dict[str, float]]:
    """The metrics of one pair, predicted by baselines that have seen the others."""
    others = copy.copy(pairs)
    others.records = [*pairs.records[:index], *pairs.records[index + 1 :]]
    fitted = fit_baselines(others, direction)
    views = views_of(default_collate([pairs[index]]), direction)
    made = {name: fitted.predict(name, views, torch.tensor([index])) for name in NAMES}
    made[OTHER] = fitted.photographs.float() / 127.5 - 1  # (n - 1, 3, H, W)
    scores = {}
    for name, images in made.items():
        values = image_metrics(0.5 * images + 0.5, 0.5 * views.target.expand_as(images) + 0.5)
        scores[name] = {metric: float(v.double().mean()) for metric, v in values.items()}
    return scores


@entry_point
def main() -> None:
    config = cli(PRESETS)
    pairs = Pairs(found_data(config, Session()), "train")
    print(f"{pairs}, each from the others\n")
    print(metrics_table(score_left_out(pairs, config.direction)).markdown())


if __name__ == "__main__":
    main()
