"""Evaluate a run: [accelerate launch] python apps/crossview/eval.py RUN [--data.root ...].

Every metric in its standard definition and, where the field's tables hold another, in that one too,
beside the floors that learn nothing; a sheet of samples. Metrics that need weights (Places, FID,
KID, LPIPS) come where the files are (--weights); the report says which are missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.pairs import Pairs, some_pairs
from apps.crossview.data.source import PairData
from apps.crossview.data.views import Direction, Views, map_ids, map_input, views_of
from apps.crossview.evaluation import baselines as floors
from apps.crossview.evaluation.metrics import agreement, image_metrics, map_scores
from apps.crossview.evaluation.perceptual import (
    Judges,
    inception_scores,
    open_judges,
    places_scores,
)
from apps.crossview.evaluation.pictures import save_image, sheet
from apps.crossview.evaluation.report import table
from apps.crossview.models.network import Generator
from core.app.runs import reopen
from core.config import entry_point
from core.evaluation.collect import collect
from core.evaluation.common import save_record
from core.training.session import Session, build_accelerator

SHOWN = 6  # samples of a sheet
Predictor = Callable[[Views, Tensor], dict[str, Tensor]]  # views and indices -> "image", "map"


def evaluate(
    session: Session, network: nn.Module, val: Pairs, config: CrossViewConfig
) -> dict[str, float]:
    """Mean metrics of the generator on validation pairs; all processes call it."""
    return score(session, by_network(network, val, config), val, config, Judges())


def by_network(network: nn.Module, pairs: Pairs, config: CrossViewConfig) -> Predictor:
    """The generator as a predictor; "ids" where it draws a map."""
    maps = config.model.maps

    def predict(views: Views, index: Tensor) -> dict[str, Tensor]:
        output = network(views.source, map_input(views.ids, pairs.palette, maps))
        drawn = output.get("map_final", output.get("map"))
        found = {"image": output["image"]}
        return found if drawn is None else found | {"ids": map_ids(drawn, pairs.palette, maps)}

    return predict


def by_floor(fitted: floors.Floors, name: str) -> Predictor:
    return lambda views, index: {"image": fitted.predict(name, views.ids, index)}


def score(
    session: Session, predict: Predictor, val: Pairs, config: CrossViewConfig, judges: Judges
) -> dict[str, float]:
    """Mean metrics of a predictor; all processes call it."""

    def measure(batch: dict) -> dict[str, Tensor]:
        views = views_of(batch, config.direction)
        made = predict(views, batch["index"])
        image, real = (0.5 * x.float() + 0.5 for x in (made["image"], views.target))
        found = image_metrics(image, real) | judges.measure(image.clamp(0, 1), real)
        if "ids" in made and len(val.palette) > 1:
            found["confusion"] = agreement(made["ids"], views.ids, len(val.palette))
        return found

    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    return summary(collect(session, val, measure, config.eval_batch, **options))


def summary(found: dict[str, Tensor]) -> dict[str, float]:
    """Means over samples, and what is of all samples together."""
    found = {name: values for name, values in found.items() if name != "index"}
    scores = {n: float(v.double().mean()) for n, v in found.items() if v.ndim == 1}
    if "confusion" in found:
        scores |= map_scores(found["confusion"].sum(0))
    if "places_made" in found:
        scores |= places_scores(found["places_made"], found["places_real"])
    if "inception_made" in found:
        scores |= inception_scores(found["inception_made"], found["inception_real"])
    return scores


@torch.no_grad()
def sample_sheet(
    session: Session, network: nn.Module, val: Pairs, config: CrossViewConfig, folder: Path,
    step: int,
) -> None:  # fmt: skip
    """Some validation pairs as the generator draws them: folder/pictures/samples-STEP.png."""
    if session.is_main:
        page = drawn_sheet(session, network, val, config.direction)
        save_image(folder / "pictures" / f"samples-{step:08d}.png", page)


def drawn_sheet(session: Session, network: nn.Module, val: Pairs, direction: Direction):
    """Source, map, coarse and final image, drawn map and truth of SHOWN pairs, a row each."""
    views = views_of(session.to_device(some_pairs(val, SHOWN)), direction)
    maps = network.config.maps
    output = network(views.source, map_input(views.ids, val.palette, maps))
    columns = {"source": views.source, "true map": val.palette.paint(views.ids)}
    if "coarse" in output:
        columns["coarse"] = output["coarse"]
    columns["made"] = output["image"]
    drawn = output.get("map_final", output.get("map"))
    if drawn is not None:
        columns["drawn map"] = val.palette.paint(map_ids(drawn, val.palette, maps))
    columns["real"] = views.target
    return sheet(list(zip(*columns.values(), strict=True)), list(columns))


def open_run(path: str, session: Session) -> tuple[CrossViewConfig, Generator, Path]:
    """Configuration, generator with its (averaged) weights, and checkpoint folder of a run."""
    return reopen(path, CrossViewConfig, Generator, session)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("--data.root", dest="root", help="other data of the run's layout")
    parser.add_argument("--weights", default="", help="folder with checkpoints/ (torch's cache)")
    parser.add_argument("--output", type=Path, help="folder for figures and pictures (RUN)")
    options = parser.parse_args()
    session = Session(build_accelerator())
    _report(session, options)
    session.accelerator.end_training()


def _report(session: Session, options: argparse.Namespace) -> None:
    config, network, checkpoint = open_run(options.run, session)
    if options.root:
        config = replace(config, data=replace(config.data, root=options.root))
    data, judges = PairData(config, session), open_judges(options.weights, session.device)
    val = data.val()
    rows = {config.model.generator: score(session, by_network(network, val, config), val, config,
                                          judges)}  # fmt: skip
    fitted = floors.fit_floors(Pairs(data.data, "train"), config.direction)
    for name in floors.NAMES:
        rows[name] = score(session, by_floor(fitted, name), val, config, judges)
    if session.is_main:
        output = options.output or checkpoint.parents[1]
        print(f"{checkpoint} on {val}, {config.direction}\n\n{table(rows)}\n")
        for line in judges.missing:
            print(f"not measured, {line}")
        record = {"checkpoint": str(checkpoint), "data": str(val), "metrics": rows,
                  "missing": judges.missing}  # fmt: skip
        print(f"figures: {save_record(output, 'eval', record)}")
        page = drawn_sheet(session, network, val, config.direction)
        print(f"pictures: {save_image(output / 'pictures' / 'samples.png', page)}")


if __name__ == "__main__":
    main()
