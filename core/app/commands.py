"""The skeletons of an app's scripts: training and comparison in a line, and evaluation.

    python apps/APP/eval.py RUN [--output FOLDER] [--option ...] [--section.field value ...]

RUN comes first. Every setting of the run can be said anew, by the name that training has for it,
less those of the network, of which only what its class lists as SAID_ANEW can be another; the app
adds options of its own, a frozen dataclass. An app writes:

    @dataclass(frozen=True)
    class Options:
        \"\"\"What only this evaluation is told.\"\"\"
        no_baselines: bool = False  # the network alone

    def report(session, words) -> Report:     # all processes call it
        ...                                   # prints and draws into words.output on the main one
        return Report(data=str(val), figures=metrics, details={"classes": rows})

    @entry_point
    def main() -> None:
        evaluation_command(__doc__, StyleConfig, Classifier, report, Options)

What comes back is written to OUTPUT/eval.json (OUTPUT is the run's folder unless told), which has
the same first keys in every app: what, data, network, figures, commit; then the details.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from core.app.runs import TrainedRun, reopen
from core.config import cli, refuse_old_names
from core.errors import InputError
from core.files import write_json
from core.ranges import check_ranges, show_ranges
from core.training.curves import report_curves
from core.training.files.folder import about
from core.training.run import Run
from core.training.session import Session, build_accelerator, end_processes

EVALUATED = "eval.json"


@dataclass(frozen=True)
class NoOptions:
    """Nothing but the settings of the run."""


@dataclass(frozen=True)
class Report:
    """What an evaluation says. JSON can hold all of it."""

    data: str  # what was evaluated on, in words
    figures: dict[str, Any]  # by metric, or by row and metric
    details: dict[str, Any] = field(default_factory=dict)  # what else eval.json keeps


@dataclass(frozen=True)
class Words:
    """A command line, read."""

    run: TrainedRun  # its config has the settings that were said anew
    options: Any
    output: Path
    said: frozenset[str]  # dotted names of the options on the command line: {"data.root", ...}


def training_command(train: Callable[[Any], Run], presets: Mapping[str, Callable]) -> None:
    """Train by the command line, draw the learning curves, say where all lies: a train.py."""
    report_run(train(cli(presets)))


def report_run(run: Run) -> None:
    """Draw the learning curves, and say where all lies."""
    report_curves(run.session, [run.folder])
    run.session.print(run.files.where())


def comparison_command(compare: Callable[[Any], Any], comparisons: Mapping[str, Callable]) -> None:
    """Compare by the command line: many runs, so that the processes end when all are done."""
    compare(cli(comparisons))
    end_processes()


def evaluation_command(
    description: str,
    config: type,
    network: Any,
    report: Callable[[Session, Words], Report],
    options: type = NoOptions,
    argv: Sequence[str] | None = None,
) -> None:
    """Open the run that the command line names, let ``report`` evaluate it, write eval.json."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] in (["-h"], ["--help"]):
        _parse(description, config(), options(), argv)  # prints, and leaves
    session = Session(build_accelerator())
    words = read_words(description, config, network, session, argv, options)
    outcome = report(session, words)
    if session.is_main:
        session.print(f"figures: {write_report(words.output, words.run, outcome)}")
    session.accelerator.end_training()


def read_words(
    description: str,
    config: type,
    network: Any,
    session: Session,
    argv: Sequence[str],
    options: type = NoOptions,
) -> Words:
    """The command line. Raises InputError for no RUN, for what is no run of this app, and for
    settings that the network's weights have decided.

    Where the app keeps networks (`kept.py`), no RUN is the usual one of them.
    """
    named, argv = ("", argv) if not argv or argv[0].startswith("-") else (argv[0], argv[1:])
    if not named:
        named = _usual(network)
    refuse_old_names(config, argv)
    run = reopen(named, config, network, session)
    parsed = _parse(description, run.config, options(), argv)
    said = frozenset(_dotted(word) for word in argv if word.startswith("--"))
    _check_said(said, getattr(network, "SAID_ANEW", ()))
    output = parsed.output or run.folder
    return Words(replace(run, config=parsed.config), parsed.options, output, said)


def _usual(network: Any) -> str:
    if kept := getattr(network, "KEPT", None):
        return kept.default()
    raise InputError("give the folder of a run, or of one of its checkpoints, first")


def _check_said(said: frozenset[str], allowed: Sequence[str]) -> None:
    """InputError for a setting of the network that its weights have decided."""
    decided = {name for name in said if name.startswith("model.")} - set(allowed)
    if decided:
        others = f", but for {', '.join(allowed)}" if allowed else ""
        raise InputError(
            f"--{min(decided)}: the network is the one that was trained, and its settings are "
            f"those{others}"
        )


def _dotted(word: str) -> str:
    """The setting that a word is about: data.root of --data.root=X, eval.flip_test of
    --eval.no-flip-test."""
    name = word.split("=")[0].removeprefix("--").replace("-", "_")
    section, dot, setting = name.rpartition(".")
    return section + dot + setting.removeprefix("no_" if dot else "")


def _parse(description: str, config: Any, options: Any, argv: Sequence[str]) -> Any:
    """Settings and options by their own names, without a prefix."""
    import tyro  # here, so that core can be imported without it

    bare = tyro.conf.arg(name="")
    output = "folder for figures and pictures; the run's if not told"
    parts = [
        ("output", Annotated[Path | None, tyro.conf.arg(help=output)], None),
        ("options", Annotated[type(options), bare], options),
        ("config", Annotated[type(config), bare], config),
    ]
    command = make_dataclass("Command", parts, frozen=True)
    for kind in (type(options), type(config)):
        show_ranges(kind)
    first_lines = f"{description.strip()}\n\nRUN, the folder of a run, comes before all of these."
    parsed = tyro.cli(command, args=argv, description=first_lines)
    for part in (parsed.options, parsed.config):
        check_ranges(part, "--")
    return parsed


def write_report(output: Path, run: TrainedRun, report: Report) -> Path:
    """OUTPUT/eval.json, whole or not at all."""
    record = {
        "what": str(run.checkpoint),
        "data": report.data,
        "network": run.network.describe(),
        "figures": report.figures,
        "commit": about()["commit"],
        **report.details,
    }
    return write_json(output / EVALUATED, record)
