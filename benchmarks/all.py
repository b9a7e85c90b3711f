"""Every speed that this project claims, in one table: how fast, beside whom, and the aim.

python benchmarks/all.py [--only mixer,pose] [--before CHECKOUT] [--out FOLDER] [--busy]

Groups of rows run one after another, each in a process of its own with a time limit
(`benchmarks/rows`): about an hour on two quiet cores, more with --before. A ratio is of two
sides that took turns in one process (or, of whole commands, as processes in turn); the table has
its median and quartiles over the rounds. What is known is in OUT/<group>.json and OUT/speed.md at
once, and stays whenever it ends. --before: an earlier commit's checkout (`git worktree add`), for
the rows that are to be no slower than before. Other work on the machine makes figures worthless:
with a load average above 0.5 nothing is begun, unless --busy says to, and before each group the
cores that others keep busy are noted. --smallest goes through everything in seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # it is to run where nothing was installed

import core  # noqa: E402, F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import psutil  # noqa: E402

from benchmarks.rows import GROUPS  # noqa: E402
from core.config import entry_point  # noqa: E402
from core.errors import InputError, did_you_mean  # noqa: E402
from core.files import write_json, write_text  # noqa: E402
from core.tables import Table  # noqa: E402

QUIET = 0.5  # of the load average
COLUMNS = ("what", "beside", "aim", "figure", "quartiles", "met", "sides")


def run(options: argparse.Namespace) -> int:
    """All groups; how many of them did not end well."""
    names, out = chosen(options.only), Path(options.out)
    load = os.getloadavg()[0]
    if load > QUIET and not options.busy:
        raise InputError(
            f"the load average is {load:.1f}: other work would be in the figures. Wait until it "
            f"is below {QUIET}, or say --busy"
        )
    failed = 0
    for name in names:
        record = {"group": name, "busy_cores": busy_cores(options), "rows": [], "error": ""}
        write_json(out / f"{name}.json", record)
        begun, limit = time.monotonic(), 60 * GROUPS[name].minutes * options.patience
        error = apart(name, options, limit)
        record = json.loads((out / f"{name}.json").read_text())
        record |= {"error": error, "seconds": time.monotonic() - begun}
        write_json(out / f"{name}.json", record)
        write_text(out / "speed.md", report(out))
        failed += bool(error)
        print(f"{name}: {record['seconds']:.0f} s. {error}", flush=True)
    return failed


def chosen(words: str) -> list[str]:
    """Names of groups. Raises InputError for an unknown one."""
    names = [name for name in words.split(",") if name] or list(GROUPS)
    for name in names:
        if name not in GROUPS:
            raise InputError(f"there is no group {name!r}.{did_you_mean(name, GROUPS)}")
    return names


def busy_cores(options: argparse.Namespace) -> float | None:
    """How many cores others use, while this process waits a second."""
    return None if options.smallest else psutil.cpu_percent(1.0) / 100 * psutil.cpu_count()


def apart(name: str, options: argparse.Namespace, limit: float) -> str:
    """One group in a process of its own, its processes with it; why it did not end well."""
    words = [sys.executable, __file__, *sys.argv[1:], "--group", name]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    process = subprocess.Popen(words, env=environment, start_new_session=True)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"stopped after {limit / 60:.0f} minutes"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"ended with status {status}" if status else ""


def measure(name: str, options: argparse.Namespace) -> None:
    """The rows of one group, in this process; each is written when it is known."""
    import torch

    from benchmarks.rows.pairs import Settings
    from core.profiling.timing import machine

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rounds, seconds = (2, 0.001) if options.smallest else (options.rounds, options.seconds)
    settings = Settings(rounds, seconds, options.smallest, options.before, options.out)
    path = Path(options.out, f"{name}.json")
    record = json.loads(path.read_text()) | {"machine": machine(torch.device("cpu"))}
    module = importlib.import_module(f"benchmarks.rows.{GROUPS[name].module}")
    for row in getattr(module, GROUPS[name].function)(settings):
        record["rows"].append(asdict(row) | {"met": row.met})
        write_json(path, record)
        print("  " + " | ".join(map(str, cells(record["rows"][-1])[:-1])), flush=True)


def report(out: Path) -> str:
    """All that is known, as Markdown."""
    paths = [path for name in GROUPS if (path := out / f"{name}.json").is_file()]
    records = [json.loads(path.read_text()) for path in paths]
    lines = ["# Speed"]
    if about := next((r["machine"] for r in records if "machine" in r), None):
        threads = f"{about['threads']} threads of {about['cores']} cores"
        lines.append(f"{about['device']}, {threads}, torch {about['torch']}.")
    for record in records:
        busy = record["busy_cores"]
        notes = [] if busy is None else [f"Others kept {busy:.2f} cores busy before it."]
        notes += [f"Not all of it: {record['error']}."] if record["error"] else []
        rows = [cells(row) for row in record["rows"]]
        lines.append(Table(f"## {record['group']}", COLUMNS, rows, " ".join(notes)).markdown())
    return "\n\n".join(lines) + "\n"


def cells(row: dict) -> tuple:
    """A row of the table, from its json."""
    aim = row["aim"] and f"{'>=' if row['at_least'] else '<='} {row['aim']:g}"
    spread = row["low"] and f"{row['low']:.3f} to {row['high']:.3f}"
    sides = [f"{name} {side[0]:.4g}" for name, side in row["sides"].items()]
    words = row["error"] and f"failed: {row['error']}"
    shown = words or f"{', '.join(sides)} {row['unit']}"
    return row["what"], row["against"], aim, row["figure"], spread, row["met"], shown


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help=f"groups with commas: {', '.join(GROUPS)}")
    parser.add_argument("--before", default="", help="a checkout of an earlier commit")
    parser.add_argument("--out", default="results/speed", help="a folder for json, md and png")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn")
    parser.add_argument("--patience", type=float, default=1.0, help="times every time limit")
    parser.add_argument("--busy", action="store_true", help="though other work is running")
    parser.add_argument("--smallest", action="store_true", help="tiny sizes; no figure counts")
    parser.add_argument("--group", choices=GROUPS, help=argparse.SUPPRESS)
    return parser.parse_args(words)


@entry_point
def main() -> None:
    options = parse()
    if options.group:
        measure(options.group, options)
        return
    failed = run(options)
    print(Path(options.out, "speed.md").read_text())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
