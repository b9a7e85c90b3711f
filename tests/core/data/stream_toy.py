"""A small app on a stream whose images carry their number, which it writes down as it trains.

Also writers of tar and parquet shards of such images.
"""

import io
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.config import cli, entry_point
from core.data.images.labelled import ImagesConfig
from core.data.sources import open_stream
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run, RunConfig


@dataclass(frozen=True)
class StreamToyConfig:
    run: RunConfig = field(
        default_factory=lambda: RunConfig(
            steps=12, batch_size=8, log_every=1, eval_every=0, save_every=4, trackers=()
        )
    )
    data: ImagesConfig = ImagesConfig(split="train", buffer=8)
    workers: int = 2
    kill_at: int = -1  # kill -9 this process after this step
    fail_at: int = -1  # the image whose reading fails
    fail_times: int = 0  # so often in each worker


class Number:
    """The number of an image, and a random one."""

    def __call__(self, image):
        low, high, _ = image.getpixel((0, 0))
        return torch.tensor([low + 256.0 * high, float(torch.rand(()))])


class Failing:
    """A stream's read that fails ``times`` before image ``number``."""

    def __init__(self, read, number, times):
        self.read, self.number, self.times = read, number, times

    def __call__(self, shard, start):
        for sample in self.read(shard, start):
            if self.times and sample.name.startswith(f"{self.number:04d}."):
                self.times -= 1
                raise ConnectionResetError("the other side hung up")
            yield sample


def train(config):
    run = Run(config.run, config)
    stream = open_stream(config.data, Number())
    stream.pause = 0
    stream.read = Failing(stream.read, config.fail_at, config.fail_times)
    loader = run.loader(stream, workers=config.workers, skip_bad=config.data.skip_bad)
    net = nn.Linear(1, len(stream.classes))
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(OptimConfig(), net))
    log = Path(config.run.folder, f"images-{run.session.rank}.txt")
    for index, batch in enumerate(run.steps(loader), run.done * config.run.accumulate):
        with open(log, "a") as file:
            file.write(" ".join(map(str, [index, *batch["image"].flatten().tolist()])) + "\n")
        logits = model(batch["image"][:, :1] / 1000)
        run.backward(
            {"class": nn.functional.cross_entropy(logits, batch["label"], reduction="none")}
        )
        run.step(optimizer)
        if run.due("save"):
            run.save()
        if run.done == config.kill_at:
            os.kill(os.getpid(), 9)
    run.finish()


@entry_point
def main():
    train(cli({"toy": StreamToyConfig}))


def trained_on(folder):
    """{(rank's file, micro-batch): [(number, random number), ...]}, each as it was last done."""
    found = {}
    for path in Path(folder).glob("images-*.txt"):
        for line in path.read_text().splitlines():
            index, *values = map(float, line.split())
            found[path.name, index] = list(zip(values[::2], values[1::2], strict=True))
    return found


def numbers(batches):
    return [int(number) for batch in batches for number, _ in batch]


def encoded(number, kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(buffer, kind)
    return buffer.getvalue()


def add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def write_shards(root, lengths, split="train", labels=lambda number: number % 3):
    """Tar shards of so many images each; they are numbered through."""
    root.mkdir(exist_ok=True, parents=True)
    ends = np.cumsum(lengths).tolist()
    paths = [root / f"{split}-{k:05d}.tar" for k in range(len(lengths))]
    for path, end, length in zip(paths, ends, lengths, strict=True):
        with tarfile.open(path, "w") as tar:
            for number in range(end - length, end):
                add(tar, f"{number:04d}.png", encoded(number))
                add(tar, f"{number:04d}.cls", str(labels(number)).encode())
    return paths


def write_parquet(root, lengths, split="train", column=None):
    """The same as a data set in the Hub's format, one parquet file a shard."""
    import datasets

    datasets.disable_progress_bars()
    column = column or datasets.ClassLabel(names=["a", "b", "c"])
    features = datasets.Features({"image": datasets.Image(), "label": column})
    (root / "data").mkdir(parents=True, exist_ok=True)
    ends = np.cumsum(lengths).tolist()
    for k, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        wanted = range(end - length, end)
        rows = {
            "image": [{"bytes": encoded(n), "path": f"{n:04d}.png"} for n in wanted],
            "label": [n % 3 for n in wanted],
        }
        name = f"{split}-{k:05d}-of-{len(lengths):05d}.parquet"
        shard = datasets.Dataset.from_dict(rows, features=features)
        shard.to_parquet(root / "data" / name, batch_size=3)
    return f"hub:{root}"
