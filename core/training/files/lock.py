"""A run's folder belongs to one process at a time: a lock that ends with it, however it ends.

A POSIX record lock, which NFS, Lustre and GPFS pass on to other machines. Loaders that are forked
do not inherit it, so that it does not outlive a process that was killed.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shlex
import socket
import sys
import time
from pathlib import Path

from core.errors import InputError

NAME = ".lock"
# open files by process and path: closing any of them would end this process's lock
_held: dict[tuple[int, Path], int] = {}


def hold(folder: Path) -> None:
    """Keep other processes out of a folder until `release`, or the end of this process.

    Raises InputError, which says who has it. Where the file system knows no locks, that is said.
    """
    path = folder.resolve() / NAME
    if (os.getpid(), path) in _held:
        return
    file = _locked(path, folder)
    while not _is_there(file, path):  # its holder has just let it go, and deleted it
        os.close(file)
        file = _locked(path, folder)
    os.ftruncate(file, 0)
    os.write(file, f"{_this_process()}\n".encode())
    _held[os.getpid(), path] = file
    atexit.register(release, folder)


def _locked(path: Path, folder: Path) -> int:
    """The file at a path, open and locked."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # POSIX: EAGAIN or EACCES
        holder = os.read(file, 1000).decode(errors="replace").strip() or "another process"
        os.close(file)
        raise InputError(
            f"{folder} is in use by {holder}: wait for it, or choose another --run.folder"
        ) from error
    except OSError as error:
        words = f"note: {path} could not be locked ({error.strerror}): start no second run here"
        print(words, file=sys.stderr, flush=True)
    return file


def release(folder: Path) -> None:
    """Let others have the folder."""
    key = os.getpid(), folder.resolve() / NAME
    if key in _held:
        key[1].unlink(missing_ok=True)
        os.close(_held.pop(key))


def _is_there(file: int, path: Path) -> bool:
    return path.exists() and os.path.samestat(os.fstat(file), os.stat(path))


def _this_process() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    command = " ".join(shlex.join(sys.argv).split())[:200]
    return f"process {os.getpid()} on {socket.gethostname()} since {since} ({command})"
