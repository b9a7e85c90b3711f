"""The skeleton of an app's prediction script.

    python apps/APP/predict.py RUN [FILE or FOLDER ...] [--output FOLDER] [--count N] [options]

Without files, N samples of the run's validation data are taken, evenly over it. Predictions go to
RUN/predictions, or to --output: the files of each input under its own name, and predictions.json, a
list of records with "input" (where it is from) and "output" (the name of its first file), then what
the app knows. What cannot be read is named on stderr, the others go on, and the exit status is 2.
No input is overwritten: that is said before anything is written. Where the app keeps networks
(`kept.py`), RUN can be left out: `run_and_inputs` tells which words are what. An app writes:

    parser = prediction_parser(__doc__, "images or folders", count=12)
    words = parser.parse_intermixed_args()
    session = Session(build_accelerator())
    run = reopen(words.run, StyleConfig, Classifier, session)
    items = [Item(str(path), partial(decode, path)) for path in find_images(words.inputs)]
    items = items or [Item(val.names[i], partial(picture, val, i))
                      for i in evenly_spaced(len(val), words.count)]
    predict_each(session, items, output_folder(words, run), one, endings=(".jpg",))

where one(name, content, folder) -> dict writes folder/name.jpg and gives the rest of the record.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.app.kept import KeptNetworks
from core.app.runs import TrainedRun
from core.data.images.files import PixelLimit
from core.errors import InputError, first_line
from core.files import distinct_name, kept_if_filled, write_json
from core.ranges import Count, Whole, argument
from core.training.session import Session

RECORDS = "predictions"  # predictions.json, and the folder's name


@dataclass(frozen=True)
class Item:
    """One thing to predict: where it is from (a path or a name), and what reads it."""

    source: str
    load: Callable[[], Any]


@dataclass
class LeftOut:
    """What could not be used: named at once, counted for the end."""

    noun: str = "inputs"
    sources: list[str] = field(default_factory=list)

    def add(self, source: str | Path, error: Exception | str) -> None:
        """Name an input on stderr, with the first line of what is wrong."""
        reason = first_line(error) if isinstance(error, Exception) else error
        reason = reason.removeprefix("InputError: ").removeprefix(f"{source}: ")
        self.sources.append(str(source))
        print(f"left out: {source}: {reason}", file=sys.stderr, flush=True)

    def check(self, total: int) -> None:
        """Raise InputError, the last thing that a script does, if anything was left out."""
        if self.sources:
            raise InputError(f"{len(self.sources)} of {total} {self.noun} could not be used")


def prediction_parser(
    description: str, inputs: str, count: int, kept: KeptNetworks | None = None
) -> argparse.ArgumentParser:
    """RUN, inputs (what they are, in words), --output and --count; an app adds its options.

    With ``kept`` RUN may be missing, and is the first of the inputs: see `run_and_inputs`.
    """
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    run = "folder of a run, or of one of its checkpoints"
    if kept:
        names = ", ".join(kept.names()) or "none here"
        inputs = f"[RUN] ({run}, or a kept network: {names}; else {kept.usual}), then {inputs}"
    else:
        parser.add_argument("run", type=place, help=run)
    parser.add_argument("inputs", nargs="*", type=place, help=inputs)
    folder = f"folder to write to (RUN/{RECORDS})"
    parser.add_argument("--output", type=lambda word: Path(place(word)), help=folder)
    parser.add_argument(
        "--count", type=argument(Count), default=count, help="samples, if no inputs"
    )
    return parser


def place(word: str) -> str:
    """The `type` of an argument that names a file or a folder: no empty word, which would be the
    folder of the shell, and no address."""
    if not word.strip():
        raise argparse.ArgumentTypeError("is empty: is a variable of the shell not set?")
    if "://" in word:
        raise argparse.ArgumentTypeError(f"{word}: nothing is fetched: save it as a file first")
    return word


def add_max_pixels(parser: argparse.ArgumentParser, larger: str, most: int | None = None) -> None:
    """--max-pixels of what reads pictures; ``larger`` says what becomes of those above.

    most: what it is where it is not given; None: the run's own setting (`pixel_limit`).
    """
    usual = "as the run has it" if most is None else f"{most:,}"
    words = f"of a picture; {larger} ({usual})"
    parser.add_argument("--max-pixels", type=argument(Whole), default=most, help=words)


def pixel_limit(words: argparse.Namespace, runs: int = 0) -> PixelLimit:
    """How large a picture may be: --max-pixels, or the run's setting where it is not given."""
    return PixelLimit(runs if words.max_pixels is None else words.max_pixels, "--max-pixels")


def run_and_inputs(words: Sequence[str], kept: KeptNetworks) -> tuple[str, list[str]]:
    """Which run the words of a command name, and its inputs.

    The first word is the run where it is a kept name, a run, or one of its checkpoints; what else
    exists is an input, of the usual kept network. Raises InputError for a word that is neither,
    and for a run that does not come first.
    """
    words = list(words)
    if words and (words[0] in kept.names() or _is_run(words[0])):
        run, *inputs = words
    else:
        if words and not Path(words[0]).exists():
            names = f" ({', '.join(kept.names())})" if kept.names() else ""
            raise InputError(
                f"{words[0]} does not exist: give a run, a kept network{names} or nothing, then "
                "files or folders"
            )
        run, inputs = kept.default(), words
    if late := next((word for word in inputs if _is_run(word)), None):
        raise InputError(f"{late} is a run: it comes before the inputs, and is named once")
    return run, inputs


def _is_run(word: str) -> bool:
    """Whether this is the folder of a run, also of one without a checkpoint yet, or a checkpoint:
    what no folder of inputs looks like."""
    folder = Path(word)
    files = ("config.yaml", "model.safetensors", "ema.safetensors")
    return (folder / "checkpoints").is_dir() or any((folder / name).is_file() for name in files)


def refuse_kept(run: TrainedRun, inputs: str) -> None:
    """Raise InputError for a kept network: of nothing but its name there is nothing to predict."""
    if run.kept:
        folder = f"; the folder of that name is ./{run.kept}" if Path(run.kept).exists() else ""
        raise InputError(
            f"{run.kept} is a kept network, without data of its own: name {inputs}{folder}"
        )


def foreign(embedded: bool, made: str, real: str) -> list[str]:
    """A line where a network learnt from what the app makes itself: real things are foreign."""
    if not embedded:
        return []
    return [f"This network learnt from {made} alone: {real} are foreign to it, do not trust it."]


def output_folder(words: argparse.Namespace, run: TrainedRun) -> Path:
    """Where predictions go."""
    return words.output or run.folder / RECORDS


def named(
    sources: Sequence[str | Path],
    folder: Path,
    endings: Sequence[str],
    protected: Sequence[str | Path] = (),
) -> list[str]:
    """A name for each source, all different, under which its files will lie in ``folder``.

    endings: of the files that one input becomes (".png", "-sheet.png", ...). protected: other files
    that are read. Raises InputError where a source or one of these would be overwritten.
    """
    taken = {RECORDS}
    names = [distinct_name(Path(source).stem, taken) for source in sources]
    # realpath, which a link to itself does not stop: what cannot be read is named in its turn
    targets = {os.path.realpath(folder / f"{name}{end}") for name in names for end in endings}
    targets.add(os.path.realpath(folder / f"{RECORDS}.json"))
    for path in [*sources, *protected]:
        if os.path.realpath(path) in targets:
            raise InputError(f"{path} would be overwritten: choose another --output")
    return names


def predict_each(
    session: Session,
    items: Sequence[Item],
    folder: Path,
    predict: Callable[[str, Any, Path], dict[str, Any]],
    endings: Sequence[str],
    noun: str = "images",
    protected: Sequence[str | Path] = (),
    report: Callable[[list[dict[str, Any]]], Any] | None = None,
) -> list[dict[str, Any]]:
    """Predict every item, on the main process; the records, as predictions.json has them.

    predict(name, content, folder) writes files of the ``endings`` and returns the record's rest;
    without endings there are no files, and no "output". report: prints all records together.
    Raises InputError at the end if something was left out, with what was predicted on disk.
    """
    if not session.is_main:
        return []
    names = named([item.source for item in items], folder, endings, protected)
    records, left_out = [], LeftOut(noun)
    with kept_if_filled(folder):
        for name, item in zip(names, items, strict=True):
            try:
                content = item.load()
            except Exception as error:  # decoders raise many kinds
                left_out.add(item.source, error)
                continue
            try:
                record = predict(name, content, folder)
            except InputError as error:
                left_out.add(item.source, error)
                continue
            output = {"output": f"{name}{endings[0]}"} if endings else {}
            records.append({"input": item.source, **output, **record})
        if records:
            if report:
                report(records)
            path = write_json(folder / f"{RECORDS}.json", records)
            print(f"{len(records)} {noun}: {path}", flush=True)
    left_out.check(len(items))
    return records
