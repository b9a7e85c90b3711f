"""Train a cross-view generator: accelerate launch apps/crossview/train.py [PRESET] [--...].

No words at all: the `demo` preset, on towns that the app renders itself.
"""

from __future__ import annotations

from core.help import answer_help

if __name__ == "__main__":  # before what takes seconds to import
    answer_help(__file__)

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from apps.crossview.config import CrossViewConfig
from apps.crossview.data.maps import Palette
from apps.crossview.data.source import PairData
from apps.crossview.data.views import map_input, views_of
from apps.crossview.evaluation.metrics import metric_names
from apps.crossview.evaluation.pictures import sample_sheet
from apps.crossview.evaluation.scoring import evaluate
from apps.crossview.models.discriminator import build_discriminator
from apps.crossview.models.losses import (
    adversarial_losses,
    discriminator_losses,
    image_weights,
    pixel_losses,
)
from apps.crossview.models.network import build_generator
from apps.crossview.presets import PRESETS
from apps.crossview.towns import CLASSES, PALETTE
from core.app.commands import training_command
from core.app.starting import check_start
from core.config import entry_point
from core.training.optim import create_optimizer
from core.training.run import Run


def train(config: CrossViewConfig, keep_processes: bool = False) -> Run:
    """Run the whole training that ``config`` describes; keep_processes: more runs follow.

    Both gradients are taken at the same weights, and both steps follow. The released code steps the
    discriminator first; with several micro-batches to a step that order would give the last
    micro-batch another discriminator than the others.
    """
    run = Run(config.run, config)
    plain, weights = replace(config, model=replace(config.model, weights="")), config.model.weights
    towns = Palette(CLASSES, PALETTE)
    check_start(lambda: build_generator(plain, towns), config.optim, weights=weights)
    check_start(lambda: build_discriminator(config), config.d_optim)
    run.check_best(metric_names())
    data = PairData(config, run.session)
    pairs, val = data.train(), data.val()
    loader = run.loader(pairs, workers=config.data.workers, skip_bad=config.data.skip_bad)
    generator, discriminator = build_generator(config, pairs.palette), build_discriminator(config)
    generator, critic, optimizer, d_optimizer = run.prepare(
        model=generator,
        discriminator=discriminator,
        optimizer=create_optimizer(config.optim, generator),
        d_optimizer=create_optimizer(config.d_optim, discriminator),
    )

    for batch in run.steps(loader):
        # what is there, and what the generator makes of it; images (B, 3, H, W) in [-1, 1]
        views = views_of(batch, config.direction)
        target_map = map_input(views.ids, pairs.palette, config.model.maps)  # (B, K, H, W)
        output = generator(views.source, target_map)
        images = {name: output[name] for name in image_weights(output)}
        losses = pixel_losses(output, views.target, target_map, config.loss)

        # the discriminator: real against made, all of them in one pass
        if config.loss.adversarial:
            fakes = [image.detach() for image in images.values()]
            real, *made = patch_logits(critic, views.source, [views.target, *fakes])
            made = dict(zip(images, made, strict=True))
            run.backward(discriminator_losses(real, made, output))

            # the generator, before a discriminator that holds still
            with frozen(discriminator), run.accelerator.autocast():
                made = patch_logits(discriminator, views.source, list(images.values()))
                made = dict(zip(images, made, strict=True))
                losses |= adversarial_losses(made, output, config.loss)
        run.backward(losses)

        run.step(d_optimizer)
        run.step(optimizer)
        if run.due("eval"):
            with run.evaluating() as network:
                run.log(evaluate(run.session, network, val, config))
                page = run.folder / "pictures" / f"samples-{run.done:08d}.png"
                sample_sheet(run.session, network, val, config.direction, page)
        if run.due("save"):
            run.save()

    run.finish(keep_processes)
    return run


def patch_logits(critic: nn.Module, source: Tensor, images: list[Tensor]) -> list[Tensor]:
    """Logits (B, 1, h, w) of each image (B, 3, H, W) beside the source, all in one pass."""
    sources = torch.cat([source] * len(images))  # (n B, 3, H, W)
    return list(critic(sources, torch.cat(images)).chunk(len(images)))


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Without gradients of its parameters: what passes through it leaves none behind."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@entry_point
def main() -> None:
    training_command(train, PRESETS)


if __name__ == "__main__":
    main()
