"""CrossMLP at full size: images a second beside a plain port, and bytes of a training step.

python benchmarks/crossview_speed.py [--size 256] [--batch 1] [--compiled] [--threads 2]
python benchmarks/crossview_speed.py --memory 4

The plain port is the first stage by the book, as one would write it: tokens (B, S, C) transposed
for token mixing and back, a stream after the other, the discriminator called for each image. Both
take the same parameters and must first give the same. Times in turn, the smallest of the
repeats counts; seconds of the wall clock. --memory N: what autograd keeps for a step of N images,
counted by torch's hooks on fake tensors (nothing is computed), with weights, gradients, Adam.
"""

from __future__ import annotations

import argparse
import time

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.crossview.config import LossConfig, ModelConfig
from apps.crossview.data.maps import Palette, open_palette
from apps.crossview.models.cross_mixer import CrossMixer
from apps.crossview.models.crossmlp import CascadeMixer
from apps.crossview.models.discriminator import PatchDiscriminator
from apps.crossview.models.losses import (
    adversarial_losses,
    discriminator_losses,
    pixel_losses,
)
from apps.crossview.models.network import Generator


class PlainMlp(nn.Module):
    def __init__(self, source):
        super().__init__()
        self.fc1, self.fc2 = source.fc1, source.fc2

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(F.linear(x, self.fc1.weight, self.fc1.bias))
        return F.linear(hidden, self.fc2.weight, self.fc2.bias)


class PlainCrossMixer(nn.Module):
    """CrossMixer on (B, S, C), with the parameters of ours."""

    def __init__(self, ours: CrossMixer):
        super().__init__()
        self.ours = ours

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        ours, grid = self.ours, self.ours.grid
        u = ours.embed_u(u).flatten(2).transpose(1, 2)
        v = ours.embed_v(v).flatten(2).transpose(1, 2)
        first_u, first_v = u, v
        for block in ours.blocks:
            u = u + self.tokens(block.u, u)
            v = v + self.tokens(block.v, v)
            new_u = u + self.channels(block.u, u + v)
            new_v = v + self.channels(block.v, v + u)
            u, v = new_u, new_v
        u, v = first_u + ours.norm_u(u), first_v + ours.norm_v(v)
        u, v = (x.transpose(1, 2).reshape(x.shape[0], -1, *grid) for x in (u, v))
        return ours.join(torch.cat([ours.decode_u(u), ours.decode_v(v)], 1))

    @staticmethod
    def tokens(block, x: Tensor) -> Tensor:
        return PlainMlp(block.mlp_tokens)(block.norm1(x).transpose(1, 2)).transpose(1, 2)

    @staticmethod
    def channels(block, x: Tensor) -> Tensor:
        return PlainMlp(block.mlp_channels)(block.norm2(x))


def plain(ours: CascadeMixer) -> CascadeMixer:
    """The same network with the plain CrossMixer."""
    import copy

    network = copy.deepcopy(ours)
    for block in network.blocks:
        block.mixer = PlainCrossMixer(block.mixer)
    return network


def timed(call, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def rows(options: argparse.Namespace) -> None:
    size = (options.size, options.size)
    ours = CascadeMixer(size, 3)
    networks = {"ours": ours, "plain port": plain(ours)}
    source, target_map = torch.rand(2, options.batch, 3, *size) * 2 - 1
    with torch.no_grad():
        maps = torch.rand(2, options.batch, 256, options.size // 4, options.size // 4)
        made = [network.blocks[0].mixer(*maps) for network in networks.values()]
    apart = float((made[0] - made[1]).abs().max() / made[0].abs().max())
    print(f"largest difference of what the first CrossMixer gives: {apart:.1e} of the largest")
    if options.compiled:
        networks |= {f"{name}, compiled": torch.compile(n) for name, n in networks.items()}

    def infer(network):
        with torch.no_grad():
            network(source, target_map)

    def step(network):
        output = network(source, target_map)
        sum(value.abs().mean() for value in output.values()).backward()
        network.zero_grad(set_to_none=True)

    for what, call in (("inference", infer), ("training", step)):
        for network in networks.values():
            call(network)  # warm up, compile
        best = {name: float("inf") for name in networks}
        for _ in range(options.repeats):
            for name, network in networks.items():
                best[name] = min(best[name], timed(lambda n=network: call(n), 1))  # noqa: B023
        for name, seconds in best.items():
            ratio = best["plain port"] / seconds
            speed = f"{options.batch / seconds:7.3f} images/s"
            print(f"{what:10} {name:22} {speed}  {ratio:5.2f} times the plain port")


def memory(batch: int, size: int) -> None:
    """Bytes of one training step of CrossMLP in float32 with both networks."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    palette: Palette = open_palette("cityscapes")
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            seen[id(storage)] = max(seen.get(id(storage), 0), storage.nbytes())
            alive.append(storage)
        return tensor

    alive: list = []
    with FakeTensorMode():
        generator = Generator(ModelConfig(maps="rgb"), (size, size), palette)
        critic = PatchDiscriminator()
        source, target, given = (torch.empty(batch, 3, size, size) for _ in range(3))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            output = generator(source, given)
            losses = pixel_losses(output, target, given, LossConfig())
            images = {name: output[name] for name in ("coarse", "image")}
            made = {name: critic(source, image) for name, image in images.items()}
            losses |= adversarial_losses(made, output, LossConfig())
            fakes = {name: critic(source, image.detach()) for name, image in images.items()}
            losses |= discriminator_losses(critic(source, target), fakes, output)
    count = sum(p.numel() for m in (generator, critic) for p in m.parameters())
    parts = {
        "weights": 4 * count,
        "gradients": 4 * count,
        "Adam": 8 * count,
        "kept for the backward passes": sum(seen.values()),
    }
    for name, value in parts.items():
        print(f"{name:30} {value / 2**30:6.2f} GiB")
    print(f"{'sum':30} {sum(parts.values()) / 2**30:6.2f} GiB at batch {batch}, {size}x{size}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true", help="compiled networks too")
    parser.add_argument("--memory", type=int, default=0, help="images of a step: bytes, no times")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {options.threads} threads, CPU")
    if options.memory:
        memory(options.memory, options.size)
    else:
        rows(options)


if __name__ == "__main__":
    main()
