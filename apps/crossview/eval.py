"""Evaluate a run: [accelerate launch] python apps/crossview/eval.py RUN [--data.root ...].

Every metric in its standard definition and, where the field's tables hold another, in that one too,
beside the baselines that learn nothing; a sheet of samples. Metrics that need weights (Places, FID,
KID, LPIPS) come where the files are (--weights); the report says which are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.source import PairData
from apps.crossview.evaluation.perceptual import open_perceptual
from apps.crossview.evaluation.pictures import sample_sheet
from apps.crossview.evaluation.report import metrics_table
from apps.crossview.evaluation.scoring import (
    by_network,
    check_fit,
    score,
    score_baselines,
)
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
    perceptual = open_perceptual(words.options.weights, session.device)
    data = PairData(config, session)
    val = data.val()
    check_fit(network, val)
    scores = score(session, by_network(network), val, config, perceptual)
    figures = {network.config.generator: scores}
    figures |= score_baselines(session, data, config, perceptual)
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
