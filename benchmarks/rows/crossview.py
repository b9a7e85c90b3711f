"""CrossMLP's first stage beside the plain port, and the step of a GAN beside plain PyTorch.

The step is that of `apps/crossview/train.py`: a U-Net as SelectionGAN's first stage has it and the
70x70 PatchGAN, losses of each image by itself, both optimizers. The plain one is pix2pix's, written
with means over the batch, a call of the discriminator for each image, and torch.optim.Adam. Both
begin with the same weights, and their first losses are compared before anything is timed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.crossview.config import ADAM, LossConfig, ModelConfig
from apps.crossview.data.maps import open_palette
from apps.crossview.models.crossmlp import CascadeMixer
from apps.crossview.models.discriminator import PatchDiscriminator
from apps.crossview.models.losses import adversarial_losses, discriminator_losses, pixel_losses
from apps.crossview.models.network import Generator
from apps.crossview.train import frozen, patch_logits
from benchmarks.crossview_speed import plain
from benchmarks.rows.pairs import Row, Settings, faster, in_turn
from core.profiling.timing import Work
from core.training.optim import create_optimizer

LOSS = LossConfig(total_variation=0.0)


def crossmlp(settings: Settings) -> Iterator[Row]:
    """Inference, as predict.py opens it, and a training step of the first stage, batch 1."""
    side, options = (32, {"width": 4, "blocks": 1, "depth": 1, "patch": 2})
    if not settings.smallest:
        side, options = 256, {}
    ours = CascadeMixer((side, side), 3, **options)
    port = plain(ours)
    opened = copy.deepcopy(ours).to(memory_format=torch.channels_last)
    source, target_map = torch.rand(2, 1, 3, side, side) * 2 - 1

    @torch.inference_mode()
    def infer(network: nn.Module) -> None:
        network(source, target_map)

    def step(network: nn.Module) -> None:
        sum(value.abs().mean() for value in network(source, target_map).values()).backward()
        network.zero_grad(set_to_none=True)

    for what, call, mine in (("inference", infer, opened), ("training", step, ours)):
        sides = {"ours": mine, "plain port": port}
        works = [Work(name, lambda n=n, c=call: c(n), 1) for name, n in sides.items()]
        in_turn(settings, works)
        row = Row(f"CrossMLP stage 1, {side}x{side}, {what}", "the plain port", 1.3)
        yield faster(row, *works, unit="images/s")


def gan_step(settings: Settings) -> Iterator[Row]:
    """Both networks, batch 1; instance norm and no dropout, so that both sides are equal."""
    side, width = (32, 4) if settings.smallest else (256, 64)
    config = ModelConfig("pix2pix", width=width, norm="instance", maps="rgb", dropout=0.0)
    pair = (
        Generator(config, (side, side), open_palette("cityscapes")),
        PatchDiscriminator(width, 1 if settings.smallest else 3, "instance"),
    )
    images = torch.rand(3, 1, 3, side, side) * 2 - 1
    sides = {"ours": Ours(*copy.deepcopy(pair)), "plain": Plain(*copy.deepcopy(pair))}
    first = [step(*images) for step in sides.values()]
    torch.testing.assert_close(*first, rtol=1e-4, atol=1e-5)
    works = [Work(name, lambda s=s: s(*images), 1) for name, s in sides.items()]
    in_turn(settings, works)
    row = Row(f"U-Net and PatchGAN, a step, {side}x{side}", "plain PyTorch", 1.0)
    yield faster(row, *works, unit="steps/s")


class Ours:
    """A step as the app takes it."""

    def __init__(self, generator: nn.Module, critic: nn.Module):
        self.generator, self.critic = generator, critic
        self.optimizers = [create_optimizer(ADAM, network) for network in (generator, critic)]

    def __call__(self, source: Tensor, target: Tensor, target_map: Tensor) -> Tensor:
        """The sum of all losses."""
        output = self.generator(source, target_map)
        losses, image = pixel_losses(output, target, target_map, LOSS), output["image"]
        real, made = patch_logits(self.critic, source, [target, image.detach()])
        of_critic = discriminator_losses(real, {"image": made}, output)
        _total(of_critic).backward()
        with frozen(self.critic):
            (made,) = patch_logits(self.critic, source, [image])
            losses |= adversarial_losses({"image": made}, output, LOSS)
        _total(losses).backward()
        _step(self.optimizers)
        return (_total(of_critic) + _total(losses)).detach()


class Plain:
    """The same, written by the book."""

    def __init__(self, generator: nn.Module, critic: nn.Module):
        self.generator, self.critic = generator, critic
        options = {"lr": ADAM.lr, "betas": ADAM.betas}
        self.optimizers = [torch.optim.Adam(n.parameters(), **options) for n in (generator, critic)]

    def __call__(self, source: Tensor, target: Tensor, target_map: Tensor) -> Tensor:
        image = self.generator(source, target_map)["image"]
        real, made = self.critic(source, target), self.critic(source, image.detach())
        of_critic = 0.5 * (_bce(real, 1.0) + _bce(made, 0.0))
        of_critic.backward()
        self.critic.requires_grad_(False)
        loss = LOSS.image * F.l1_loss(image, target) + _bce(self.critic(source, image), 1.0)
        loss.backward()
        self.critic.requires_grad_(True)
        _step(self.optimizers)
        return (of_critic + loss).detach()


def _bce(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))


def _total(losses: dict[str, Tensor]) -> Tensor:
    return sum(loss.mean() for loss in losses.values())


def _step(optimizers: list[torch.optim.Optimizer]) -> None:
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
