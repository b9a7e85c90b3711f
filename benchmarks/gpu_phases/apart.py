"""Work in a process of its own: one that crashes, hangs or fills the GPU leaves the others be.

Processes are forked, so that torch is imported once; whoever forks must not have used the GPU.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from core.errors import InputError, first_line

FORK = multiprocessing.get_context("fork")
GRACE = 15.0  # seconds from SIGTERM, at which a training saves and stops, to SIGKILL


def apart(work: Callable[..., None], *args: Any, seconds: float, group: bool = True) -> str:
    """Call ``work(*args)`` in another process and wait; why it did not end well, or nothing.

    After `seconds` it gets SIGTERM and GRACE later SIGKILL. With `group` so does all that it has
    started; without, it stays in the group of its parent.
    """
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_run, args=(work, args, theirs, group))
    process.start()
    theirs.close()
    if group:
        _lead(process.pid)  # both do, whoever comes first
    try:
        stopped = _wait(process, seconds, group)
        told = ours.recv() if ours.poll() else ""
    except EOFError:  # it ended without a word
        told = ""
    finally:
        _signal(process, signal.SIGKILL, group)
        process.join()
    if stopped:
        return f"stopped after {seconds:.0f} s"
    return told or _ending(process.exitcode)


def _run(work: Callable[..., None], args: tuple, told: Any, group: bool) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not what the parent made of it
    # A fork leaves torch's pool of threads without threads. The first who asks makes it anew: here,
    # as the threads of autograd would race for it and now and then find none.
    torch.set_num_threads(torch.get_num_threads())
    if group:
        _lead(0)
    try:
        work(*args)
    except Exception as error:
        if not isinstance(error, InputError):
            traceback.print_exc()
        told.send(str(error) if isinstance(error, InputError) else first_line(error))


def _wait(process: Any, seconds: float, group: bool) -> bool:
    """Whether it had to be told to stop."""
    process.join(max(0.0, seconds))
    if not process.is_alive():
        return False
    _signal(process, signal.SIGTERM, group)
    process.join(GRACE)
    return True


def _lead(process: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it may be over, or have done so
        os.setpgid(process, process)


def _signal(process: Any, number: int, group: bool) -> None:
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, number)
        elif process.is_alive():
            os.kill(process.pid, number)


def _ending(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with status {code}" if code else ""
