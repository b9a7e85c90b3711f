"""Augmentations: what they may do, that the seed decides, and mixtures by hand."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from core import InputError
from core.data.augment import AugmentConfig, Normalized, mix, randaugment, train_transform
from core.data.loading import seed_everything

HALVES = ((0.5,) * 3, (0.5,) * 3)
PLAIN = AugmentConfig(crop_area=(1, 1), flip=0.0)
ALL = AugmentConfig(shift=0.1, vertical_flip=0.5, randaugment=15, erasing=0.5)


def picture(side: int = 32) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def views(config: AugmentConfig, count: int = 20, size=(24, 16)) -> torch.Tensor:
    transform = train_transform(config, size, HALVES)
    return torch.stack([drawn(transform, seed) for seed in range(count)])


def drawn(transform, seed: int) -> torch.Tensor:
    seed_everything(seed)
    return transform(picture())


def test_shape_range_and_the_seed_decides():
    found = views(replace(ALL, erasing=0.0))
    assert found.shape == (20, 3, 24, 16)
    assert found.dtype == torch.float32
    assert found.min() >= -1
    assert found.max() <= 1
    assert torch.equal(views(ALL), views(ALL))
    assert len({tuple(view.flatten().tolist()) for view in views(ALL)}) == 20


def test_the_last_step_is_torchvisions_to_the_bit():
    normalization = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*normalization)]
    expected, image = v2.Compose(steps)(picture(256)), picture(256)
    found = Normalized(*normalization)(image)
    assert torch.equal(found, expected)
    assert type(found) is torch.Tensor
    assert np.array_equal(np.array(image), np.array(picture(256))), "the picture stays"


def test_another_process_draws_the_same():
    transform = train_transform(ALL, (24, 16), HALVES)
    copied = pickle.loads(pickle.dumps(transform))
    assert torch.equal(drawn(transform, 3), drawn(copied, 3))


def test_options_that_are_off_draw_nothing():
    """So that a run with none of them sees what it saw before they existed."""
    transform = train_transform(AugmentConfig(), (24, 16), HALVES)
    seed_everything(0)
    transform(picture())
    states = np.random.get_state()[2], torch.get_rng_state()  # noqa: NPY002 - the global generator
    seed_everything(0)
    assert np.random.get_state()[2] == states[0]  # noqa: NPY002
    assert not torch.equal(torch.get_rng_state(), states[1])


def test_vertical_flip():
    upright = views(PLAIN, 1)[0]
    assert torch.equal(views(replace(PLAIN, vertical_flip=1.0), 1)[0], upright.flip(1))
    both = views(replace(PLAIN, vertical_flip=0.5))
    turned = [torch.equal(view, upright.flip(1)) for view in both]
    assert 0 < sum(turned) < 20
    assert all(t or torch.equal(view, upright) for t, view in zip(turned, both, strict=True))


def test_erasing_puts_one_rectangle_of_noise():
    upright, erased = views(PLAIN, 1, (64, 64))[0], views(replace(PLAIN, erasing=1.0), 20, (64, 64))
    for view in erased:
        changed = (view != upright).all(0)
        rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
        box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert changed.sum() == box
        assert 0.01 < box / 64**2 < 0.36
    noise = (erased - upright)[(erased != upright).all(1, keepdim=True).expand_as(erased)]
    assert noise.std() > 0.5


def test_randaugment_applies_two_operations_always_and_beyond_level_ten(monkeypatch):
    """big_vision's rules; timm's own string would skip half the layers and clip the level."""
    transform, used = randaugment(15), []
    for operation in transform.ops:

        def note(image, *args, name=operation.name, **_):
            used.append((name, abs(args[0]) if args else None))
            return image

        monkeypatch.setattr(operation, "aug_fn", note)
    seed_everything(0)
    for _ in range(200):
        transform(picture())
    assert len(used) == 400
    levels = dict(used)
    assert len(levels) == 15
    assert levels["Rotate"] == 45  # 15/10 of 30 degrees
    assert levels["TranslateXRel"] == pytest.approx(1.5 * 100 / 224)
    assert levels["Color"] == levels["Brightness"] == pytest.approx(2.8)
    assert levels["Posterize"] == 6


@pytest.mark.parametrize("magnitude", [2.5, 20.0])
def test_every_operation_takes_the_lowest_and_the_highest_magnitude(magnitude):
    for operation in randaugment(magnitude).ops:
        seed_everything(0)
        assert operation(picture()).size == picture().size


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_mixtures_of_a_batch(kind, count):
    images = torch.arange(count).float().view(-1, 1, 1, 1).expand(count, 3, 8, 8).contiguous()
    labels, before = torch.arange(count), images.clone()
    config = AugmentConfig(**{kind: 0.8})
    for seed in range(10):
        seed_everything(seed)
        mixed, targets = mix(images, labels, 7, config)
        assert torch.equal(images, before)
        assert mixed.shape == images.shape
        assert targets.shape == (count, 7)
        torch.testing.assert_close(targets.sum(1), torch.ones(count))
        # pixels are their image's number: their mean is the number that the target stands for
        expected = (targets[:, :count] * torch.arange(count)).sum(1)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected)
        seed_everything(seed)
        again, again_targets = mix(images, labels, 7, config)
        assert torch.equal(again, mixed)
        assert torch.equal(again_targets, targets)


def test_mixup_by_hand(monkeypatch):
    monkeypatch.setattr(np.random, "beta", lambda a, b: 0.25)
    images, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
    mixed, targets = mix(images, labels, 3, AugmentConfig(mixup=0.5))
    torch.testing.assert_close(mixed, 0.25 * images + 0.75 * images.flip(0))
    expected = torch.tensor([[1.0, 0, 0], [0, 0.25, 0.75], [0, 0.75, 0.25], [1.0, 0, 0]])
    torch.testing.assert_close(targets, expected)
    mixed, targets = mix(images[:3], labels[:3], 3, AugmentConfig(mixup=0.5))
    torch.testing.assert_close(mixed[0], images[0])
    torch.testing.assert_close(mixed[1:], 0.25 * images[1:3] + 0.75 * images[1:3].flip(0))
    expected = torch.tensor([[1.0, 0, 0], [0, 0.25, 0.75], [0, 0.75, 0.25]])
    torch.testing.assert_close(targets, expected)


def test_both_mixtures_take_turns_and_neither_leaves_the_batch():
    images, labels = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]), torch.arange(2)
    same, targets = mix(images, labels, 2, AugmentConfig())
    assert same is images
    assert targets is labels
    kinds = set()
    for seed in range(20):
        seed_everything(seed)
        mixed, _ = mix(images, labels, 2, AugmentConfig(mixup=1.0, cutmix=1.0))
        kinds.add("cut" if set(mixed.unique().tolist()) <= {0.0, 1.0} else "mixed")
    assert kinds == {"cut", "mixed"}


def test_a_share_of_the_batches_is_mixed():
    images, labels = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]), torch.arange(2)
    config, plain = AugmentConfig(mixup=1.0, mixed=0.3), 0
    for seed in range(300):
        seed_everything(seed)
        same, targets = mix(images, labels, 2, config)
        plain += torch.equal(same, images)
        assert torch.equal(targets.sum(1), torch.ones(2))
    assert 0.6 < plain / 300 < 0.8


def test_policies_of_one_picture_are_torchvisions_on_grey():
    kinds = {"trivialaugment": v2.TrivialAugmentWide(fill=128)}
    kinds["autoaugment"] = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=128)
    for name, theirs in kinds.items():
        ours = train_transform(replace(PLAIN, policy=name), (32, 40), HALVES)
        plain = train_transform(PLAIN, (32, 40), HALVES)
        for seed in range(10):
            seed_everything(seed)
            mine = ours(picture())
            seed_everything(seed)
            torch.rand(())  # that the flip draws
            assert torch.equal(mine, plain(theirs(picture()))), (name, seed)


WRONG = [
    {"flip": 1.5},
    {"vertical_flip": -0.1},
    {"erasing": 2.0},
    {"randaugment": -1.0},
    {"randaugment": 2.0},
    {"mixup": float("nan")},
    {"cutmix": -0.2},
    {"mixed": 1.2},
    {"mixed": 0.5},  # of nothing: neither mixup nor cutmix
    {"shift": -1.0},
    {"crop_area": (0.5, 0.2)},
]


@pytest.mark.parametrize("change", WRONG)
def test_values_out_of_range_are_named(change):
    (name,) = change
    with pytest.raises(InputError, match=rf"augment\.{name} is"):
        train_transform(replace(PLAIN, **change), (8, 8), HALVES)
    if name in ("mixup", "cutmix"):
        with pytest.raises(InputError, match=name):
            mix(torch.zeros(2, 3, 4, 4), torch.arange(2), 2, replace(PLAIN, **change))


def ramps(side=64):
    """Red rises from left to right, green downwards, blue stays: 0 to 252."""
    levels = np.arange(side, dtype=np.uint8) * (256 // side)
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = levels, levels[:, None], 200
    return Image.fromarray(pixels)


def share(pixels):
    """The share of the ramps that a view (3, h, w) shows, by their slopes inside."""
    across = (pixels[0, :, -2] - pixels[0, :, 1]).mean() / (pixels.shape[2] - 3)
    down = (pixels[1, -2] - pixels[1, 1]).mean() / (pixels.shape[1] - 3)
    return float(across * down) * (255 / 4) ** 2 * pixels[0].numel() / 64**2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"crop_area": (1, 1)}, 1.0),
        ({"crop_area": (1, 1), "margin": 2.0}, 0.25),
        ({"crop_area": (0.5, 0.5)}, 0.5),
        ({"crop_area": (0.2, 0.2)}, 0.2),
    ],
)
def test_a_view_shows_the_share_that_is_asked_for(options, expected):
    config = AugmentConfig(**{"flip": 0.0, **options})
    view = train_transform(config, (32, 32), ((0.0,) * 3, (1.0,) * 3))
    seed_everything(0)
    shares = [share(view(ramps())) for _ in range(8)]
    assert shares == pytest.approx([expected] * 8, rel=0.08)


def test_what_a_shift_moves_in_is_the_picture_mirrored():
    config = AugmentConfig(crop_area=(1, 1), flip=0.0, shift=0.25)
    view = train_transform(config, (32, 32), ((0.0,) * 3, (1.0,) * 3))
    seed_everything(0)
    views = torch.stack([view(ramps()) for _ in range(8)])
    torch.testing.assert_close(views[:, 2], torch.full((8, 32, 32), 200 / 255))
    assert len({float(v[0, 0, 0]) for v in views}) > 3
