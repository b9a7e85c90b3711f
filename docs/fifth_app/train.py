"""Train: python apps/upright/train.py [PRESET] [--section.field value ...]."""

from apps.upright.config import PRESETS, UprightConfig
from apps.upright.data import TURNS, Turned, transform_for
from apps.upright.eval import evaluate
from core.app.commands import training_command
from core.config import entry_point
from core.models.network import build_classifier
from core.training.losses import softmax_loss
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: UprightConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    network = build_classifier(config.model, TURNS)
    transform = transform_for(network)
    pictures, val = (Turned(config.data, split, transform) for split in ("train", "val"))
    loader = run.loader(pictures, workers=config.data.workers)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))
    for batch in run.steps(loader):
        run.backward({"turn": softmax_loss(model(batch["image"]), batch["label"])})
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate(run.session, network, val, config.eval.batch_size))
        if run.due("save"):
            run.save()
    run.finish(keep_processes)
    return run


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
