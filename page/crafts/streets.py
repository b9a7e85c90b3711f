"""The street as seen from above, and back: what a generator draws, and what it chose from."""

from __future__ import annotations

from apps.crossview.config import CrossViewConfig
from apps.crossview.models.network import Generator
from apps.crossview.prediction.pictures import CANDIDATES, IMAGE, SHEET, draw_one
from apps.crossview.prediction.readers import own_images
from core.app.predicting import RECORDS, foreign
from core.app.runs import TrainedRun, reopen
from core.errors import InputError
from core.files import write_json
from core.training.session import Session
from page.crafts.craft import LIMIT, SAMPLES, Answer, Craft, Request, reading

CAPTIONS = {
    SHEET: "from what is given to what is made",
    CANDIDATES: "the candidates, above where each was taken",
}


def open_network(word: str, session: Session) -> TrainedRun:
    return reopen(word, CrossViewConfig, Generator, session)


def answer(session: Session, run: TrainedRun, request: Request) -> Answer:
    network, stem = run.network, request.stem
    if request.second is None and network.needs_map:
        known = ", ".join(network.palette.names)
        raise InputError(f"this network draws along a map of the view to draw: give one ({known})")
    (item,) = own_images(network, [str(request.file)], request.second, run.config.data, LIMIT)
    with reading(request.file):
        content = item.load()
    record = draw_one(session, network, stem, content, request.folder)
    found = {"input": request.file.name, "output": f"{stem}{IMAGE}", **record}
    file = write_json(request.folder / f"{RECORDS}.json", [found])
    made = request.folder / f"{stem}{IMAGE}"
    shown = [(request.folder / f"{stem}{end}", words) for end, words in CAPTIONS.items()]
    pictures = [*((path, words) for path, words in shown if path.is_file()), (made, "made")]
    lines = foreign(not run.config.data.root, "towns that a program rendered", "real places")
    return Answer("\n\n".join(lines), pictures, [path for path, _ in pictures] + [file])


CRAFT = Craft(
    "Cross-view",
    "crossview",
    "a picture from above (or of a street, for a network of the way back)",
    "python apps/crossview/train.py",
    open_network,
    answer,
    Generator.KEPT,
    second="a map of the view to draw, where the network asks for one",
    samples=(SAMPLES / "aerial.png", SAMPLES / "street_map.png"),
)
