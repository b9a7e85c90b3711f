"""Pictures: their classes, by the networks of core/pretrain.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from core.app.naming import class_names, likeliest
from core.app.predicting import RECORDS
from core.evaluation.common import BackboneConfig
from core.files import write_json
from core.models.classifier import Classifier
from core.predict import KEPT, UNSURE, named_picture, open_named, settings_file, transform_of
from core.training.session import Session
from page.crafts.craft import Answer, Craft, Request, picture

TOP = 5


@dataclass(frozen=True)
class Named:
    network: Classifier
    transform: Callable
    names: list[str]


def open_network(word: str, session: Session) -> Named:
    model = BackboneConfig(weights=word)
    network = open_named(model, session)
    return Named(network, transform_of(network, model, settings_file(word)), class_names(network))


def answer(session: Session, opened: Named, request: Request) -> Answer:
    pixels = opened.transform(Image.fromarray(picture(request.file)))
    best = likeliest(session, opened.network, pixels, TOP)
    record = {"input": request.file.name, **named_picture(best, opened.names)}
    file = write_json(request.folder / f"{RECORDS}.json", [record])
    lines = ["| class | % |", "|---|---|"]
    lines += [f"| {one['name']} | {100 * one['confidence']:.1f} |" for one in record["classes"]]
    if record[UNSURE]:
        lines += ["", f"**{UNSURE.capitalize()}**: it names one of its {len(opened.names):,} "]
        lines[-1] += "classes whatever it sees."
    return Answer("\n".join(lines), files=[file])


CRAFT = Craft(
    "Pictures",
    "pretrain",
    "a photograph of one thing",
    "python core/pretrain.py",
    open_network,
    answer,
    KEPT,
)
