"""Where the time goes, in percent: four paths, here and in an earlier checkout.

python benchmarks/profiles.py [--before CHECKOUT] [--threads N]

Mixer-B/16 inference and a training step of it (bfloat16, 224 pixels, batch 8), the first stage of
CrossMLP (256 pixels), and what comes before the first step of `apps/pose/train.py debug`. The
first three by torch's profiler, the operators' own time in kinds; the last by what is imported
and called. Each checkout is asked in a process of its own; profiling itself costs some time, so
that milliseconds are no measure of speed (`benchmarks/all.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = {  # of operators, by what their names begin with; the first that fits
    "matrix products": ("addmm", "mm", "bmm", "baddbmm", "mkldnn_linear", "linear", "matmul"),
    "convolutions": ("mkldnn_conv", "convolution", "_slow_conv", "thnn_conv", "conv"),
    "norms": ("native_layer_norm", "native_batch_norm", "batch_norm", "native_group_norm"),
    "gelu": ("gelu", "_tanhgelu"),
    "optimizer": ("_foreach", "_fused", "lerp", "addcdiv", "addcmul"),
    "copies": ("copy", "clone", "cat", "contiguous", "_to_copy", "fill", "zero", "index", "repeat"),
}
WARM, ROUNDS = 2, 5
OUTSIDE = "outside torch's operators: GELU's own pass, Python"
CHECKOUT = os.environ.get("PYTHONPATH", str(ROOT))  # what is asked; where it is imported from


def operators(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of a call by kind of operator, their own time."""
    from torch.profiler import ProfilerActivity, profile

    for _ in range(WARM):
        work()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        begun = time.perf_counter()
        for _ in range(ROUNDS):
            work()
        whole = 1000 * (time.perf_counter() - begun) / ROUNDS
    times: Counter[str] = Counter()
    for event in seen.key_averages():
        times[_kind(event.key)] += event.self_cpu_time_total / 1000 / ROUNDS
    # a GELU in its own memory is no operator of torch's
    return dict(times) | {OUTSIDE: max(0.0, whole - sum(times.values()))}


def _kind(name: str) -> str:
    short = name.split("::")[-1].lower()
    begins = (kind for kind, words in KINDS.items() if short.startswith(words))
    return next(begins, "everything else")


def inference() -> dict[str, float]:
    import torch

    network, images = _mixer()
    with torch.inference_mode():
        return operators(lambda: network.eval()(images))


def training() -> dict[str, float]:
    import torch

    network, images = _mixer()
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        network.train()(images).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return operators(step)


def _mixer():
    import torch

    from core.models.backbone import create_backbone

    network = create_backbone("mixer_b16", 224).bfloat16()
    return network, torch.randn(8, 3, 224, 224).bfloat16()


def crossmlp() -> dict[str, float]:
    import torch

    from apps.crossview.models.crossmlp import CascadeMixer

    network = CascadeMixer((256, 256), 3, 64).eval()
    images = torch.randn(1, 3, 256, 256)
    with torch.inference_mode():
        return operators(lambda: network(images, images))


def first_step() -> dict[str, float]:
    """Seconds, as milliseconds, of what pose's debug does before its first step, by package."""
    import cProfile
    import pstats
    import runpy
    import tempfile

    from core.training.run import Run

    class Reached(Exception):
        pass

    def stop(*_: object) -> None:
        raise Reached

    Run.step = stop
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.argv = [str(Path(CHECKOUT, "apps/pose/train.py")), "debug"]
        profile = cProfile.Profile()
        with suppress(Reached, SystemExit):
            profile.runcall(runpy.run_path, sys.argv[0], run_name="__main__")
        os.chdir(ROOT)
    times: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, _) in pstats.Stats(profile).stats.items():
        times[_package(file)] += 1000 * own
    most = dict(times.most_common(7))
    return most | {"everything else": sum(times.values()) - sum(most.values())}


def _package(file: str) -> str:
    for mark in ("site-packages/", CHECKOUT + "/"):
        if mark in file:
            return file.split(mark)[1].split("/")[0].removesuffix(".py")
    return "Python itself"


PATHS = {
    "Mixer-B/16, inference": inference,
    "Mixer-B/16, training step": training,
    "CrossMLP's first stage, inference": crossmlp,
    "pose, start to first step": first_step,
}


def table(name: str, sides: dict[str, dict[str, float]]) -> str:
    """A line for each kind, as percent of each side."""
    kinds = dict.fromkeys(kind for times in sides.values() for kind in times)
    heads = " | ".join(f"{side}, % of {sum(t.values()):,.0f} ms" for side, t in sides.items())
    lines = [f"| {name} | {heads} |", "|---" * (1 + len(sides)) + "|"]
    for kind in sorted(kinds, key=lambda k: -max(t.get(k, 0) for t in sides.values())):
        shares = [100 * t.get(kind, 0) / sum(t.values()) for t in sides.values()]
        if max(shares) >= 0.5:
            lines.append(f"| {kind} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", default="", help="a checkout of an earlier commit")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--path", choices=PATHS, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.path:
        import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

        print(json.dumps(PATHS[words.path]()))
        return
    checkouts = {"before": Path(words.before)} if words.before else {}
    for name in PATHS:
        sides = {side: _asked(name, at, words) for side, at in {**checkouts, "now": ROOT}.items()}
        print(table(name, sides), end="\n\n", flush=True)


def _asked(name: str, checkout: Path, words: argparse.Namespace) -> dict[str, float]:
    """What this path costs in a checkout, by a process that imports from there alone."""
    code = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, __file__, "--path", name]
    environment = os.environ | {
        "PYTHONPATH": str(checkout.resolve()),
        "OMP_NUM_THREADS": str(words.threads),
    }
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, {checkout}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
