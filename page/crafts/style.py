"""Paintings: their style, and where the network looked."""

from __future__ import annotations

from PIL import Image

from apps.style.config import StyleConfig
from apps.style.predict import Painting, predict
from core.app.naming import UNSURE
from core.app.predicting import RECORDS, foreign
from core.app.runs import TrainedRun, reopen
from core.files import write_json
from core.models.classifier import Classifier
from core.training.session import Session
from page.crafts.craft import SAMPLES, Answer, Craft, Request, picture


def open_network(word: str, session: Session) -> TrainedRun:
    return reopen(word, StyleConfig, Classifier, session)


def answer(session: Session, run: TrainedRun, request: Request) -> Answer:
    painting = Painting(request.file.name, Image.fromarray(picture(request.file)))
    record = predict(session, run, request.stem, painting, request.folder)
    drawn = request.folder / f"{request.stem}.jpg"
    file = write_json(request.folder / f"{RECORDS}.json", [{"input": painting.source, **record}])
    data = run.config.data
    embedded = not (run.kept or data.root or data.csv)
    best, share = next(iter(record["styles"].items()))
    lines = [
        f"**{best.replace('_', ' ')}**, {100 * share:.1f} %.",
        "On the right what the network saw: warm where hiding a part costs it most.",
    ]
    lines += [f"**{UNSURE.capitalize()}**: below one half."] * record[UNSURE]
    lines += foreign(embedded, "paintings that a program made", "real ones")
    return Answer("\n\n".join(lines), [(drawn, "")], [drawn, file])


CRAFT = Craft(
    "Style",
    "style",
    "a painting",
    "python apps/style/train.py",
    open_network,
    answer,
    getattr(Classifier, "KEPT", None),
    samples=(SAMPLES / "painting.jpg",),
)
