"""What a run says about its own time: samples a second, and the share spent waiting for data."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from core.training import meter
from core.training.files.folder import read_metrics
from core.training.meter import Meter
from core.training.optim import OptimConfig, create_optimizer
from core.training.run import Run
from tests.core.toy import ToyData, toy_config


class Clock:
    """A clock that stands still unless it is moved."""

    now = 100.0

    def perf_counter(self):
        return self.now

    def batches(self, seconds):
        """Batches that take as long as this each."""
        while True:
            self.now += seconds
            yield "batch"


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(meter, "time", clock)
    return clock


def measured(clock, session, step):
    """Two steps of 4 samples a process, 2 s of work each after 1 s of waiting, and 90 s aside."""
    watch, batches = Meter(session), clock.batches(1.0)
    for number in (step, step + 1):
        assert watch.fetch(batches) == "batch"
        clock.now += 2.0
        watch.add(number, {"loss": torch.ones(4)}, None)
    with watch.pause():
        clock.now += 90.0
    return watch


def test_waiting_is_a_share_of_training_time(clock):
    session = SimpleNamespace(device="cpu", world=1, sum=lambda values: values)
    watch = measured(clock, session, 1)
    row = watch.read()
    assert row["waiting"] == pytest.approx(2 / 6)
    assert row["images_per_second"] == pytest.approx(8 / 6)
    clock.now += 5.0
    watch.add(3, {"loss": torch.ones(4)}, None)
    assert watch.read()["waiting"] == 0.0, "each line has its own account"


def test_of_several_processes_it_is_the_mean(clock):
    """The other process waits for 4 s in the same 6 s, and has the same 2 losses, sum and count."""
    other = torch.tensor([4.0, 4.0, 8.0, 8.0, 4.0], dtype=torch.float64)
    session = SimpleNamespace(device="cpu", world=2, sum=lambda values: values + other)
    row = measured(clock, session, 1).read()
    assert row["waiting"] == pytest.approx((2 + 4) / 2 / 6)
    assert row["images_per_second"] == pytest.approx(2 * 8 / 6)
    assert row["loss"] == 1.0


def test_two_backward_passes_of_a_micro_batch(clock):
    """Each loss is a mean over its own samples, and a sample of both counts once."""
    session = SimpleNamespace(device="cpu", world=1, sum=lambda values: values)
    watch = Meter(session)
    clock.now += 2.0
    watch.add(1, {"critic": torch.tensor([1.0, 3.0])}, None)
    watch.add(1, {"maker": torch.tensor([10.0, 20.0]), "edges": torch.ones(2)}, None)
    row = watch.read()
    assert (row["critic"], row["maker"], row["edges"]) == (2.0, 15.0, 1.0)
    assert row["loss"] == 18.0
    assert row["images_per_second"] == pytest.approx(1.0)


class SlowData(ToyData):
    """50 ms a sample, beside a network that takes next to nothing."""

    def __getitem__(self, index):
        time.sleep(0.05)
        return super().__getitem__(index)


def test_a_slow_data_set_shows_in_every_line(tmp_path, capsys):
    config = toy_config(tmp_path / "run", steps=4, batch_size=4, log_every=2, masked=False)
    run, network = Run(config.run, config), nn.Linear(6, 6)
    optimizer = create_optimizer(OptimConfig(), network)
    model, optimizer = run.prepare(model=network, optimizer=optimizer)
    time.sleep(0.5)  # building a network is no training time
    for batch in run.steps(run.loader(SlowData(config))):
        run.backward({"error": ((model(batch["x"]) - batch["y"]) ** 2).mean(1)})
        run.step(optimizer)
    run.finish()
    shares = [row["waiting"] for row in read_metrics(tmp_path / "run")]
    assert len(shares) == 2
    assert min(shares) > 0.5
    assert f"images/s  data {shares[-1]:.0%}" in capsys.readouterr().out
