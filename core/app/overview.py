"""A run on one page: its curves, figures and predictions, and what to type next.

python -m core.app.overview RUN

writes RUN/index.html, which opens without a network: no script, and pictures by their place beside
it. What the run does not have is left out. Written again, it replaces the page.
"""

from __future__ import annotations

import argparse
import html
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.app.commands import EVALUATED
from core.app.predicting import RECORDS
from core.config import entry_point
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.files import json_lines, write_text
from core.models.weights.evaluations import numbers, read_evaluation
from core.training.curves import draw_curves

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 12  # predictions
PICTURES = (".png", ".jpg")
KEPT = "kept"  # a folder of the run, with one for each app
SHEET = "sheet.png"  # of all predictions, beside them
HEAD = (
    "<!doctype html><meta charset=utf-8>"
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc }
td + td { text-align: right } img { max-width: 100% } figure { margin: .4rem; max-width: 22rem }
.all { display: flex; flex-wrap: wrap; align-items: end }
pre { background: #f3f3f3; padding: 1rem; overflow-x: auto }
figcaption { font-size: .8rem; overflow-wrap: anywhere }
"""


def write_overview(run: Path) -> Path:
    """Write RUN/index.html and return its path. Raises InputError where the folder is no run's."""
    about = [start for start in json_lines(run / "about.jsonl") if start.get("command")]
    if not about:
        raise InputError(f"{run} is no folder of a run: its about.jsonl names no command")
    script = shlex.split(about[-1]["command"])[0]
    title = f"{script.removesuffix('.py')}: {run.name}"
    parts = [f"<h1>{_said(title)}</h1>", *_made(about), *_figures(run), *_curves(run)]
    parts += [*_predictions(run), *_kept(run), *_next(run, Path(script))]
    head = f"{HEAD}<title>{_said(title)}</title><style>{STYLE}</style>"
    return write_text(run / "index.html", "\n".join([head, *parts, ""]))


def _said(words: Any) -> str:
    return html.escape(str(words))


def _made(about: list[dict[str, Any]]) -> Iterator[str]:
    """By what it was made: each start of the run."""
    for start in about:
        known = [start.get("started", "")[:16].replace("T", " "), start.get("hardware", "")]
        known.append(f"commit {start['commit']}" if start.get("commit") else "")
        yield f"<p>{_said(', '.join(filter(None, known)))}</p>"
        yield f"<pre>{_said(start['command'])}</pre>"


def _curves(run: Path) -> Iterator[str]:
    """The learning curves, drawn anew, where there is something to draw and matplotlib to do it."""
    try:
        place = draw_curves(run).relative_to(run)
    except InputError:
        return
    yield f'<h2>Curves</h2><img src="{place.as_posix()}" alt="learning curves">'


def _figures(run: Path) -> Iterator[str]:
    """The last evaluation."""
    if not (run / EVALUATED).is_file():
        return
    values = read_evaluation(run / EVALUATED)
    yield f"<h2>Figures</h2><p>of {_said(values.get('data', 'its data'))}</p><table>"
    for name, value in numbers(values.get("figures", {})):
        yield f"<tr><td>{_said(name)}</td><td>{value:.4g}</td></tr>"
    yield "</table>"


def _predictions(run: Path) -> Iterator[str]:
    files = _pictures(run / RECORDS)
    if not files:
        return
    chosen = [files[i] for i in evenly_spaced(len(files), SHOWN)]
    yield f"<h2>Predictions</h2><p>{len(chosen)} of {len(files)}, none chosen by hand</p>"
    yield from _gallery(run, chosen)


def _kept(run: Path) -> Iterator[str]:
    """What other apps' kept networks made of samples, each in RUN/kept/APP."""
    files = [path for app in sorted((run / KEPT).glob("*")) for path in _pictures(app)]
    if files:
        yield "<h2>By the kept networks</h2><p>of samples that come with the project</p>"
        yield from _gallery(run, files)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*") if p.suffix in PICTURES and p.name != SHEET)


def _gallery(run: Path, files: Sequence[Path]) -> Iterator[str]:
    yield '<div class="all">'
    for path in files:
        place = quote(path.relative_to(run).as_posix())
        said = path.relative_to(run).as_posix().removeprefix(f"{RECORDS}/")
        yield f'<figure><a href="{place}"><img src="{place}" alt=""></a>'
        yield f"<figcaption>{_said(said)}</figcaption></figure>"
    yield "</div>"


def _next(run: Path, script: Path) -> Iterator[str]:
    """What to type now: of the scripts beside the one that trained it, those that take a run."""
    here = shlex.quote(str(run))
    words = {"predict.py": f"{here} FILE    # your own files"}
    if script.name == "train.py":  # core/eval.py wants to be told what to evaluate
        words["eval.py"] = f"{here} --help"
    there = {script.parent / name: rest for name, rest in words.items()}
    there = {path: rest for path, rest in there.items() if (ROOT / path).is_file()}
    lines = [f"python {shlex.quote(str(path))} {rest}" for path, rest in there.items()]
    lines += ["python -m page    # in the browser", f"python {script} --help"]
    yield f"<h2>Next</h2><pre>{_said(chr(10).join(lines))}</pre>"


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    print(f"all on one page: {write_overview(parser.parse_args().run)}")


if __name__ == "__main__":
    main()
