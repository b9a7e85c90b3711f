"""What is timed: a network with a linear head, and its steps on images that are made beforehand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from core.errors import InputError
from core.models.classifier import create_classifier
from core.profiling.cost import peak_memory, resident_bytes
from core.profiling.timing import Clock

Mode = Literal["inference", "train"]
Compile = Literal["eager", "compiled"]
# autocast: float32 parameters, products in bfloat16; pure: parameters, images and AdamW's state too
Precision = Literal["fp32", "bf16-autocast", "bf16-pure"]

CLASSES = 1000
LARGEST_BATCH = {"cuda": 4096, "cpu": 256}  # where the search for the best batch ends
SLOWEST_STEP = 5.0  # seconds; the search does not try twice the images of such a step


@dataclass(frozen=True)
class Setting:
    """How a network is run."""

    mode: Mode = "inference"
    compile: Compile = "eager"
    precision: Precision = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrix products."""
        return torch.float32 if self.precision == "fp32" else torch.bfloat16

    def __str__(self) -> str:
        return f"{self.mode}, {self.compile}, {self.precision}"


@dataclass
class Subject:
    """A network on its device, in one setting; `optimizer` for training."""

    network: nn.Module
    setting: Setting
    device: torch.device
    image_size: tuple[int, int]
    optimizer: torch.optim.Optimizer | None = None
    channels_last: bool = False

    def images(self, batch: int) -> Tensor:
        """(B, 3, H, W) of unit normal noise, on the device."""
        dtype = torch.bfloat16 if self.setting.precision == "bf16-pure" else torch.float32
        images = torch.randn(batch, 3, *self.image_size, device=self.device, dtype=dtype)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout)

    def step(self, batch: int) -> Callable[[], None]:
        """One forward pass, or one training step, of always the same `batch` images."""
        images = self.images(batch)
        if self.optimizer is None:
            return partial(self._infer, images)
        return partial(self._train, images, torch.randint(CLASSES, (batch,), device=self.device))

    def memory(self, batch: int) -> int:
        """Peak bytes of a step: parameters, optimizer state, images, and what the step adds."""
        step, kept = self.step(batch), resident_bytes(self.network, self.optimizer)
        images = self.images(1)
        return (
            kept + batch * images.numel() * images.element_size() + peak_memory(step, self.device)
        )

    def compile(self) -> None:
        """By inductor, for each shape of images by itself."""
        self.network.compile(dynamic=False)

    @torch.inference_mode()
    def _infer(self, images: Tensor) -> None:
        with self._autocast():
            self.network(images)

    def _train(self, images: Tensor, labels: Tensor) -> None:
        with self._autocast():
            loss = F.cross_entropy(self.network(images), labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _autocast(self):
        wanted = self.setting.precision == "bf16-autocast"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=wanted)


def open_subject(
    name: str,
    setting: Setting,
    image_size: tuple[int, int],
    device: torch.device,
    channels_last: bool = False,
) -> Subject:
    """A backbone by name with a head of 1,000 classes: pooled as its own network pools, then
    linear. For training with fused AdamW. Random weights: they make no difference to the time.
    """
    backbone, options = split_options(name)
    with device:  # drawing the weights of a large network takes long on a processor
        network = create_classifier(backbone, image_size, CLASSES, **options)
    network.to(device, torch.bfloat16 if setting.precision == "bf16-pure" else torch.float32)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    network.train(setting.mode == "train")
    trained = setting.mode == "train"
    optimizer = torch.optim.AdamW(network.parameters(), fused=True) if trained else None
    return Subject(network, setting, device, image_size, optimizer, channels_last)


def split_options(name: str) -> tuple[str, dict]:
    """ "mixer_b16,gelu=exact" as ("mixer_b16", {"gelu": "exact"}); values are yaml."""
    backbone, *words = name.split(",")
    pairs = [word.partition("=") for word in words]
    if wrong := [word for word, (_, equals, _) in zip(words, pairs, strict=True) if not equals]:
        raise InputError(f"{name}: {wrong[0]!r} is no option, write NAME,option=value")
    return backbone, {key: yaml.safe_load(value) for key, _, value in pairs}


def best_batch(subject: Subject, clock: Clock) -> int:
    """The power of two with the most images/s; two doublings without 1% more, or no memory, end it.

    It is sought without compilation.
    """
    best, most, size = 1, 0.0, 1
    largest = LARGEST_BATCH["cuda" if subject.device.type == "cuda" else "cpu"]
    while size <= min(largest, 4 * best):
        try:
            seconds = _quick(subject.step(size), clock)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            break
        if size / seconds > 1.01 * most:
            best, most = size, size / seconds
        if seconds > SLOWEST_STEP:
            break
        size *= 2
    return best


def _quick(step: Callable[[], None], clock: Clock, calls: int = 3) -> float:
    step()
    begun = clock()
    for _ in range(calls):
        step()
    return (clock() - begun) / calls


@contextmanager
def fp32_products(tf32: bool):
    """float32 products in TF32 or in full, on GPUs that have both; as before at the end."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def compiled_for_every_shape():
    """Networks share code, and dynamo gives one code 8 compilations, then runs it uncompiled
    without a word: here there are as many as are needed, and where they end is an error."""
    import torch._dynamo as dynamo

    limits = {"recompile_limit": 512, "accumulated_recompile_limit": 512}
    with dynamo.config.patch(**limits, fail_on_recompile_limit_hit=True):
        dynamo.reset()
        yield
