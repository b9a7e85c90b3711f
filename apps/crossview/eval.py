"""Evaluate a run: [accelerate launch] python apps/crossview/eval.py RUN [--data.root ...].

Every metric in its standard definition and, where the field's tables hold another, in that one too,
beside the baselines that learn nothing; a sheet of samples. Metrics that need weights (Places, FID,
KID, LPIPS) come where the files are (--weights); the report says which are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.source import PairData
from apps.crossview.evaluation import baselines
from apps.crossview.evaluation.perceptual import open_perceptual
from apps.crossview.evaluation.pictures import sample_sheet
from apps.crossview.evaluation.report import metrics_table
from apps.crossview.evaluation.scoring import by_baseline, by_network, check_fit, score
from apps.crossview.models.network import Generator
from core.app.commands import Report, Words, evaluation_command
from core.config import entry_point
from core.training.session import Session


@dataclass(frozen=True)
class Options:
    """What only this evaluation is told."""

    weights: str = ""  # folder with checkpoints/ of other people's networks; empty: torch's cache


def report(session: Session, words: Words) -> Report:
    """Figures of the generator and of the baselines; all processes call it."""
    config, network = words.run.config, words.run.network
    data, perceptual = (
        PairData(config, session),
        open_perceptual(words.options.weights, session.device),
    )
    val = data.val()
    check_fit(network, val)
    fitted = baselines.fit_baselines(data.train(augmented=False), config.direction)
    predictors = {network.config.generator: by_network(network)}
    predictors |= {name: by_baseline(fitted, name) for name in baselines.NAMES}
    figures = {
        name: score(session, predict, val, config, perceptual)
        for name, predict in predictors.items()
    }
    page = words.output / "pictures" / "samples.png"
    sample_sheet(session, network, val, config.direction, page)
    if session.is_main:
        print(f"{words.run.checkpoint} on {val}, {config.direction}\n")
        print(f"{metrics_table(figures).markdown()}\n")
        for line in perceptual.missing:
            print(f"not measured, {line}")
        print(f"pictures: {page}")
    return Report(str(val), figures, {"missing": perceptual.missing})


@entry_point
def main() -> None:
    evaluation_command(__doc__, CrossViewConfig, Generator, report, Options)


if __name__ == "__main__":
    main()
