"""Augmentation in batches: against Pillow, timm and torchvision on the same pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from timm.data import auto_augment as of_timm
from torchvision.transforms import InterpolationMode, v2

from core import InputError
from core.data.augment import AugmentConfig, train_transform
from core.data.batched import colours, geometry
from core.data.batched.draws import COLUMNS, Draws, EpochDraws
from core.data.batched.policies import (
    COLOURS,
    MOVES,
    NAMES,
    NUMBER,
    Layer,
    auto_augment,
    moves,
    rand_augment,
    rand_strengths,
    recolour,
    trivial_augment,
)
from core.data.batched.transform import BatchTransform

HALVES = ((0.5,) * 3, (0.5,) * 3)
STILL = AugmentConfig(crop_area=(1, 1), flip=0.0)


def pictures(count=3, side=24):
    """Smooth pictures of narrow and wide ranges, uint8 (B, 3, H, W)."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((count, 3, 4, 4), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    low, high = torch.tensor([0.0, 40, 90])[:count], torch.tensor([255.0, 200, 130])[:count]
    return (low.view(-1, 1, 1, 1) + smooth * (high - low).view(-1, 1, 1, 1)).round().byte()


def as_pil(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def numbers(count, seed=0):
    rng = np.random.default_rng(seed)
    return Draws(torch.from_numpy(rng.random((count, COLUMNS), dtype=np.float32)))


PILLOW = {
    "AutoContrast": (0, lambda image, _: ImageOps.autocontrast(image)),
    "Equalize": (0, lambda image, _: ImageOps.equalize(image)),
    "Invert": (0, lambda image, _: ImageOps.invert(image)),
    "Posterize": (3, lambda image, m: ImageOps.posterize(image, int(m))),
    "Solarize": (110, ImageOps.solarize),
    "SolarizeAdd": (60, lambda image, m: of_timm.solarize_add(image, int(m))),
    "Color": (1.7, lambda image, m: ImageEnhance.Color(image).enhance(m)),
    "Contrast": (0.3, lambda image, m: ImageEnhance.Contrast(image).enhance(m)),
    "Brightness": (1.4, lambda image, m: ImageEnhance.Brightness(image).enhance(m)),
    "Sharpness": (1.8, lambda image, m: ImageEnhance.Sharpness(image).enhance(m)),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_pillows(name):
    images = pictures()
    strength, theirs = PILLOW[name]
    ours = COLOURS[name](images.float(), torch.full((3, 1, 1, 1), float(strength)))
    for image, result in zip(images, ours, strict=True):
        assert (as_tensor(theirs(as_pil(image), strength)) - result).abs().max() <= 1.6  # rounding


def test_flat_and_dark_pictures_stay_finite():
    flat = torch.full((2, 3, 8, 8), 7.0)
    for change in (colours.autocontrast, colours.equalize):
        assert torch.equal(change(flat, None), flat)


@pytest.mark.parametrize("name", ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"])
@pytest.mark.parametrize("strength", [0.2, -0.3])
def test_moves_are_timms(name, strength):
    theirs = {"TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel"}.get(name, name)
    strength = strength * 100 if name == "Rotate" else strength
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": (128, 128, 128)}
    images = pictures()
    layer = Layer(torch.full((3,), NUMBER[name]), torch.full((3,), strength))
    maps = moves([layer], (24, 24))
    ours = geometry.sample(images.float(), maps, (24, 24), maps, 128.0)
    for image, result in zip(images, ours, strict=True):
        expected = as_tensor(of_timm.NAME_TO_OP[theirs](as_pil(image), strength, **options))
        apart = (expected - result).abs().amax(0) > 2
        assert apart.float().mean() < 0.09  # the rim, which Pillow blends otherwise


def test_moves_of_two_layers_are_one_after_another():
    layers = [
        Layer(torch.tensor([NUMBER[n]]), torch.tensor([s]))
        for n, s in (("ShearX", 0.3), ("Rotate", 90.0))
    ]
    corner = torch.tensor([0.5, 0.0, 1.0])
    turned = geometry.rotate(torch.tensor([90.0]), (8, 8))[0] @ corner
    expected = geometry.shear_x(torch.tensor([0.3]), (8, 8))[0] @ turned
    torch.testing.assert_close(moves(layers, (8, 8))[0] @ corner, expected)


def test_without_randomness_it_is_the_plain_transform():
    images = pictures(side=16)
    plain = torch.stack([train_transform(STILL, (16, 16), HALVES)(as_pil(i)) for i in images])
    ours = BatchTransform(STILL, HALVES)(images, numbers(3), (16, 16), None)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=0)
    mirrored = BatchTransform(replace(STILL, flip=1.0), HALVES)(images, numbers(3), (16, 16), None)
    torch.testing.assert_close(mirrored, plain.flip(3), atol=1e-5, rtol=0)
    smaller = BatchTransform(STILL, HALVES)(images, numbers(3), (8, 8), None)
    resize = v2.Resize((8, 8), InterpolationMode.BILINEAR, antialias=True)
    torch.testing.assert_close(smaller, resize(plain), atol=1e-5, rtol=0)


def test_a_shift_is_a_crop_of_the_mirrored_picture_by_whole_pixels():
    images = pictures(1, side=16).repeat(40, 1, 1, 1)
    shifted = BatchTransform(replace(STILL, shift=0.125), HALVES)(
        images, numbers(40), (16, 16), None
    )
    padded = torch.nn.functional.pad(images[:1].float() / 127.5 - 1, [2] * 4, mode="replicate")
    inner = [padded[0, :, y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
    seen = set()
    for image in shifted:
        apart = [(image - one)[:, 2:-2, 2:-2].abs().max().item() for one in inner]
        assert min(apart) < 1e-5
        seen.add(int(np.argmin(apart)))
    assert len(seen) > 12


def test_crops_lie_within_and_have_their_area_and_aspect():
    maps = geometry.random_crop(numbers(500), (0.2, 0.9))
    width, height = maps[:, 0, 0], maps[:, 1, 1]
    assert (maps[:, 0, 2].abs() + width <= 1 + 1e-6).all()
    assert (maps[:, 1, 2].abs() + height <= 1 + 1e-6).all()
    free = (width < 1) & (height < 1)
    area, aspect = (width * height)[free], (width / height)[free]
    assert 0.2 <= area.min() < 0.25
    assert 0.8 < area.max() <= 0.9
    assert 0.75 <= aspect.min() < 0.78
    assert 1.28 < aspect.max() <= 4 / 3 + 1e-5


def test_erasing_covers_its_share_of_the_pictures_and_of_the_area():
    images, noise = torch.zeros(400, 3, 16, 16, dtype=torch.uint8), torch.Generator()
    erased = BatchTransform(replace(STILL, erasing=0.5), HALVES)(
        images, numbers(400), (16, 16), noise
    )
    shares = (erased != -1).any(1).float().mean((1, 2))
    assert 0.4 < (shares > 0).float().mean() < 0.6
    assert 0.1 < shares[shares > 0].mean() < 0.25
    assert shares.max() < 0.45


def test_randaugment_has_timms_strengths():
    for magnitude in (5.0, 9.0, 15.0):
        wide = {"magnitude_max": magnitude, "translate_pct": 100 / 224}
        ops = of_timm.rand_augment_ops(magnitude, prob=1.0, hparams=wide)
        ours = rand_strengths(magnitude)
        assert [op.name.removesuffix("Rel") for op in ops] == sorted(
            ours, key=[op.name.removesuffix("Rel") for op in ops].index
        )
        for op in ops:
            theirs = op.level_fn(magnitude, op.hparams) if op.level_fn else 0
            theirs = abs(theirs[0] if isinstance(theirs, tuple) else theirs)
            assert ours[op.name.removesuffix("Rel")] == pytest.approx(theirs)


def test_randaugment_draws_two_of_its_operations_and_a_sign_for_those_that_move():
    layers = rand_augment(numbers(4000), 9.0)
    assert len(layers) == 2
    strengths = rand_strengths(9.0)
    for operation, strength in layers:
        for name, value in strengths.items():
            drawn = strength[operation == NUMBER[name]]
            assert 0.05 < len(drawn) / 4000 < 0.085, name
            assert torch.allclose(drawn.abs(), torch.tensor(value)), name
            assert bool((drawn < 0).any()) == (name in MOVES), name
    assert not torch.equal(layers[0].operation, layers[1].operation)


def test_trivialaugment_and_autoaugment_draw_what_torchvision_draws():
    """Every operation about as often, within torchvision's ranges, and of either sign."""
    [layer] = trivial_augment(numbers(4000), 64)
    space = v2.TrivialAugmentWide._AUGMENTATION_SPACE
    shares = {NAMES[i]: (layer.operation == i).float().mean() for i in layer.operation.unique()}
    assert shares.keys() == space.keys()
    assert all(0.055 < share < 0.09 for share in shares.values())
    for name, (levels, signed) in space.items():
        drawn = layer.strength[layer.operation == NUMBER[name]]
        if (values := levels(31, 64, 64)) is None:
            continue
        values = {"Translate": values / 64, "Solarize": values * 255}.get(name.rstrip("XY"), values)
        drawn = drawn - 1 if name in COLOURS and signed else drawn
        apart = (drawn.abs()[:, None] - values.float()[None]).abs().amin(1)
        assert apart.max() < 1e-4, name
        assert bool((drawn < -1e-3).any()) == signed, name
    layers = auto_augment(numbers(4000))
    assert len(layers) == 2
    applied = torch.stack([one.operation for one in layers]).float().count_nonzero() / 8000
    expected = np.mean(
        [p for pair in v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)._policies for _, p, _ in pair]
    )
    assert applied == pytest.approx(expected, abs=0.02)


def test_each_sample_has_its_own_operation():
    images = pictures().float()
    chosen = torch.tensor([NUMBER["Invert"], NUMBER["Identity"], NUMBER["Posterize"]])
    result = recolour(images.clone(), [Layer(chosen, torch.tensor([0.0, 0.0, 8.0]))])
    torch.testing.assert_close(result[0], 255 - images[0])
    assert torch.equal(result[1:], images[1:])


def test_draws_are_of_the_sample_whoever_asks():
    one, other = EpochDraws(3, 50), EpochDraws(3, 50)
    together = one.of([0, 0, 1], [7, 9, 7]).table
    alone = other.of([1], [7]).table
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together[0], together[2])
    assert not torch.equal(EpochDraws(4, 50).of([0], [7]).table[0], together[0])
    most = AugmentConfig(
        (0.5, 1), shift=0.1, randaugment=9, policy="autoaugment", erasing=1, vertical_flip=1
    )
    draws = numbers(3)
    BatchTransform(most, HALVES)(pictures(), draws, (24, 24), torch.Generator())
    assert draws.taken <= COLUMNS


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"augment.erasing is 2"):
        BatchTransform(replace(STILL, erasing=2.0), HALVES)


def test_hue_turns_as_torchvisions_does():
    x = torch.rand(5, 3, 6, 7)
    x[0] = 0.3  # grey has none
    for turn in (-0.5, -0.1, 0.0, 0.07, 0.4):
        ours = colours.hue(255 * x, torch.full((5, 1, 1, 1), turn)) / 255
        torch.testing.assert_close(ours, v2.functional.adjust_hue(x, turn), atol=2e-5, rtol=0)


def test_jitter_moves_four_of_five_pictures_within_its_reach():
    x = torch.full((4000, 3, 2, 2), 100.0)
    draws = Draws(torch.rand(4000, 5, generator=torch.Generator().manual_seed(0)))
    moved = colours.jitter(x, draws, (0.4, 0.0, 0.0, 0.0), 0.8)[:, 0, 0, 0]  # brightness alone
    assert float((moved != 100).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert 60 <= moved.min() < 62
    assert 138 < moved.max() <= 140
    coloured = torch.rand(4000, 3, 2, 2)
    grey = colours.greyed(coloured, Draws(torch.rand(4000, 1)), 0.2)
    assert float((grey[:, 0] == grey[:, 1]).all((1, 2)).float().mean()) == pytest.approx(
        0.2, abs=0.03
    )


def test_no_setting_takes_more_draws_than_it_says():
    busy = AugmentConfig(
        shift=0.1, policy="autoaugment", randaugment=9, erasing=0.5, jitter=1.0, grey=0.2
    )
    transform = BatchTransform(busy, ((0.5,) * 3, (0.5,) * 3))
    draws = Draws(torch.rand(3, transform.columns))
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    transform(images, draws, (16, 16), torch.Generator())
    assert draws.taken <= transform.columns
