"""Train a classifier: accelerate launch core/pretrain.py [PRESET] [--section.field value].

Or, without labels, a backbone: accelerate launch core/pretrain.py unlabelled --train.root PICTURES
(core/pretraining/unlabelled/training.py has that loop).

No words at all: the `demo` preset, a small Mixer on images drawn from formulas. Fine-tuning is the
same with --model.weights: a grid that grows by an integer starts by the paper's exact rule, any
other by interpolation. With --transfer.root a report on real images follows
(core/pretraining/transfer.py).
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(
        __file__,
        [
            f"pretraining/{name}.py"
            for name in ("presets", "photographs", "recipes", "unlabelled/config")
        ],
        "pretraining/config.py",
    )

from dataclasses import replace
from functools import partial

from core.app.commands import report_run
from core.app.starting import check_start
from core.config import cli, entry_point
from core.data.augment import mix
from core.data.shuffle import training_shuffle
from core.data.transforms import check_protocol
from core.evaluation.classification import matched_classes
from core.models.network import build_classifier
from core.pretraining import transfer
from core.pretraining.batches import training_batches
from core.pretraining.config import PretrainConfig
from core.pretraining.distillation import build_student, open_teacher
from core.pretraining.presets import PRESETS as LABELLED
from core.pretraining.sizes import all_sizes, shrunk, step_size
from core.pretraining.unlabelled.config import UNLABELLED, UnlabelledConfig
from core.pretraining.unlabelled.training import train as train_unlabelled
from core.pretraining.validation import evaluate, metric_names, open_sides, open_trained
from core.training.losses import LOSSES
from core.training.optim import create_optimizer
from core.training.run import Run
from core.training.session import end_processes

PRESETS = LABELLED | UNLABELLED


def train(config: PretrainConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    plain, weights = replace(config.model, weights=""), config.model.weights
    check_start(lambda: build_classifier(plain, ("a", "b")), config.optim, weights=weights)
    run.check_best(metric_names(config))
    check_protocol(config.protocol)  # now: the first evaluation is hours away
    teacher = open_teacher(config.distill, run.session)
    alone = config.distill.alone  # the teacher: labels have no part
    images = open_trained(config)
    build = partial(build_student, teacher=teacher) if teacher else build_classifier
    network = build(config.model, images.classes)
    validation = None
    if not alone or (config.val.root and not config.distill.headless):
        images, validation = open_sides(config, images)
        matched_classes(validation, network)  # differences are said before training
    loader = training_batches(run, config, images, network.backbone.normalization)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))
    sizes = partial(step_size, config.model, config.growth, config.run.seed)
    shuffle = training_shuffle(config.augment, network.backbone.stride, all_sizes(config.model))

    for batch in run.steps(loader):
        pixels = shrunk(batch["image"], sizes(run.step_number, run.total))
        pixels, targets = mix(pixels, batch["label"], len(images.classes), config.augment)
        output, losses = model(shuffle(pixels)), {}
        if teacher:
            distilled = teacher.losses(output, pixels, network.backbone)
            losses["distill"], output = config.distill.weight * distilled, output[0]
        if not alone:
            loss = LOSSES[config.loss](output, targets, config.augment.label_smoothing)
            losses["class"] = (1 - config.distill.weight) * loss if teacher else loss
        run.backward(losses)
        run.step(optimizer)
        if run.due("eval") and validation:
            with run.evaluating() as evaluated:
                run.log(evaluate(run.session, evaluated, config, validation))
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


@entry_point
def main() -> None:
    config = cli(PRESETS)
    transfer.check(config, LABELLED)
    without_labels = isinstance(config, UnlabelledConfig)
    run = (train_unlabelled if without_labels else train)(config, keep_processes=True)
    report_run(run)
    if config.transfer.root:
        recipe = LABELLED[config.transfer.recipe]()
        transfer.report(config, recipe, partial(train, keep_processes=True))
    end_processes()


if __name__ == "__main__":
    main()
