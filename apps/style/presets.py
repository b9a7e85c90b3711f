"""The presets by name; the optimizers and the ways of balancing that compare.py compares."""

from __future__ import annotations

from dataclasses import replace

from apps.style.config import DataConfig, EmbeddedConfig, StyleConfig
from core.config import needs
from core.data.augment import AugmentConfig
from core.models.network import ClassifierConfig
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run_config import RunConfig

# The six of the paper by its names. torch's own definitions: timm's `sgd` is Nesterov's, its
# `rmsprop` has momentum. Learning rates are ours, since the paper's are not known.
OPTIMIZERS = {
    "adam": OptimConfig("adam", lr=1e-3, weight_decay=0.0),
    "optimistic_adam": OptimConfig("optimistic_adam", lr=1e-3, weight_decay=0.0),
    "adamax": OptimConfig("adamax", lr=2e-3, weight_decay=0.0),
    "mgd": OptimConfig("sgd", lr=0.03, momentum=0.9, weight_decay=0.0),
    "sgd": OptimConfig("sgd", lr=0.3, momentum=0.0, weight_decay=0.0),
    "rmsprop": OptimConfig("rmsprop", lr=5e-4, weight_decay=0.0),
}

# Ways of treating classes of unequal sizes, each alone: what it sets of the configuration.
BALANCING = {
    "plain": {},
    "weighted": {"loss": "weighted"},
    "logit_adjusted": {"loss": "logit_adjusted"},
    "focal": {"loss": "focal"},
    "square_root": {"sampling": "square_root"},
    "label_smoothing": {"label_smoothing": 0.1},
    "mixup": {"mixup": 0.2},
}


def balanced(config: StyleConfig, name: str) -> StyleConfig:
    """The same run with one of BALANCING, and none of the others."""
    settings = BALANCING[name]
    mixing = {key: settings.get(key, 0.0) for key in ("label_smoothing", "mixup")}
    return replace(
        config,
        loss=replace(config.loss, name=settings.get("loss", "plain")),
        sampling=settings.get("sampling", "plain"),
        augment=replace(config.augment, **mixing),
    )


def demo() -> StyleConfig:
    """Embedded paintings of twelve styles, a small Mixer: top-1 0.97 in 6 minutes on a core."""
    return StyleConfig(
        model=ClassifierConfig("mixer_c128_l4_p8", (64,)),
        augment=AugmentConfig(crop_area=(0.4, 1.0), label_smoothing=0.1),
        protocol="direct",
        optim=OptimConfig(lr=2e-3, weight_decay=0.1),
        run=RunConfig(
            "runs/style/demo",
            epochs=25,
            batch_size=64,
            eval_every=300,
            save_every=300,
            best="macro_f1",
        ),
    )


def debug() -> StyleConfig:
    """A few embedded paintings and 2 steps: does everything run? Seconds on any machine."""
    base = demo()
    run = RunConfig("runs/style/debug", steps=2, batch_size=4, log_every=1, trackers=())
    return replace(
        base,
        data=DataConfig(workers=0),
        embedded=EmbeddedConfig(train=2, val=1, size=32),
        model=ClassifierConfig("mixer_c16_l2_p8", (32,)),
        run=replace(run, best="top1"),
    )


def _wikiart(name: str, preset: str) -> StyleConfig:
    """27 classes by ArtGAN's official lists, at 224, with the Mixer's clipping and depth."""
    return StyleConfig(
        data=DataConfig(classes=27, workers=8),
        model=ClassifierConfig(name, stochastic_depth=0.1),
        augment=AugmentConfig(crop_area=(0.25, 1.0), randaugment=9, mixup=0.2, label_smoothing=0.1),
        optim=OptimConfig(lr=1e-3, weight_decay=0.1),
        run=RunConfig(
            f"runs/style/{preset}",
            epochs=100,
            batch_size=1024,
            schedule=ScheduleConfig("cosine", warmup=0.05, final=0.01),
            eval_every=1_000,
            save_every=500,
            best="macro_f1",
        ),
    )


@needs("data.root", "data.csv")
def wikiart_mixer_s16() -> StyleConfig:
    """WikiArt, 27 styles, Mixer-S/16 from scratch; needs --data.root. Not run."""
    return _wikiart("mixer_s16", "wikiart_mixer_s16")


@needs("data.root", "data.csv")
def wikiart_mixer_b16() -> StyleConfig:
    """WikiArt, Mixer-B/16 from scratch; needs --data.root. Reported, 21 styles: 39.59 %. Not run.

    The paper's size, patch, schedule and split are not known. With --model.weights imagenet21k it
    begins with official weights (--optim.lr 1e-4 then).
    """
    return _wikiart("mixer_b16", "wikiart_mixer_b16")


@needs("data.root", "data.csv")
def wikiart_mixer_l16() -> StyleConfig:
    """WikiArt, 27 styles, Mixer-L/16 from scratch; needs --data.root. Not run."""
    return _wikiart("mixer_l16", "wikiart_mixer_l16")


@needs("data.root", "data.csv")
def wikiart_vit_b16() -> StyleConfig:
    """WikiArt, ViT-B/16; needs --data.root. Reported, 21 styles: 38.97 to 39.89 %. Not run."""
    return _wikiart("timm:vit_base_patch16_224", "wikiart_vit_b16")


def wikiart_hub() -> StyleConfig:
    """The Hub's copy (huggan/wikiart) with a seeded stratified split, Mixer-B/16. Not run.

    --data.stream reads it without a download.
    """
    base = _wikiart("mixer_b16", "wikiart_hub")
    data = replace(base.data, root="hub:huggan/wikiart#style", split="stratified")
    return replace(base, data=data)


def wikiart7_small() -> StyleConfig:
    """Seven styles of WikiArt, a small Mixer: top-1 0.34 in 3 minutes on a core. Set --data.csv."""
    return StyleConfig(
        data=DataConfig(csv="wikiart7/labels.csv"),
        model=ClassifierConfig("mixer_c128_l4_p8", (64,)),
        augment=AugmentConfig(crop_area=(0.25, 1.0), label_smoothing=0.1),
        protocol="direct",
        optim=OptimConfig(lr=1e-3, weight_decay=0.1),
        run=RunConfig(
            "runs/style/wikiart7_small", epochs=12, batch_size=64, eval_every=0, best="macro_f1"
        ),
    )


def wikiart7_photos() -> StyleConfig:
    """Paintings of a csv file, from the kept Mixer `photos`: seven styles 0.46 in 15 minutes.

    On one core, one seed; the weights' terms are ImageNet's (core.list_weights()). Set --data.csv.
    """
    base = wikiart7_small()
    return replace(
        base,
        model=ClassifierConfig(
            "mixer_c256_l8_p8", (64,), weights="photos", new_head=True, stochastic_depth=0.1
        ),
        # without mixtures it learns the paintings by heart: four points less, and far too sure
        augment=replace(base.augment, policy="trivialaugment", mixup=0.2, cutmix=1.0),
        optim=OptimConfig("timm:muon", lr=1e-3, weight_decay=0.1, layer_decay=0.8),
        run=replace(
            base.run, folder="runs/style/wikiart7_photos", epochs=20, ema=0.99, precision="bf16"
        ),
    )


WIKIART = (wikiart_mixer_s16, wikiart_mixer_b16, wikiart_mixer_l16, wikiart_vit_b16, wikiart_hub)
PRESETS = {make.__name__: make for make in (demo, debug, wikiart7_small, wikiart7_photos, *WIKIART)}
