"""Start entry points in processes of their own: one, or two CPU ranks as torchrun would.

A fork server imports once what runs import (an app's own part of it, and what draws its curves, is
as much again as torch), so that a start costs a fraction of a second instead of many.
"""

import multiprocessing
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PRELOAD = [
    "torch._dynamo",
    "core.training.run",
    "accelerate",
    "tyro",
    "rich.progress",
    "torch.utils.data",
    "core.pretrain",
    "core.eval",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "torchmetrics.functional.image",
    *(
        f"apps.{app}.{script}"
        for app in ("crossview", "pointcloud", "pose", "style")
        for script in ("train", "eval", "predict")
    ),
]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOAD)


@dataclass
class Finished:
    """Exit status (of the first rank that failed) and what all ranks printed."""

    returncode: int
    output: str


def launch(main, *words, processes=1, timeout=180, limit=None, environment=None):
    """Run ``main()`` with these words; ``limit``: largest file that it may write, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        port, words = free_port(), [str(word) for word in words]
        paths = [Path(folder, f"{rank}.log") for rank in range(processes)]
        ranks = [
            CONTEXT.Process(
                target=_rank, args=(main, words, rank, processes, port, path, limit, environment)
            )
            for rank, path in enumerate(paths)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(timeout)
            if rank.exitcode is None:
                rank.kill()
                rank.join()
        output = "".join(path.read_text() for path in paths if path.exists())
    return Finished(next((r.exitcode for r in ranks if r.exitcode), 0), output)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _rank(main, words, rank, world, port, path, limit, environment):
    import resource

    import torch

    log = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1), os.dup2(log, 2)
    os.environ["ACCELERATE_USE_CPU"] = "1"
    if world > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= environment or {}
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    torch.set_num_threads(1)
    # loader workers as of a process started by hand: children, which end when it is killed
    multiprocessing.set_start_method("fork", force=True)
    sys.argv = ["main", *words]
    main()
