"""Data sets that an app makes itself: several processes, and a folder that is whole or absent."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from core.errors import InputError

STARTING = 3.0  # seconds until a spawned process works: it imports what this one has
MOST = 16  # processes, unless told otherwise


def write_whole(
    root: str | os.PathLike, record: str, manifest: dict, what: str, write: Callable[[Path], None]
) -> Path:
    """Let `write` fill a folder that becomes `root`, unless root is that data set already.

    The folder lies beside root and is renamed at the end, so that root never holds a part of the
    data. root/record is `manifest` as JSON, by which it is known again; what: its name in messages.
    Raises InputError where root holds something else, or such data of another manifest.
    """
    root = Path(root).expanduser()
    if _is_there(root, record, manifest, what):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.parent / f".{root.name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        partial.mkdir()
        write(partial)
        (partial / record).write_text(json.dumps(manifest) + "\n")
        _move(partial, root, record, manifest, what)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _is_there(root: Path, record: str, manifest: dict, what: str) -> bool:
    """Whether root is the data set of this manifest; False where there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    way_out = f"choose another folder than {root}, or delete it"
    if not (root / record).is_file():
        raise InputError(f"{root}: holds something else than {what}; {way_out}")
    try:
        there = json.loads((root / record).read_text())
    except ValueError as error:
        raise InputError(f"{root / record}: not a record of {what}; {way_out}") from error
    if there != manifest:
        raise InputError(f"{root}: holds the {what} {there}, wanted {manifest}; {way_out}")
    return True


def _move(source: Path, root: Path, record: str, manifest: dict, what: str) -> None:
    """Rename; where another process was first, its data set is the same one."""
    try:
        source.rename(root)  # replaces an empty folder, never one that holds something
    except OSError:
        if not _is_there(root, record, manifest, what):
            raise


def each(
    work: Callable[[Any], Any], every: Sequence, workers: int | None, label: str, chunk: int = 8
) -> None:
    """`work` of everything, by so many processes.

    Where None, by this one alone while others would not be sooner done, then by one a core, at
    most 16. label: what the progress bar says. `work` must be importable, since processes are
    spawned.
    """
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        results = _results(work, every, workers, chunk)
        for _ in progress.track(results, len(every), description=label):
            pass


def _results(work: Callable, every: Sequence, workers: int | None, chunk: int) -> Iterator:
    most = workers or min(os.cpu_count() or 1, MOST)
    done, spent = 0, 0.0
    while done < len(every) and (most == 1 or not workers):
        rest = spent / max(done - 1, 1) * (len(every) - done)  # seconds, alone
        if rest * (1 - 1 / most) > STARTING:
            break
        begun = time.monotonic()
        result = work(every[done])
        spent += time.monotonic() - begun if done else 0  # the first one may compile
        done += 1
        yield result
    yield from _by_others(work, every[done:], most, chunk)


def _by_others(work: Callable, every: Sequence, workers: int, chunk: int) -> Iterator:
    if not every:
        return
    context = multiprocessing.get_context("spawn")  # forks after threads may hang
    with ProcessPoolExecutor(min(workers, len(every)), context, end_with_parent) as pool:
        yield from pool.map(work, every, chunksize=chunk)


def end_with_parent() -> None:
    """For a worker process: without it one whose parent was killed waits for work for ever.

    Ctrl-C reaches all processes of a terminal: the parent alone answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
