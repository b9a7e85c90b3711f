"""Nine minutes of one large GPU: is all of it right there, how fast is it, what does it learn.

python benchmarks/gpu.py [--minutes 9] [--phases correct,speed] [--out FOLDER]
                         [--photos FOLDER] [--cifar FOLDER] [--device cuda|cpu] [--smallest]

Phases, in the order of their worth:

    correct            logits, gradients, torch.compile, torch.export, kill and resume
    speed              images/s, memory and share of the peak beside timm, eager and compiled
    fsdp               FSDP2 on one device takes the steps of plain training
    photos             a Mixer trained on photographs            needs --photos
    cifar10_300        Mixer-nano on CIFAR-10 from scratch       needs --cifar
    cifar10_fractals   pretrained on fractals, then CIFAR-10     needs --cifar

It needs this repository, torch, timm, torchvision, accelerate, numpy, pillow, safetensors, pyyaml
and numba (fractals), and for the trainings two folders of packed images (the format is in
core/data/images/packed.py): train.npz and one other .npz, on which they are tested.

Each phase has a share of what is left of the time, runs in a process of its own, and stops at the
end of its share; what it does not use goes to those after it. Its figures are in OUT/<phase>.json
and OUT/gpu.md from the moment that they are known, so that nothing is lost whenever it ends. The
trainings leave their settings, metrics and half-precision weights in OUT/<phase>, all together
less than 60 MiB. `--device cpu --smallest` goes through everything in seconds, with tiny networks.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

BEGUN = time.monotonic()  # the imports count
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # it is to run where nothing was installed
# whether there is a GPU is to be asked without opening it: a process that has cannot fork others
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import core  # noqa: E402, F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
import accelerate  # noqa: E402, F401 - these once, and not again in every process that is forked
import timm.data  # noqa: E402, F401
import torch._dynamo  # noqa: E402, F401
from torchvision.transforms import v2  # noqa: E402, F401

from benchmarks.gpu_phases import PHASES  # noqa: E402
from benchmarks.gpu_phases.apart import GRACE, apart  # noqa: E402
from benchmarks.gpu_phases.task import Record, Task  # noqa: E402
from core.config import did_you_mean, entry_point  # noqa: E402
from core.errors import InputError  # noqa: E402
from core.files import write_text  # noqa: E402


def chosen(options: argparse.Namespace) -> list[str]:
    """The phases to run, in their order. Raises InputError for unknown ones, and for one that is
    asked for without its data; of all, those without are left out."""
    names = [name for name in options.phases.split(",") if name]
    for name in names:
        if name not in PHASES:
            raise InputError(f"there is no phase {name!r}.{did_you_mean(name, PHASES)}")
        if (needs := PHASES[name].needs) and not getattr(options, needs):
            raise InputError(f"phase {name} needs --{needs}: a folder of packed images")
    for folder in filter(None, (options.photos, options.cifar)):
        if not Path(folder, "train.npz").is_file():
            raise InputError(f"{folder} holds no train.npz")
    able = [n for n, p in PHASES.items() if not p.needs or getattr(options, p.needs)]
    return [name for name in able if not names or name in names]


def run(options: argparse.Namespace) -> list[Record]:
    """All phases one after the other; what each has left."""
    names, end = chosen(options), BEGUN + 60 * options.minutes - GRACE
    out = Path(options.out)
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: choose another --out")
    write_text(out / "phases.txt", "\n".join(names) + "\n")
    records = []
    for place, name in enumerate(names):
        weights = [PHASES[rest].weight for rest in names[place:]]
        share = max(0.0, end - time.monotonic()) * weights[0] / sum(weights)
        records.append(run_phase(name, share, options))
    return records


def run_phase(name: str, share: float, options: argparse.Namespace) -> Record:
    """One phase in a process of its own, for `share` seconds at most."""
    out, begun = Path(options.out), time.monotonic()
    print(f"{name}: {share:.0f} s", flush=True)
    Record(out, name, share_seconds=share).write()
    task = Task(
        name,
        out,
        begun + share,
        *(options.device, options.smallest, options.photos, options.cifar),
        fixtures=options.fixtures,
        peak=options.peak,
    )
    reason = apart(_work, task, seconds=share)
    record = Record.of(out, name)
    record.seconds, record.reason = time.monotonic() - begun, reason
    record.state = "stopped" if reason.startswith("stopped") else "failed" if reason else "done"
    record.write()
    print(f"{name}: {record.state} after {record.seconds:.0f} s. {reason}", flush=True)
    return record


def _work(task: Task) -> None:
    if task.kind == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "1"
    PHASES[task.phase].work(task, Record.of(task.out, task.phase))


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="for all phases together")
    parser.add_argument("--phases", default="", help="names with commas; all that have their data")
    parser.add_argument("--out", default="results/gpu", help="a new folder")
    parser.add_argument("--photos", default="", help="folder of packed photographs")
    parser.add_argument("--cifar", default="", help="folder of packed CIFAR-10")
    parser.add_argument("--fixtures", default=str(ROOT / "tests/fixtures"), help="golden logits")
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s, dense bf16; an H100's")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smallest", action="store_true", help="tiny networks, a few steps")
    return parser.parse_args(words)


@entry_point
def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends phases too
    records = run(parse())
    print((Path(records[0].out) / "gpu.md").read_text() if records else "nothing to run")
    if any(record.state == "failed" for record in records):
        sys.exit(1)


if __name__ == "__main__":
    main()
