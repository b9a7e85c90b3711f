"""Mean metrics over validation pairs, of a generator and of the baselines beside it.

Legend: B batch, H W image, N pairs, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.source import PairData
from apps.crossview.data.views import Views, views_of
from apps.crossview.evaluation.baselines import NAMES, fit_baselines
from apps.crossview.evaluation.metrics import confusion_counts, image_metrics, map_scores
from apps.crossview.evaluation.perceptual import (
    PerceptualNetworks,
    inception_scores,
    places_scores,
)
from apps.crossview.models.network import Generator, draw_views
from core.errors import InputError
from core.evaluation.collect import collect
from core.training.session import Session

# views, and the samples' numbers (B,) -> "image" (B, 3, H, W), and "ids" (B, H, W) of a drawn map
Predictor = Callable[[Views, Tensor], dict[str, Tensor]]


def evaluate(
    session: Session, network: Generator, val: Pairs, config: CrossViewConfig
) -> dict[str, float]:
    """Mean metrics of the generator on validation pairs; all processes call it."""
    return score(session, by_network(network), val, config, PerceptualNetworks())


def by_network(network: Generator) -> Predictor:
    """What a generator draws of the views that are scored."""
    return lambda views, index: draw_views(network, views.source, views.ids)


def score(
    session: Session,
    predict: Predictor,
    val: Pairs,
    config: CrossViewConfig,
    perceptual: PerceptualNetworks,
) -> dict[str, float]:
    """Mean metrics of a predictor; all processes call it."""

    def per_sample(batch: dict) -> dict[str, Tensor]:
        views = views_of(batch, config.direction)
        drawn = predict(views, batch["index"])
        image, real = (0.5 * x.float() + 0.5 for x in (drawn["image"], views.target))  # in [0, 1]
        values = image_metrics(image, real) | perceptual.outputs(image.clamp(0, 1), real)
        if "ids" in drawn and len(val.palette) > 1:
            values["confusion"] = confusion_counts(drawn["ids"], views.ids, len(val.palette))
        return values

    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    return summary(collect(session, val, per_sample, config.eval.batch_size, **options))


def score_baselines(
    session: Session, data: PairData, config: CrossViewConfig, perceptual: PerceptualNetworks
) -> dict[str, dict[str, float]]:
    """Mean metrics of each baseline, by its name; all processes call it."""
    fitted, val = fit_baselines(data.train(augmented=False), config.direction), data.val()

    def by_baseline(name: str) -> Predictor:
        return lambda views, index: {"image": fitted.predict(name, views, index)}

    return {name: score(session, by_baseline(name), val, config, perceptual) for name in NAMES}


def summary(values: dict[str, Tensor]) -> dict[str, float]:
    """Means of what each sample has (N,), and what only all samples together have (N, ...)."""
    values = {name: value for name, value in values.items() if name != "index"}
    scores = {name: float(v.double().mean()) for name, v in values.items() if v.ndim == 1}
    if "confusion" in values:
        scores |= map_scores(values["confusion"].sum(0))
    if "places_made" in values:
        scores |= places_scores(values["places_made"], values["places_real"])
    if "inception_made" in values:
        scores |= inception_scores(values["inception_made"], values["inception_real"])
    return scores


def check_fit(network: Generator, pairs: Pairs) -> None:
    """Raise InputError for pairs of another size, or with maps of other classes, than it draws."""
    if tuple(pairs.config.size) != network.size:
        height, width = network.size
        raise InputError(
            f"data.size is {pairs.config.size}, and the network draws {height}x{width} pixels: "
            f"--data.size {height} {width}, or a network that was trained at this size"
        )
    if pairs.palette.names != network.palette.names:
        raise InputError(
            f"{pairs.config.root} has maps of the classes {', '.join(pairs.palette.names)}, and "
            f"the network knows {', '.join(network.palette.names)}: another --data.palette?"
        )
