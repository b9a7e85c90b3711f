"""Train a reconstruction network: accelerate launch apps/pointcloud/train.py [PRESET] [--...].

No words at all: the `demo` preset, on solids that the app makes itself.
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(__file__)

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.dataset import collate
from apps.pointcloud.data.source import CloudData
from apps.pointcloud.evaluation.validation import evaluate, metric_names
from apps.pointcloud.geometry.spacing import typical_spacing
from apps.pointcloud.models.base import Network
from apps.pointcloud.models.losses import recon_losses
from apps.pointcloud.models.network import create_network
from apps.pointcloud.models.operators.core_mixer import load_channel_mixing
from apps.pointcloud.presets import PRESETS
from core.app.commands import training_command
from core.app.starting import check_start
from core.config import entry_point
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: PointCloudConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow."""
    run = Run(config.run, config)
    check_start(lambda: create_network(config.model), config.optim, weights=config.mixer_weights)
    run.check_best(metric_names())
    data = CloudData(config, run.session)
    clouds, val, length = data.train(), data.val(), config.model.voxel_length
    options = {"workers": config.data.workers, "skip_bad": config.data.skip_bad}
    loader = run.loader(clouds, collate=collate, **options)
    network = build_network(config)
    # what predictions scale clouds of other units by; saved with the weights
    network.spacing.fill_(typical_spacing(val))
    model, optimizer = run.prepare(model=network, optimizer=create_optimizer(config.optim, network))

    for batch in run.steps(loader):
        target = batch["target"], batch["target_batch"]
        output = model(batch["input"], batch["input_batch"], *target)
        losses = recon_losses(output, *target, len(batch["scale"]), length, config.loss)
        run.backward(losses)
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate(run.session, network, val, config))
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


def build_network(config: PointCloudConfig) -> Network:
    """The network with random weights, channel mixing from `mixer_weights` where they are given.

    Raises InputError where these are no Mixer's, or of another width.
    """
    network = create_network(config.model)
    if config.mixer_weights:
        for block in network.refine.blocks:
            load_channel_mixing(block, config.mixer_weights)
    return network


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
