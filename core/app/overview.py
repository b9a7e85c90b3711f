"""A run on one page: its curves, figures and predictions, and what to type next.

python -m core.app.overview RUN

writes RUN/index.html, which opens without a network: no script, and pictures by their place beside
it. What the run does not have yet is left out. Written again, it replaces the page.
"""

from __future__ import annotations

import argparse
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.app.commands import EVALUATED
from core.app.predicting import RECORDS
from core.config import entry_point
from core.data.samples import evenly_spaced
from core.errors import InputError
from core.files import json_lines, write_text
from core.models.weights.evaluations import numbers, read_evaluation
from core.training.curves import draw_curves

SHOWN = 12  # predictions
PICTURES = (".png", ".jpg")
SHEET = "sheet.png"  # of all predictions, beside them
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc }
td + td { text-align: right } img { max-width: 100% } figure { margin: .4rem; max-width: 22rem }
.all { display: flex; flex-wrap: wrap; align-items: end } pre { background: #f3f3f3; padding: 1rem }
figcaption { font-size: .8rem; overflow-wrap: anywhere }
"""


def write_overview(run: Path) -> Path:
    """Write RUN/index.html and return its path. Raises InputError where the folder is no run's."""
    if not (about := json_lines(run / "about.jsonl")):
        raise InputError(f"{run} is no folder of a run: it has no about.jsonl")
    draw_curves(run)
    title = f"{about[-1]['command'].split('.py')[0]}: {run.name}"
    parts = [f"<h1>{_said(title)}</h1>", *_made(about), *_figures(run)]
    parts += ["<h2>Curves</h2>", '<img src="pictures/curves.png" alt="learning curves">']
    parts += [*_predictions(run), *_next(run, about[-1]["command"].split()[0])]
    head = f"<!doctype html><meta charset=utf-8><title>{_said(title)}</title><style>{STYLE}</style>"
    return write_text(run / "index.html", "\n".join([head, *parts, ""]))


def _said(words: Any) -> str:
    return html.escape(str(words))


def _made(about: list[dict[str, Any]]) -> Iterator[str]:
    """By what it was made: each start of the run."""
    for start in about:
        words = f"{start['started'][:16].replace('T', ' ')}, {start['hardware']}"
        yield f"<p>{_said(words)}, commit {_said(start['commit'] or 'unknown')}:</p>"
        yield f"<pre>{_said(start['command'])}</pre>"


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
    folder = run / RECORDS
    files = sorted(p for p in folder.glob("*") if p.suffix in PICTURES and p.name != SHEET)
    if not files:
        return
    chosen = [files[i] for i in evenly_spaced(len(files), SHOWN)]
    yield f"<h2>Predictions</h2><p>{len(chosen)} of {len(files)}, none chosen by hand</p>"
    yield '<div class="all">'
    for path in chosen:
        place = f"{RECORDS}/{path.name}"
        yield f'<figure><a href="{_said(place)}"><img src="{_said(place)}" alt=""></a>'
        yield f"<figcaption>{_said(path.name)}</figcaption></figure>"
    yield "</div>"


def _next(run: Path, script: str) -> Iterator[str]:
    """What to type now, of the scripts that lie beside the one that trained it."""
    beside = Path(script).parent
    lines = [f"python {beside / 'predict.py'} {run} FILE    # your own files"]
    lines += [f"python {beside / 'eval.py'} {run} --help", "python -m page    # in the browser"]
    lines += [f"python {script} --help    # other presets, your own data"]
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
