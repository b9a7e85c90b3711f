"""Train a recogniser of painting styles: accelerate launch apps/style/train.py [PRESET] [--...].

No words at all: the `demo` preset, on paintings that the app paints itself.
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(__file__)

from dataclasses import replace

from apps.style.config import StyleConfig
from apps.style.data.source import StyleData
from apps.style.eval import evaluate
from apps.style.evaluation.metrics import metric_names
from apps.style.losses import style_losses
from apps.style.presets import PRESETS
from core.app.commands import training_command
from core.app.starting import check_start
from core.config import entry_point
from core.data.augment import mix
from core.models.network import build_classifier
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: StyleConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    plain, weights = replace(config.model, weights=""), config.model.weights
    check_start(lambda: build_classifier(plain, ("a", "b")), config.optim, weights=weights)
    run.check_best(metric_names())
    data = StyleData(config, run.session)
    images = data.open("train")
    # counts (K,): of the losses that weigh classes by their sizes, else None
    counts, classes = data.counts(images), len(images.classes)
    network = build_classifier(config.model, images.classes)
    images, val = data.train(images, network), data.val(network)
    loader = run.loader(images, workers=config.data.workers, skip_bad=config.data.skip_bad)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))

    for batch in run.steps(loader):
        # pixels (B, 3, H, W), targets (B,), or (B, K) where two paintings are mixed
        pixels, targets = mix(batch["image"], batch["label"], classes, config.augment)
        smoothing = config.augment.label_smoothing
        run.backward(style_losses(model(pixels), targets, counts, config.loss, smoothing))
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate(run.session, network, val, config)[0])
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
