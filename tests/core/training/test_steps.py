"""An optimizer step: its number, its micro-batches, its learning rate, its valid elements."""

import pytest
import torch
from torch import nn

from core.training.folder import read_metrics
from core.training.optim import OptimConfig, create_optimizer, lr_factor
from core.training.run import Run
from tests.core.toy import ToyData, ToyNet, toy_config, toy_losses, train

SGD = OptimConfig("sgd", lr=0.1, weight_decay=0.0, momentum=0.0)


def adversarial(folder, accumulate, leave_out=False, **options):
    """A run of two optimizers; yields it at each place of the loop's body: (place, run)."""
    config = toy_config(folder, steps=4, accumulate=accumulate, masked=False, **options)
    run = Run(config.run, config)
    loader = run.loader(ToyData(config))
    a, b = nn.Linear(6, 6), nn.Linear(6, 6)
    _, _, first, second = run.prepare(
        model=a, critic=b, first=create_optimizer(SGD, a), second=create_optimizer(SGD, b)
    )
    for batch in run.steps(loader):
        yield "before", run
        run.backward({"a": a(batch["x"]).square().mean(1)})
        run.step(first)
        yield "between", run
        run.backward({"b": b(batch["x"]).square().mean(1)})
        if not leave_out:
            run.step(second)
        if run.due("eval"):
            run.log({"done": run.done})
        if run.due("save"):
            run.save()
        yield "after", run
    run.finish()


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_a_step_is_one_number_for_all_its_micro_batches(tmp_path, accumulate):
    """So that any pure function of `done` and `step_number` is, whatever it decides."""
    body, after = {}, []
    for place, run in adversarial(tmp_path / "run", accumulate):
        if place == "after":
            after.append((run.step_number, run.done))
        else:
            body.setdefault(run.step_number, []).append(run.done)
    assert body == {step: [step - 1] * 2 * accumulate for step in (1, 2, 3, 4)}
    finished = [step == accumulate for _ in range(4) for step in range(1, accumulate + 1)]
    assert [done == step for step, done in after] == finished


@pytest.mark.parametrize("leave_out", [False, True])
def test_evaluations_and_checkpoints_have_the_number_of_the_step_just_made(tmp_path, leave_out):
    """Every second step and the last, also where the loop leaves an optimizer out."""
    options = {"eval_every": 2, "save_every": 3, "keep_best": 9, "best": "done"}
    for _ in adversarial(tmp_path / "run", 2, leave_out, **options):
        pass
    rows = [row for row in read_metrics(tmp_path / "run") if "eval/done" in row]
    assert [(row["step"], row["eval/done"]) for row in rows] == [(2, 2), (4, 4)]
    saved = sorted(path.name for path in (tmp_path / "run/checkpoints").glob("step-*"))
    assert saved == ["step-00000004"]  # the third was the last for a while, and never the best


def test_a_loop_that_stops_in_its_body_has_not_finished_the_step(tmp_path):
    body = adversarial(tmp_path / "run", 1)
    for _ in range(3 * 2 + 1):  # two steps, and into the third
        _, run = next(body)
    assert (run.done, run.step_number) == (2, 3)
    body.close()
    assert run.done == 2


class Unlabelled(ToyData):
    def __getitem__(self, i):
        return {**super().__getitem__(i), "valid": torch.zeros(6)}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_with_nothing_valid_changes_nothing(tmp_path, accumulate):
    config = toy_config(tmp_path / "run", steps=2, accumulate=accumulate, optim=SGD, dropout=0.0)
    run = Run(config.run, config)
    loader, net = run.loader(Unlabelled(config)), ToyNet(dropout=0.0)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(SGD, net))
    for batch in run.steps(loader):
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
    run.finish()
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    rows = [row for row in read_metrics(tmp_path / "run") if "loss" in row]
    assert [(row["loss"], row["grad_norm"]) for row in rows] == [(0.0, 0.0)] * 2


def test_the_configuration_decides_the_peak_of_a_resumed_run(tmp_path):
    """The checkpoint's optimizer state has the old peak; the schedule must not go on with it."""
    train(toy_config(tmp_path / "run", steps=3, optim=OptimConfig(lr=1e-2)))
    config = toy_config(tmp_path / "run", steps=9, optim=OptimConfig(lr=3e-3), resume=True)
    train(config)
    rates = {row["step"]: row["lr"] for row in read_metrics(tmp_path / "run") if "lr" in row}
    for step in range(4, 10):
        expected = 3e-3 * lr_factor(config.run.schedule, step - 1, 9)
        assert rates[step] == pytest.approx(expected)
