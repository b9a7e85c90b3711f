"""Paintings: their style, and where the network looked."""

from __future__ import annotations

from apps.style.config import StyleConfig
from apps.style.predict import Painting, predict
from core.app.naming import UNSURE
from core.app.predicting import RECORDS
from core.app.runs import TrainedRun, reopen
from core.data.images.files import decode
from core.files import write_json
from core.models.classifier import Classifier
from core.training.session import Session
from page.crafts.craft import LIMIT, Answer, Craft, Request, foreign


def open_network(word: str, session: Session) -> TrainedRun:
    return reopen(word, StyleConfig, Classifier, session)


def answer(session: Session, run: TrainedRun, request: Request) -> Answer:
    image = decode(str(request.file), LIMIT, upright=True)
    painting = Painting(request.file.name, image)
    record = predict(session, run, request.stem, painting, request.folder)
    picture = request.folder / f"{request.stem}.jpg"
    file = write_json(request.folder / f"{RECORDS}.json", [{"input": painting.source, **record}])
    data = run.config.data
    drawn = not (run.kept or data.root or data.csv)
    table = ["| | % |", "|---|---|"]
    table += [f"| {name} | {100 * share:.1f} |" for name, share in record["styles"].items()]
    lines = [
        "\n".join(table).replace("_", " "),
        "On the right what the network saw: warm where hiding a part costs it most.",
    ]
    lines += [f"**{UNSURE.capitalize()}**: below one half."] * record[UNSURE]
    lines += foreign(drawn, "paintings that a program made", "real ones")
    return Answer("\n\n".join(lines), [(picture, "")], [picture, file])


CRAFT = Craft(
    "Style",
    "style",
    "a painting",
    "python apps/style/train.py",
    open_network,
    answer,
    getattr(Classifier, "KEPT", None),
)
