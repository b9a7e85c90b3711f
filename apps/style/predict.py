"""Name the style of paintings: python apps/style/predict.py RUN [IMAGE or FOLDER ...].

Prints the five likeliest styles of each, and draws the painting beside the places that mattered:
where hiding a part makes the first style less likely. Without images, some of the run's validation
paintings are taken. What cannot be read is named, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from apps.style.config import StyleConfig
from apps.style.data.source import StyleData
from apps.style.evaluation.explanation import explained
from apps.style.evaluation.occlusion import occlusion_map
from core.app.naming import SURE, UNSURE, likeliest
from core.app.predicting import (
    Item,
    add_max_pixels,
    foreign,
    output_folder,
    pixel_limit,
    predict_each,
    prediction_parser,
)
from core.app.runs import TrainedRun, reopen
from core.config import entry_point
from core.data.images.files import PixelLimit, decode
from core.data.images.folders import find_images
from core.data.samples import as_decoded, evenly_spaced
from core.data.transforms import eval_transform
from core.models.classifier import Classifier
from core.pictures.sheets import save_image
from core.training.session import Session, build_accelerator

TOP = 5


@dataclass(frozen=True)
class Painting:
    """An image, and where it is from."""

    source: str
    image: Image.Image


@entry_point
def main() -> None:
    parser = prediction_parser(__doc__, "images or folders", count=12)
    add_max_pixels(parser, "a larger JPEG is read at 1/2, 1/4 or 1/8")
    words = parser.parse_intermixed_args()
    session = Session(build_accelerator())
    run = reopen(words.run, StyleConfig, Classifier, session)
    limit = pixel_limit(words, run.config.data.max_pixels)
    embedded = bool(words.inputs) and not (run.config.data.root or run.config.data.csv)
    for line in foreign(embedded, "paintings that a program made", "real ones"):
        session.print(line)
    items = items_of(words.inputs, run, session, words.count, limit)
    folder = output_folder(words, run)
    predict_each(session, items, folder, partial(predict, session, run), (".jpg",))


def items_of(
    inputs: Sequence[str],
    run: TrainedRun[StyleConfig],
    session: Session,
    count: int,
    limit: PixelLimit,
) -> list[Item]:
    """The images that are named, or validation paintings of the run, evenly over them."""
    if files := find_images(inputs):
        read = partial(decode, limit=limit, upright=True)
        return [item_of(str(file), partial(read, str(file))) for file in files]
    val = StyleData(run.config, session).val(run.network)
    images = as_decoded(val, limit)
    places = evenly_spaced(len(val), count)
    names = val.names if hasattr(val, "names") else range(len(val))  # a stream has none
    return [item_of(str(names[i]), partial(image_of, images, i)) for i in places]


def image_of(images: Dataset, index: int) -> Image.Image:
    """One painting of a data set that has no transform."""
    return images[index]["image"]


def item_of(source: str, read: Callable[[], Image.Image]) -> Item:
    """A painting to predict, read when its turn comes."""
    return Item(source, lambda: Painting(source, read()))


def predict(
    session: Session, run: TrainedRun[StyleConfig], name: str, painting: Painting, folder: Path
) -> dict:
    """The likeliest styles of one painting, and whether the first is unsure; draws its picture."""
    network, backbone = run.network, run.network.backbone
    transform = eval_transform(run.config.protocol, backbone.image_size, backbone.normalization)
    pixels = transform(painting.image).to(session.device)  # (3, H, W)
    best = likeliest(session, network, pixels, TOP)
    with session.accelerator.autocast():
        drops = occlusion_map(network, pixels, best[0][0])  # (H, W)
    styles = {network.classes[i]: share for i, share in best}
    unsure = best[0][1] < SURE
    view = shown(pixels.cpu(), backbone.normalization)
    save_image(folder / f"{name}.jpg", explained(painting.image, view, drops, styles))
    words = ", ".join(f"{style} {100 * share:.1f}%" for style, share in styles.items())
    print(f"{painting.source}: {words}{f' ({UNSURE})' * unsure}", flush=True)
    return {"styles": styles, UNSURE: unsure}


def shown(pixels: Tensor, normalization: tuple) -> Tensor:
    """What the network was given, without its normalization: (3, H, W) in [0, 1]."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in normalization)
    return pixels * std + mean


if __name__ == "__main__":
    main()
