"""Evaluate a run: [accelerate launch] python apps/upright/eval.py RUN [--data.root ...]."""

from apps.upright.config import UprightConfig
from apps.upright.data import Turned, transform_for
from core.app.commands import Report, Words, evaluation_command
from core.config import entry_point
from core.evaluation.collect import collect
from core.models.classifier import Classifier
from core.training.session import Session


def evaluate(session: Session, network, val: Turned, batch_size: int) -> dict[str, float]:
    """{"top1": share of the pictures whose turn is named right}; all processes call it."""

    def right(batch: dict) -> dict:
        return {"right": network(batch["image"]).argmax(1) == batch["label"]}

    return {"top1": float(collect(session, val, right, batch_size)["right"].double().mean())}


def report(session: Session, words: Words) -> Report:
    config, network = words.run.config, words.run.network
    val = Turned(config.data, "val", transform_for(network))
    figures = evaluate(session, network, val, config.eval.batch_size)
    session.print(f"{words.run.checkpoint}: top-1 {figures['top1']:.3f}")
    return Report(config.data.root or "drawn landscapes", figures)


@entry_point
def main() -> None:
    evaluation_command(__doc__, UprightConfig, Classifier, report)


if __name__ == "__main__":
    main()
