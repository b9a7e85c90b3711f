"""From a picture to a training input: torchvision's crops and flips, timm's augmentations.

Everything random is drawn from the global generators of Python, NumPy and torch, which the loaders
seed for each sample and `Run` for each micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.ranges import Decay, NonNegative, Range, Seed, Share, Shares, Whole, check_ranges

JITTERED = 0.8  # share of the pictures whose colours `jitter` moves


@dataclass(frozen=True)
class AugmentConfig:
    """Random crops, flips and colours of a picture, and mixtures of two."""

    crop_area: Shares = (0.05, 1.0)  # Inception crop; (1, 1): none
    # resize to this times the size, squashing, and crop at random; 1: none
    margin: Annotated[float, Range(1, 4)] = 1.0
    shift: Decay = 0.0  # crop of the image padded by this fraction of the size, for small images
    flip: Share = 0.5  # probability
    vertical_flip: Share = 0.0  # probability; for pictures without an up, such as fractals
    # magnitude of its 2 layers; the Mixer's: 10, 15 or 20; 0: none
    randaugment: Annotated[float, Range(0, 30)] = 0.0
    # TrivialAugment (arXiv 2103.10158), or AutoAugment's policy for CIFAR-10 (arXiv 1805.09501)
    policy: Literal["none", "trivialaugment", "autoaugment"] = "none"
    # brightness and contrast within 0.4 of 1 times this, saturation 0.2, hue 0.1 of its circle, for
    # 4 pictures of 5 (ColorJitter of SimCLR, arXiv 2002.05709, as LeJEPA has it); 0: none; above
    # 2.5 brightness would become negative
    jitter: Annotated[float, Range(0, 2.5)] = 0.0
    grey: Share = 0.0  # probability of a picture without colour
    erasing: Share = 0.0  # probability of a random rectangle of noise
    # Beta(a, a) of the mixing weight, one a batch; the Mixer's: 0.2, 0.5, 0.8
    mixup: NonNegative = 0.0
    # the same for a rectangle's area; beside mixup: half the batches each
    cutmix: NonNegative = 0.0
    mixed: Share = 1.0  # probability that a batch is mixed at all, where mixup or cutmix is set
    label_smoothing: Decay = 0.0
    # one order of the patches, or of all pixels, for all images of training and evaluation
    # (core/data/shuffle.py; Figure 4 of MLP-Mixer)
    shuffle: Literal["none", "patches", "pixels"] = "none"
    # side in pixels; 0: the network's own patch. To compare two, say it
    shuffle_patch: Whole = 0
    shuffle_seed: Seed = 0  # of the order


def train_transform(config: AugmentConfig, image_size: tuple[int, int], normalization) -> Callable:
    """A function of an RGB PIL image that gives a float tensor (3, H, W).

    The crop takes a share of the picture within `crop_area`, at an aspect of 3/4 to 4/3; without
    one (1, 1) it is of the size, out of the picture resized to `margin` times it. With `shift` the
    result is padded on each side, mirrored, and cropped again. Flips follow, RandAugment, the
    policy, colour jitter, grey, normalization by (mean, std), and random erasing. Raises InputError
    for a value that is out of its range.
    """
    from torchvision.transforms import v2  # slow to import

    check_augment(config)
    if config.crop_area[0] < 1:
        steps = [v2.RandomResizedCrop(image_size, scale=config.crop_area, antialias=True)]
    else:
        larger = [round(config.margin * side) for side in image_size]
        steps = [v2.Resize(larger, antialias=True)]
        if config.margin > 1:
            steps.append(v2.RandomCrop(image_size))
    if config.shift:
        padding = [round(config.shift * side) for side in image_size[::-1]]
        steps.append(v2.RandomCrop(image_size, padding=padding, padding_mode="reflect"))
    steps.append(v2.RandomHorizontalFlip(config.flip))
    if config.vertical_flip:
        steps.append(v2.RandomVerticalFlip(config.vertical_flip))
    if config.randaugment:
        steps.append(randaugment(config.randaugment))
    if config.policy != "none":
        steps.append(_policy(config.policy))
    if config.jitter:
        steps.append(v2.RandomApply([v2.ColorJitter(*jitter_reach(config.jitter))], JITTERED))
    if config.grey:
        steps.append(v2.RandomGrayscale(config.grey))
    steps.append(Normalized(*normalization))
    if config.erasing:
        steps.append(_erasing(config.erasing))
    return v2.Compose(steps)


def jitter_reach(strength: float) -> tuple[float, float, float, float]:
    """How far brightness, contrast, saturation (about 1) and hue (about 0) go."""
    return 0.4 * strength, 0.4 * strength, 0.2 * strength, 0.1 * strength


class Normalized:
    """An RGB PIL image as a float tensor (3, H, W): pixels in [0, 1], less `mean`, over `std`.

    To the bit torchvision's ToImage, ToDtype and Normalize, in a third of their time: planes of a
    channel each come first, and arithmetic runs along them.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))

    def __call__(self, image) -> Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        planes = pixels.to(torch.float32, memory_format=torch.contiguous_format)
        return planes.mul_(1 / 255).sub_(self.mean).div_(self.std)


def randaugment(magnitude: float) -> Callable:
    """RandAugment of a PIL image (Cubuk et al. 2019, arXiv 1909.13719): 2 of timm's operations.

    As big_vision's `pp/autoaugment.py`, which the Mixer's recipe uses: every layer is applied, a
    magnitude above 10 goes beyond the operations' nominal range, translations are 100 pixels of 224
    at magnitude 10, and what moves in is grey. timm's own `rand-m15-n2` differs: it leaves each
    layer out half the time, and clips the magnitude at 10. Deviation: timm has no Cutout among its
    15 operations, big_vision has it as a 16th.
    """
    from timm.data.auto_augment import RandAugment, rand_augment_ops  # slow to import

    wide = {"magnitude_max": magnitude, "translate_pct": 100 / 224}
    return RandAugment(rand_augment_ops(magnitude, prob=1.0, hparams=wide), num_layers=2)


def _policy(name: str) -> Callable:
    """torchvision's, where what moves in is grey."""
    from torchvision.transforms import v2  # slow to import

    if name == "trivialaugment":
        return v2.TrivialAugmentWide(fill=128)
    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=128)


def _erasing(probability: float) -> Callable:
    """Random erasing (Zhong et al. 2017, arXiv 1708.04896), one rectangle of normal noise.

    It has 2 % to 33 % of the area and an aspect of 0.3 to 1/0.3: timm's constants.
    """
    from timm.data.random_erasing import RandomErasing  # slow to import

    return RandomErasing(probability, mode="pixel", device="cpu")


def mix(
    images: Tensor, labels: Tensor, classes: int, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """mixup (arXiv 1710.09412) or CutMix (arXiv 1905.04899) of a batch with itself, by timm.

    (B, 3, H, W), labels (B,) -> new images, soft targets (B, classes) that sum to 1. With neither
    in `config` both come back as they are. Sample i is mixed with the i-th last one; of an odd
    batch the first one stays as it is, and the others are mixed so. NumPy's generator decides.
    """
    check_augment(config)
    if not (config.mixup or config.cutmix):
        return images, labels
    from timm.data import Mixup  # slow to import

    if odd := len(images) % 2:  # timm asks for pairs: the first image is its own partner
        images, labels = torch.cat([images, images[:1]]), torch.cat([labels, labels[:1]])
    options = {"mixup_alpha": config.mixup, "cutmix_alpha": config.cutmix}
    mixer = Mixup(**options, prob=config.mixed, label_smoothing=0.0, num_classes=classes)
    mixed, targets = mixer(images.clone(), labels)  # it writes into its argument
    return mixed[: len(mixed) - odd], targets[: len(mixed) - odd]


def check_augment(config: AugmentConfig) -> None:
    """Raise InputError for settings that are out of range or do not go together."""
    check_ranges(config, "augment.")
    if config.margin > 1 and config.crop_area[0] < 1:
        raise InputError(f"augment.margin is {config.margin}: it needs crop_area (1, 1)")
    if config.mixed < 1 and not (config.mixup or config.cutmix):
        raise InputError(f"augment.mixed is {config.mixed}, but neither mixup nor cutmix is set")
    if 0 < config.randaugment < 2.5:  # timm's Posterize would keep 0 bits, which Pillow refuses
        raise InputError(f"augment.randaugment is {config.randaugment}; choose 2.5 or more, or 0")
