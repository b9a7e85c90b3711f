"""Name pictures: python core/predict.py [WEIGHTS] [IMAGE or FOLDER ...].

WEIGHTS is the folder of a run of core/pretrain.py, one of its checkpoints, a file that holds a
classifier, or a name: `photos` is kept in this package and taken where none is named, the official
sets need their network (imagenet1k --network mixer_b16) and are fetched once. Prints the likeliest
classes of each picture, says which answers are unsure, and writes predictions.json. Without
pictures, some of the run's validation pictures are taken. What cannot be read is named, the others
go on, and the exit status is 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from core.app.kept import KeptNetworks
from core.app.naming import SURE, UNSURE, class_names, in_words, likeliest
from core.app.predicting import (
    RECORDS,
    Item,
    add_max_pixels,
    pixel_limit,
    predict_each,
    prediction_parser,
    run_and_inputs,
)
from core.checkpoints import find_checkpoint
from core.config import entry_point, load_config, read_yaml
from core.data.images.files import MOST_PIXELS, PixelLimit, decode
from core.data.images.folders import find_images
from core.data.samples import as_decoded, evenly_spaced
from core.data.transforms import eval_transform
from core.errors import InputError
from core.evaluation.classification import named_protocol, open_classifier
from core.evaluation.common import BackboneConfig
from core.models.classifier import Classifier
from core.models.timm_weights import is_timm
from core.models.weights.download import NAMES, OFFICIAL
from core.models.weights.hub import PREFIX
from core.models.weights.names import FOLDER, is_kept, kept_parameters
from core.pretraining.config import PretrainConfig
from core.pretraining.validation import open_sides, open_trained
from core.ranges import Count, argument
from core.tables import Table, scaled
from core.training.session import Session, build_accelerator


class Naming(KeptNetworks):
    """Those kept weights that know classes: others are a backbone alone."""

    def names(self) -> list[str]:
        """Of kept weights with a head."""
        return [name for name in super().names() if kept_parameters(name)[1]]


KEPT = Naming(FOLDER, "photos")
# what ends so is a file of weights, and no picture
FILES = (".npz", ".safetensors", ".pth", ".pth.tar", ".ckpt", ".pt", ".bin")
PROTOCOL = "squash"  # of weights that do not say theirs; core/eval.py's usual one, too


@entry_point
def main() -> None:
    words = _words()
    weights, inputs = weights_and_inputs(words.inputs)
    session = Session(build_accelerator())
    model = BackboneConfig(words.network, (words.image_size,) * bool(words.image_size), weights)
    network = open_named(model, session)
    settings = settings_file(weights)
    items = items_of(inputs, weights, settings, words.count, pixel_limit(words))
    transform = transform_of(network, model, settings)
    names = class_names(network)
    session.print(
        f"{weights}: {network.num_classes:,} classes, pictures at "
        f"{' x '.join(map(str, network.backbone.image_size))} pixels; {session.describe()}"
    )

    def name_one(_name: str, picture: Image.Image, _folder: Path) -> dict[str, Any]:
        return named_picture(likeliest(session, network, transform(picture), words.top), names)

    folder = words.output or usual_folder(weights, settings)
    predict_each(session, items, folder, name_one, (), "pictures", report=report)


def _words() -> argparse.Namespace:
    parser = prediction_parser(__doc__, "pictures or folders", count=12, kept=KEPT)
    add_max_pixels(parser, "a larger JPEG is read at 1/2, 1/4 or 1/8", MOST_PIXELS)
    count = argument(Count)
    parser.add_argument("--top", type=count, default=5, help="classes of each (%(default)s)")
    parser.add_argument("--network", default="", help="of an official set: mixer_b16, ...")
    size = "pixels, where it is to be another than that of the weights"
    parser.add_argument("--image-size", type=count, default=0, help=size)
    return parser.parse_intermixed_args()


def weights_and_inputs(words: Sequence[str]) -> tuple[str, list[str]]:
    """Which weights the words of a command name, `photos` where none, and its pictures."""
    if words and _is_named(words[0]):
        return words[0], list(words[1:])
    return run_and_inputs(words, KEPT)


def _is_named(word: str) -> bool:
    """Whether these are weights by a name that others have, or a file of them."""
    return word in OFFICIAL or is_timm(word) or word.startswith(PREFIX) or word.endswith(FILES)


def open_named(model: BackboneConfig, session: Session) -> Classifier:
    """The classifier of the weights, on the session's device, in evaluation mode.

    Raises InputError for an official set without its network, and for weights without a head.
    """
    if model.weights in OFFICIAL and not model.backbone:
        those = ", ".join(name for name, key in NAMES.items() if key in OFFICIAL[model.weights])
        raise InputError(f"{model.weights} is of several networks: add --network, one of {those}")
    return open_classifier(model).to(session.device).eval()


def transform_of(network: Classifier, model: BackboneConfig, settings: Path | None) -> Callable:
    """From a picture to (3, H, W), by the protocol of a run's own evaluation, where it is one."""
    values = read_yaml(settings) if settings else None
    protocol = values.get("protocol", PROTOCOL) if isinstance(values, dict) else PROTOCOL
    protocol = named_protocol("timm" if is_timm(model.weights) else protocol, model)
    return eval_transform(protocol, network.backbone.image_size, network.backbone.normalization)


def settings_file(weights: str) -> Path | None:
    """config.yaml of the run that a folder is, or is a checkpoint of; none where it is no run."""
    if is_kept(weights) or not Path(weights).is_dir():
        return None
    file = find_checkpoint(weights).resolve().parents[1] / "config.yaml"
    return file if file.is_file() else None


def items_of(
    inputs: list[str], weights: str, settings: Path | None, count: int, limit: PixelLimit
) -> list[Item]:
    """The pictures that are named, or some validation pictures of a run, evenly over them."""
    if inputs:
        files = dict.fromkeys(map(str, find_images(inputs)))
        return [Item(file, partial(decode, file, limit, upright=True)) for file in files]
    if settings is None:
        raise InputError(f"{weights} is no run, and has no data of its own: name pictures")
    config = load_config(PretrainConfig, settings)
    val = as_decoded(open_sides(config, open_trained(config))[1], limit)
    names = getattr(val, "names", None) or [f"val-{i}" for i in range(len(val))]
    return [Item(names[i], partial(_image_of, val, i)) for i in evenly_spaced(len(val), count)]


def _image_of(val: Any, index: int) -> Image.Image:
    return val[index]["image"]


def usual_folder(weights: str, settings: Path | None) -> Path:
    """RUN/predictions; of a kept name a folder of its name in runs/; else ./predictions."""
    if is_kept(weights):
        return Path("runs", "pretrain", "kept", weights, RECORDS)
    return settings.parent / RECORDS if settings else Path(RECORDS)


def named_picture(best: Sequence[tuple[int, float]], names: Sequence[str]) -> dict[str, Any]:
    """The record of a picture: its likeliest classes, and whether the first is unsure."""
    found = [names[i] for i, _ in best]
    classes = [
        {"class": name, "name": words, "confidence": round(share, 4)}
        for name, words, (_, share) in zip(found, in_words(found), best, strict=True)
    ]
    return {"classes": classes, UNSURE: best[0][1] < SURE}


def report(records: Sequence[dict[str, Any]]) -> None:
    """A table of all pictures on the screen, and how many answers are unsure."""
    rows = [_row(record) for record in records]
    count = sum(record[UNSURE] for record in records)
    note = (
        f"{count} of {len(records)} are unsure, below {100 * SURE:.0f} %: the network knows its "
        "own classes alone, and names one of them whatever it sees"
    )
    columns = ("picture", "is", "%", "", "or else")
    print(Table("", columns, rows, note if count else "", forms={"%": scaled(100, 1)}))


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    first, *others = record["classes"]
    rest = ", ".join(f"{one['name']} {100 * one['confidence']:.1f}" for one in others)
    doubt = UNSURE if record[UNSURE] else ""
    return record["input"], first["name"], first["confidence"], doubt, rest


if __name__ == "__main__":
    main()
