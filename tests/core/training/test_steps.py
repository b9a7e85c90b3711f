"""An optimizer step: its number, its micro-batches, its learning rate, its valid elements."""

import json

import pytest
import torch
from torch import nn

from core.checkpoints import read_info
from core.data.loading import seed_everything
from core.training.files.folder import cut_metrics, read_metrics
from core.training.optim import OptimConfig, create_optimizer, lr_factor, move_average
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
    """Every third step and the last, also where the loop leaves an optimizer out."""
    options = {"eval_every": 3, "save_every": 3, "keep_best": 9, "best": "done"}
    for _ in adversarial(tmp_path / "run", 2, leave_out, **options):
        pass
    rows = [row for row in read_metrics(tmp_path / "run") if "eval/done" in row]
    assert [(row["step"], row["eval/done"]) for row in rows] == [(3, 3), (4, 4)]
    saved = sorted(path.name for path in (tmp_path / "run/checkpoints").glob("step-*"))
    assert saved == ["step-00000003", "step-00000004"]
    assert read_info(tmp_path / "run/checkpoints" / saved[0])["metrics"] == {"done": 3}


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


@pytest.mark.parametrize("rank", [0, 3])
def test_each_micro_batch_draws_by_its_step_its_number_and_its_process(tmp_path, rank):
    """Dropout and mixing: none repeats another's, and a resumed run draws what it would have."""
    config = toy_config(tmp_path / "run", steps=3, accumulate=2, seed=5)
    run = Run(config.run, config)
    loader, net = run.loader(ToyData(config)), ToyNet()
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(SGD, net))
    run.session.rank, drawn = rank, []
    for batch in run.steps(loader):
        drawn.append(torch.rand(()).item())
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
    run.session.rank = 0
    run.finish()
    expected = []
    for step in range(3):
        for micro in range(2):
            seed_everything(5, step, micro, rank)
            expected.append(torch.rand(()).item())
    assert drawn == expected
    assert len(set(drawn)) == 6


def test_valid_elements_of_all_micro_batches_count(tmp_path):
    """Plain SGD without clipping, whose step has the gradient's length, unlike Adam's."""
    weights = {}
    for accumulate in (1, 4):
        config = toy_config(
            tmp_path / str(accumulate), steps=3, accumulate=accumulate, clip=0.0, optim=SGD
        )
        run = Run(config.run, config)
        loader, net = run.loader(ToyData(config)), ToyNet(dropout=0.0)
        model, optimizer = run.prepare(model=net, optimizer=create_optimizer(SGD, net))
        for batch in run.steps(loader):
            run.backward(*toy_losses(model(batch["x"]), batch, True))
            run.step(optimizer)
        run.finish()
        weights[accumulate] = net.state_dict()
        reset_accelerator()
    for name, tensor in weights[1].items():
        torch.testing.assert_close(weights[4][name], tensor, rtol=0, atol=1e-6)


def reset_accelerator():
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_an_average_has_the_networks_own_buffers():
    """Running statistics are averages already."""
    network, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    network(torch.randn(8, 3) + 5)
    move_average(average, network, 0.9, 1)
    torch.testing.assert_close(average.running_mean, network.running_mean, rtol=0, atol=0)
    assert average.num_batches_tracked == 1


def test_a_resumed_run_records_each_step_once(tmp_path):
    """Also where the killed one had gone on behind its last checkpoint: those lines are dropped."""
    train(toy_config(tmp_path / "run", steps=4, save_every=0))
    with open(tmp_path / "run/metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 5, "loss": 1.0}) + "\n" + '{"step": 6, "lo')
    train(toy_config(tmp_path / "run", steps=6, resume=True))
    steps = [row["step"] for row in read_metrics(tmp_path / "run") if "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]
    cut_metrics(tmp_path / "run", 3)
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2, 3]
