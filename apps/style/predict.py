"""Name the style of paintings: python apps/style/predict.py RUN [IMAGE or FOLDER ...].

Prints the five likeliest styles of each, and draws the painting beside the places that mattered:
where hiding a part makes the first style less likely. Without images, some of the run's validation
paintings are taken. What cannot be read is named, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from apps.style.config import StyleConfig
from apps.style.data.source import StyleData
from apps.style.eval import open_run, painting
from apps.style.evaluation.explanation import explained, save
from apps.style.evaluation.inference import occlusion_map
from core.config import entry_point
from core.data.images.files import decode, find_images
from core.data.transforms import eval_transform
from core.errors import InputError, first_line
from core.files import distinct_name
from core.models.classifier import Classifier
from core.training.session import Session, build_accelerator

TOP = 5
Painting = tuple[str, Callable[[], Image.Image]]  # where it comes from, and what opens it


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a run, or of one of its checkpoints")
    parser.add_argument("images", nargs="*", help="images or folders")
    parser.add_argument("--output", type=Path, help="folder for pictures (RUN/pictures)")
    parser.add_argument("--count", type=int, default=12, help="paintings, where none is given")
    _predict(parser.parse_args())


def _predict(options: argparse.Namespace) -> None:
    session = Session(build_accelerator())
    config, network, checkpoint = open_run(options.run, session)
    if files := find_images(options.images):
        wanted = [(str(f), partial(decode, str(f), config.data.max_pixels)) for f in files]
    else:
        wanted = some_of(StyleData(config, session).val(network), options.count)
    if not session.is_main:
        return
    output = (options.output or checkpoint.parents[1] / "pictures") / "predictions"
    output.mkdir(parents=True, exist_ok=True)
    records = [
        _one(session, config, network, source, image, output / f"{name}.jpg")
        for source, name, image in read(wanted)
    ]
    if not records:
        raise InputError("none of the images could be read")
    (output / "predictions.json").write_text(json.dumps(records, indent=2) + "\n")
    print(f"{len(records)} paintings, pictures: {output}")
    if lost := len(wanted) - len(records):
        raise InputError(f"{lost} of {len(wanted)} images could not be read")


def some_of(val: Dataset, wanted: int) -> list[Painting]:
    """Paintings of a data set, evenly over it. Raises InputError for a count below 1."""
    if wanted < 1:
        raise InputError(f"--count is {wanted}: at least 1")
    places = np.linspace(0, len(val) - 1, min(wanted, len(val))).round().astype(int).tolist()
    names = val.names if hasattr(val, "names") else range(len(val))  # a stream has none
    return [(str(names[i]), partial(painting, val, i)) for i in places]


def read(wanted: list[Painting]) -> Iterator[tuple[str, str, Image.Image]]:
    """(source, name, RGB image) of what can be read, names all different; the rest is named."""
    names: set[str] = set()
    for source, open_image in wanted:
        try:
            image = open_image()
        except Exception as error:  # decoders raise many kinds
            print(f"left out: {source} cannot be read ({first_line(error)})", file=sys.stderr)
            continue
        yield source, distinct_name(Path(source).stem, names), image


def _one(
    session: Session, config: StyleConfig, network: Classifier, source: str, image, picture: Path
) -> dict:
    """The likeliest styles of one painting: printed, and drawn to `picture`."""
    backbone = network.backbone
    transform = eval_transform(config.protocol, backbone.image_size, backbone.normalization)
    pixels = transform(image).to(session.device)
    with torch.inference_mode(), session.accelerator.autocast():
        probabilities = network(pixels[None]).float().softmax(-1)[0].cpu()
        best = probabilities.topk(min(TOP, len(probabilities)))
        drops = occlusion_map(network, pixels, int(best.indices[0]))
    styles = [network.classes[i] for i in best.indices.tolist()]
    shares = best.values.tolist()
    save(explained(image, _view(pixels, backbone), drops, styles, shares), picture)
    words = ", ".join(f"{s} {100 * p:.1f}%" for s, p in zip(styles, shares, strict=True))
    print(f"{source}: {words}", flush=True)
    found = dict(zip(styles, shares, strict=True))
    return {"image": source, "picture": picture.name, "styles": found}


def _view(pixels: torch.Tensor, backbone) -> torch.Tensor:
    """What the network was given, in [0, 1]: (3, H, W)."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in backbone.normalization)
    return pixels.cpu() * std + mean


if __name__ == "__main__":
    main()
