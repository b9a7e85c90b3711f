"""Published recipes as presets: MLP-Mixer's own, big_vision's, and those of formula-driven images.

None was run by us: they need GPUs, and most of them data that has to be fetched. Set --train.root
(and --val.root); batches are global, so --run.accumulate and the number of processes change the
memory and not the training. Sources: MLP-Mixer (arXiv 2105.01601), Table 4 and appendix C;
big_vision's configs/mlp_mixer_i1k.py; the configurations that ship with OFDB and 1p-frac.
"""

from __future__ import annotations

from dataclasses import replace

from core.data.augment import AugmentConfig
from core.data.fractals import FractalsConfig
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.transforms import MARGIN
from core.models.network import ClassifierConfig
from core.pretraining.config import PretrainConfig
from core.training.optim import OptimConfig, ScheduleConfig
from core.training.run import RunConfig

TRAIN, VAL = TrainImagesConfig("fractals"), ImagesConfig("fractals", "val")


# ---- MLP-Mixer, Table 4: Adam, batch 4096, 10,000 steps of warm-up, linear decay, clip 1 ------


def _table4(name: str, preset: str, epochs: float, lr: float, decay: float) -> PretrainConfig:
    """The paper's weight decay multiplies the learning rate, as AdamW's does."""
    return PretrainConfig(
        model=ClassifierConfig(name),
        optim=OptimConfig("adamw", lr=lr, weight_decay=decay),
        run=RunConfig(
            f"runs/pretrain/{preset}",
            epochs=epochs,
            batch_size=4096,
            schedule=ScheduleConfig("linear", warmup=10_000),
            clip=1.0,
            log_every=50,
            eval_every=5_000,
            save_every=1_000,
            best="top1",
        ),
    )


def _regularised(base: PretrainConfig, magnitude: float, mixup: float) -> PretrainConfig:
    augment = AugmentConfig(randaugment=magnitude, mixup=mixup)
    return replace(base, model=replace(base.model, stochastic_depth=0.1), augment=augment)


def imagenet_b16() -> PretrainConfig:
    """ImageNet-1k, Mixer-B/16, 300 epochs: reported 76.44 % at 224 (Table 3). Not run.

    The reported figure is after fine-tuning for 20,000 steps: `finetune_imagenet`.
    """
    return _regularised(_table4("mixer_b16", "imagenet_b16", 300, 1e-3, 0.1), 15, 0.5)


def imagenet_l16() -> PretrainConfig:
    """ImageNet-1k, Mixer-L/16, 300 epochs: reported 71.76 % at 224 (Table 3). Not run."""
    return _regularised(_table4("mixer_l16", "imagenet_l16", 300, 1e-3, 0.1), 15, 0.5)


def imagenet21k_b16() -> PretrainConfig:
    """ImageNet-21k, Mixer-B/16, 300 epochs: reported 80.64 % (ImageNet-1k). Not run."""
    return _regularised(_table4("mixer_b16", "imagenet21k_b16", 300, 1e-3, 0.1), 10, 0.2)


def imagenet21k_l16() -> PretrainConfig:
    """ImageNet-21k, Mixer-L/16, 300 epochs: reported 82.89 % (ImageNet-1k). Not run."""
    return _regularised(_table4("mixer_l16", "imagenet21k_l16", 300, 1e-3, 0.1), 20, 0.5)


def _jft(name: str, preset: str, epochs: float, lr: float) -> PretrainConfig:
    """JFT-300M is not public, and its images have several labels each: for streams of that size."""
    base = _table4(name, preset, epochs, lr, 0.03)
    run = replace(base.run, eval_every=20_000, save_every=5_000)
    return replace(base, train=replace(base.train, stream=True), run=run)


def jft_s16() -> PretrainConfig:
    """A stream as large as JFT-300M, Mixer-S/16, 5 epochs: reported 73.83 %. Not run."""
    return _jft("mixer_s16", "jft_s16", 5, 3e-3)


def jft_b16() -> PretrainConfig:
    """A stream as large as JFT-300M, Mixer-B/16, 7 epochs: reported 80.00 %. Not run."""
    return _jft("mixer_b16", "jft_b16", 7, 3e-3)


def jft_l16() -> PretrainConfig:
    """A stream as large as JFT-300M, Mixer-L/16, 14 epochs: reported 84.82 %. Not run.

    With --run.epochs 7: reported 84.05 %. Both are ImageNet-1k top-1 at 224, fine-tuned.
    """
    return _jft("mixer_l16", "jft_l16", 14, 1e-3)


def jft_h14() -> PretrainConfig:
    """A stream as large as JFT-300M, Mixer-H/14, 14 epochs: reported 86.32 %. Not run."""
    return _jft("mixer_h14", "jft_h14", 14, 1e-3)


# ---- big_vision's public recipe ----------------------------------------------------------------


def big_vision_b16() -> PretrainConfig:
    """ImageNet-1k, Mixer-B/16, 300 epochs: reported 76.3 %, 2 h 11 min on TPUv3-128. Not run.

    Trains on all of `train.split` (there: 99 % of train; a Hub data set takes train[:99%]). Its
    stochastic depth leaves the kept branches unscaled, ours scales them as timm does.
    """
    base = _regularised(_table4("mixer_b16", "big_vision_b16", 300, 1e-3, 0.1), 15, 0.5)
    schedule = ScheduleConfig("linear", warmup=10_000, final=0.01)
    model, run = replace(base.model, head_bias=-6.9), replace(base.run, schedule=schedule)
    return replace(base, model=model, loss="sigmoid", protocol="short-side", run=run)


def big_vision_b16_60() -> PretrainConfig:
    """The same for 60 epochs: reported 70.5 %, 27 minutes on TPUv3-128. Not run."""
    base = big_vision_b16()
    run = replace(base.run, folder="runs/pretrain/big_vision_b16_60", epochs=60)
    return replace(base, run=run)


# ---- fine-tuning: SGD, batch 512, clip 1, cosine, no weight decay, a zero head -----------------


def _finetune(preset: str, steps: int, lr: float, warmup: int = 500) -> PretrainConfig:
    """Our reading of the crop: at random from 256/224 of the size, as the Inception crop is said
    not to have helped (appendix C). Warm-up: vit_jax."""
    return PretrainConfig(
        model=ClassifierConfig("mixer_b16", weights="imagenet21k", new_head=True),
        augment=AugmentConfig(crop_area=(1, 1), margin=MARGIN),
        optim=OptimConfig("sgd", lr=lr, momentum=0.9, weight_decay=0.0),
        run=RunConfig(
            f"runs/finetune/{preset}",
            steps=steps,
            batch_size=512,
            schedule=ScheduleConfig("cosine", warmup=warmup),
            clip=1.0,
            eval_every=steps // 4,
            best="top1",
        ),
    )


def finetune_imagenet() -> PretrainConfig:
    """20,000 steps from ImageNet-21k, Mixer-B/16: reported 80.64 % at 224. Not run.

    Choose --optim.lr of .003, .01, .03, .06 on 1 % of train. At 448 (--model.image-size 448) token
    mixing begins by the paper's exact rule.
    """
    return _finetune("imagenet", 20_000, 0.03)


def finetune_cifar() -> PretrainConfig:
    """10,000 steps on CIFAR-10 or -100 at 224: vit_jax reports 96.82 % (CIFAR-10, B/16). Not run.

    Choose --optim.lr of .003, .01, .03, .06 on 2 % of train.
    """
    return _finetune("cifar", 10_000, 0.03)


def finetune_pets() -> PretrainConfig:
    """500 steps on Oxford-IIIT Pets or Flowers-102; --optim.lr of .003, .01, .03, .06. Not run."""
    return _finetune("pets", 500, 0.03, warmup=100)


def finetune_vtab() -> PretrainConfig:
    """2,500 steps on 1,000 examples of a VTAB task; --optim.lr of .003, .01, .03. Not run."""
    return _finetune("vtab", 2_500, 0.01)


def finetune_fdsl() -> PretrainConfig:
    """1,000 epochs as OFDB fine-tunes: SGD .01, weight decay 1e-4, batch 768. Not run."""
    base = _finetune("fdsl", 0, 0.01)
    return replace(
        base,
        model=ClassifierConfig("mixer_s16", new_head=True),
        augment=AugmentConfig(),
        optim=replace(base.optim, weight_decay=1e-4),
        run=replace(base.run, epochs=1_000, batch_size=768, eval_every=1_000),
    )


# ---- formula-driven images: no Mixer trained on them has been published ------------------------


def _fractaldb(size: str, classes: int, epochs: float) -> PretrainConfig:
    """Coloured FractalDB with 1,000 instances a class, by the DeiT-like recipe of its ViT paper.

    Our reading: AdamW 1e-3 at batch 1024, and colours by the density of the points.
    """
    preset = f"fractaldb_{classes // 1000}k_{size}"
    return PretrainConfig(
        model=ClassifierConfig(f"mixer_{size}", stochastic_depth=0.1),
        train=replace(TRAIN, workers=8),
        val=replace(VAL, workers=8),
        fractals=FractalsConfig("fractaldb", classes, stamp="patch", tone="log", colour="hue"),
        held_out=max(1, 4_000 // classes),
        augment=AugmentConfig(
            randaugment=9, mixup=0.8, cutmix=1.0, erasing=0.25, label_smoothing=0.1
        ),
        optim=OptimConfig("adamw", lr=1e-3, weight_decay=0.05),
        run=RunConfig(
            f"runs/pretrain/{preset}",
            epochs=epochs,
            batch_size=1024,
            schedule=ScheduleConfig("cosine", warmup=5 / epochs, final=0.01),
            eval_every=5_000,
            save_every=1_000,
        ),
    )


def fractaldb_1k_s16() -> PretrainConfig:
    """FractalDB-1k drawn on the fly, Mixer-S/16, 300 epochs of 1 M images. Not run."""
    return _fractaldb("s16", 1_000, 300)


def fractaldb_1k_b16() -> PretrainConfig:
    """FractalDB-1k drawn on the fly, Mixer-B/16, 300 epochs of 1 M images. Not run."""
    return _fractaldb("b16", 1_000, 300)


def fractaldb_10k_s16() -> PretrainConfig:
    """FractalDB-10k drawn on the fly, Mixer-S/16, 90 epochs of 10 M images (ours). Not run."""
    return _fractaldb("s16", 10_000, 90)


def fractaldb_10k_b16() -> PretrainConfig:
    """FractalDB-10k drawn on the fly, Mixer-B/16, 90 epochs of 10 M images (ours). Not run."""
    return _fractaldb("b16", 10_000, 90)


def _one_image(preset: str, size: str, fractals: FractalsConfig) -> PretrainConfig:
    """1,000 classes of one image, 80,000 epochs (80 M samples), as OFDB and 1p-frac train.

    Augmentation and length: their papers; learning rate, warm-up, weight decay and clipping: the
    Mixer configuration that both repositories ship (theirs for ViT has 1e-3).
    """
    return PretrainConfig(
        model=ClassifierConfig(f"mixer_{size}"),
        train=replace(TRAIN, workers=8),
        val=replace(VAL, workers=8),
        fractals=fractals,
        held_out=1,
        augment=AugmentConfig(vertical_flip=0.5, randaugment=9, mixup=0.8, cutmix=1.0, erasing=0.5),
        optim=OptimConfig("adamw", lr=5e-4, weight_decay=0.05),
        run=RunConfig(
            f"runs/pretrain/{preset}_{size}",
            epochs=80_000,
            batch_size=256,
            schedule=ScheduleConfig("cosine", warmup=20 / 80_000, final=0.01),
            clip=5.0,
            eval_every=10_000,
            save_every=2_000,
        ),
    )


def ofdb_1k_s16() -> PretrainConfig:
    """OFDB-1k: one image of each FractalDB class, Mixer-S/16, 80 M samples. Not run."""
    return _one_image("ofdb_1k", "s16", FractalsConfig("fractaldb", instances=1))


def ofdb_1k_b16() -> PretrainConfig:
    """OFDB-1k: one image of each FractalDB class, Mixer-B/16, 80 M samples. Not run."""
    return _one_image("ofdb_1k", "b16", FractalsConfig("fractaldb", instances=1))


def one_p_frac_s16() -> PretrainConfig:
    """1p-frac: 1,000 perturbations of one formula, Mixer-S/16, 80 M samples. Not run."""
    return _one_image("one_p_frac", "s16", FractalsConfig("1p-frac", instances=1, size=512))


def one_p_frac_b16() -> PretrainConfig:
    """1p-frac: 1,000 perturbations of one formula, Mixer-B/16, 80 M samples. Not run."""
    return _one_image("one_p_frac", "b16", FractalsConfig("1p-frac", instances=1, size=512))


PAPER = (imagenet_b16, imagenet_l16, imagenet21k_b16, imagenet21k_l16)
JFT = (jft_s16, jft_b16, jft_l16, jft_h14)
BIG_VISION = (big_vision_b16, big_vision_b16_60)
FINE_TUNING = (finetune_imagenet, finetune_cifar, finetune_pets, finetune_vtab, finetune_fdsl)
FRACTALDB = (fractaldb_1k_s16, fractaldb_1k_b16, fractaldb_10k_s16, fractaldb_10k_b16)
ONE_IMAGE = (ofdb_1k_s16, ofdb_1k_b16, one_p_frac_s16, one_p_frac_b16)
RECIPES = (*PAPER, *JFT, *BIG_VISION, *FINE_TUNING, *FRACTALDB, *ONE_IMAGE)
