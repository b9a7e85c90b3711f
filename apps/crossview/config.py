"""Everything a cross-view run can be told, a section each: plain values and their meanings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from core.data.images.files import MOST_PIXELS, PixelLimit
from core.ranges import Count, Decay, Layers, NonNegative, Range, Seed, Whole, Workers
from core.training.optim import OptimConfig
from core.training.run_config import RunConfig

Direction = Literal["a2g", "g2a"]  # from above to the street, and the way back
Layout = Literal["panels", "cvusa", "cvact", "folders"]  # of a data set: data/records.py
Order = Literal["crossmlp", "xfork", "panogan", "pair"]  # of panels in a file: data/panels.py
GeneratorName = Literal["crossmlp", "selectiongan", "pix2pix", "xfork", "xseq", "mixer"]
Norm = Literal["batch", "group", "instance"]
Maps = Literal["classes", "rgb"]


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs lie, and how they are prepared."""

    root: str = ""  # empty: embedded towns
    layout: Layout = "panels"
    order: Order = "crossmlp"
    lists: str = ""  # panels: a folder of *train*.txt and *test*.txt that say who is where
    # official: the set's own folders or lists; panorama: Dayton's, dealt anew by panorama
    split: Literal["official", "panorama"] = "official"
    split_seed: Seed = 0  # of panorama
    palette: str = ""  # of maps: cvusa, cityscapes, a yaml; empty: palette.yaml of root
    # id of what is not labelled in maps of ids (255 as a rule): a class; -1: none
    void: Annotated[int, Range(-1)] = -1
    # in use in 16-bit grey photographs: 11 or 12 of many satellites
    bits: Annotated[int, Range(8, 16)] = 16
    # height and width of every panel
    size: Annotated[tuple[int, int], Range(16, 8_192)] = (256, 256)
    # training images are so much larger, then cropped; 1: no crop
    enlarge: Annotated[float, Range(1)] = 286 / 256
    flip: bool = True  # mirror half of the training items, all panels of an item alike
    # of the training data, and validates in place of the validation data: to choose settings by
    tune_share: Decay = 0.0
    workers: Workers = 2
    skip_bad: Whole = 0  # files that may be unreadable
    max_pixels: Whole = MOST_PIXELS  # of a file; a larger one is bad. 0: 179 million, Pillow's

    @property
    def limit(self) -> PixelLimit:
        """The largest picture, and what a person sets for it."""
        return PixelLimit(self.max_pixels, "--data.max-pixels")


@dataclass(frozen=True)
class EmbeddedConfig:
    """The embedded towns, which are rendered where `data.root` is empty."""

    train: Count = 2000
    val: Count = 200
    seed: Seed = 0
    panorama: bool = False  # streets 360 degrees wide; data.size is then e.g. 64 256


@dataclass(frozen=True)
class ModelConfig:
    """A generator; the defaults are CrossMLP at full size."""

    generator: GeneratorName = "crossmlp"  # selectiongan, pix2pix, xfork, xseq, mixer
    width: Count = 64  # channels at full resolution; tokens have 2, 8 and 16 times as many
    norm: Norm = "batch"  # as released; the others make a step the same on any processes
    # classes: a channel of -1 or 1 for each class; rgb: the palette's colours, as released
    maps: Maps = "classes"
    candidates: Count = 10  # of attention selection
    selection_width: Count = 104  # channels of attention selection
    dropout: Decay = 0.5  # of attention selection and of U-Nets
    blocks: Layers = 9  # crossmlp
    depth: Layers = 7  # crossmlp: layers of a CrossMixer
    patch: Annotated[int, Range(2)] = 8  # crossmlp: of maps at a quarter of the size
    as_released: bool = False  # crossmlp: its sharing, see crossmlp.py
    backbone: str = "mixer_s16"  # mixer: any name of core.create_backbone
    weights: str = ""  # mixer: a file, folder, run or named set; empty: random
    fusion: Layers = 2  # mixer: blocks over both views
    # mixer: reads the map of the view that it draws; without, as xfork and xseq, it sees the source
    sees_map: bool = True
    selection: bool = False  # mixer: with attention selection


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The PatchGAN; 64 and 3 are pix2pix's 70x70 one."""

    width: Count = 64
    halvings: Annotated[int, Range(0, 16)] = 3


@dataclass(frozen=True)
class LossConfig:
    """Weights; the defaults are the released CrossMLP's."""

    pixel: Literal["crossmlp", "selectiongan"] = "crossmlp"  # of networks with an uncertainty
    image: NonNegative = 100.0  # l of images
    map: NonNegative = 1.0  # l of maps
    adversarial: NonNegative = 1.0  # 0: none, and no discriminator is trained
    total_variation: NonNegative = 4e-6


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation on the validation pairs."""

    batch_size: Count = 16  # pairs at a time, for each process


ADAM = OptimConfig("adam", lr=2e-4, weight_decay=0.0, betas=(0.5, 0.999))  # as released

# what --help shows, beside what all trainings have (core/help.py); --help-all has the others
CHANGED_MOST = ("data.root", "data.size", "direction", "model.generator")


@dataclass(frozen=True)
class CrossViewConfig:
    """One training run of the cross-view app."""

    direction: Direction = "a2g"  # from above to the street; g2a: from the street to above
    data: DataConfig = DataConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    model: ModelConfig = ModelConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    eval: EvalConfig = EvalConfig()
    optim: OptimConfig = ADAM  # of the generator
    d_optim: OptimConfig = ADAM  # of the discriminator
    run: RunConfig = field(default_factory=RunConfig)

    RENAMED: ClassVar[dict[str, str]] = {
        "towns.train": "embedded.train",
        "towns.val": "embedded.val",
        "towns.seed": "embedded.seed",
        "towns.panorama": "embedded.panorama",
        "eval_batch": "eval.batch_size",
    }
