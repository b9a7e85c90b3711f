"""Train a keypoint network: accelerate launch apps/pose/train.py [PRESET] [--section.field value].

No words at all: the `demo` preset, on people that the app draws itself.
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(__file__)

from apps.pose.config import PoseConfig
from apps.pose.data.sets import PoseSets
from apps.pose.evaluation.protocol import check_sets, evaluate_sets
from apps.pose.models.losses import pose_losses
from apps.pose.models.network import PoseNet
from apps.pose.models.start import check_network, check_resumed, start_from
from apps.pose.prediction.samples import sample_sheet
from apps.pose.presets import PRESETS
from core.app.commands import training_command
from core.config import entry_point
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: PoseConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    check_network(config)
    data = PoseSets(config, run.session)
    for line in data.describe():
        run.session.print(line)
    people, val = data.train(), data.val()
    check_sets(data, val, config.run.best)  # now: the first evaluation is hours away
    loader = run.loader(people, workers=config.data.workers, skip_bad=config.data.skip_bad)
    network = PoseNet(config.model, data.keypoints)
    check_resumed(network, run.resumed)
    start_from(network, config.model.weights, report=run.session.print)
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))

    for batch in run.steps(loader):
        outputs = model(batch["image"])
        # per-person sums, divided once by all labelled keypoints of all processes
        run.backward(pose_losses(outputs, batch), valid=batch["weight"].sum(1))
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate_sets(run.session, network, data, val, config.eval))
                page = run.folder / "pictures" / f"people-{run.done:08d}.png"
                sample_sheet(run.session, network, val, page)
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
