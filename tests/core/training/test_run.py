"""The training loop: exact gradients, averages, endings, and words for people."""

import copy
import json
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core import InputError
from core.checkpoints import find_checkpoint, list_checkpoints, read_info, step_of
from core.config import load_config
from core.training.files import checkpoint, folder
from core.training.files.folder import read_metrics
from core.training.optim import OptimConfig, ScheduleConfig, create_optimizer, lr_factor
from core.training.run import Run, RunConfig
from core.training.state import describe
from tests.core import toy
from tests.core.launch import launch
from tests.core.toy import ToyConfig, ToyData, ToyNet, toy_config, toy_losses, train


def final_weights(folder, name="model.safetensors"):
    return load_file(folder / "checkpoints/last" / name)


def assert_same(a, b, atol=1e-6):
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=atol)


def test_masked_loss_does_not_depend_on_accumulation(tmp_path):
    """Micro-batches of unequal numbers of valid elements: the mean of means would be wrong."""
    for accumulate in (1, 2, 4):
        folder = tmp_path / str(accumulate)
        train(toy_config(folder, steps=6, accumulate=accumulate, dropout=0.0))
        toy_fresh()
    assert_same(final_weights(tmp_path / "1"), final_weights(tmp_path / "2"))
    assert_same(final_weights(tmp_path / "1"), final_weights(tmp_path / "4"))


def toy_fresh():
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_the_gradient_is_that_of_the_mean_over_valid_elements(tmp_path):
    """Against plain torch on the same samples, with clipping, weight decay and EMA."""
    config = toy_config(tmp_path / "run", steps=5, dropout=0.0, ema=0.9, accumulate=2, clip=0.1)
    run = Run(config.run, config)
    loader = run.loader(ToyData(config))
    samples = iter(loader.batches())
    net = ToyNet(dropout=0.0)
    ours = copy.deepcopy(net)
    plain = create_optimizer(config.optim, net)
    average = copy.deepcopy(net)
    for step in range(5):
        batches = [next(samples), next(samples)]
        losses = [toy_losses(net(b["x"]), b, True) for b in batches]
        loss = sum(part["error"].sum() for part, _ in losses) / sum(v.sum() for _, v in losses)
        factor = lr_factor(config.run.schedule, step, 5)
        for group in plain.param_groups:
            group["lr"] = config.optim.lr * factor
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        plain.step(), plain.zero_grad()
        decay = min(0.9, (2 + step) / (11 + step))
        for kept, new in zip(average.parameters(), net.parameters(), strict=True):
            kept.data.lerp_(new.data, 1 - decay)

    model, optimizer = run.prepare(model=ours, optimizer=create_optimizer(config.optim, ours))
    for batch in run.steps(loader):
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
    run.finish()
    assert_same(dict(net.state_dict()), final_weights(tmp_path / "run"))
    assert_same(dict(average.state_dict()), final_weights(tmp_path / "run", "ema.safetensors"))


def test_two_networks_with_two_optimizers_equal_plain_torch(tmp_path):
    """An adversarial pair, with accumulation: both update, once a step, on their own losses."""
    config = toy_config(tmp_path / "run", steps=4, accumulate=2, clip=0.0, masked=False)
    run = Run(config.run, config)
    loader = run.loader(ToyData(config))

    def pair():
        torch.manual_seed(1)
        return nn.Linear(6, 6), nn.Linear(6, 1)

    def critic_loss(critic, real, fake):
        scores = critic(torch.cat([real, fake.detach()])).squeeze(1).chunk(2)
        return {"critic": (scores[0] - 1) ** 2 + scores[1] ** 2}

    sgd = OptimConfig("sgd", lr=0.1, weight_decay=0.0, momentum=0.0)
    g, d = pair()
    opt_g, opt_d = create_optimizer(sgd, g), create_optimizer(sgd, d)
    samples = iter(loader.batches())
    for step in range(4):
        batches = [next(samples), next(samples)]
        for opt in (opt_g, opt_d):
            for group in opt.param_groups:
                group["lr"] = 0.1 * lr_factor(config.run.schedule, step, 4)
        critic = sum(critic_loss(d, b["y"], g(b["x"]))["critic"].mean() for b in batches) / 2
        critic.backward()
        # accumulated micro-batch by micro-batch: the generator sees the critic before its step
        trick = [((d(g(b["x"])).squeeze(1) - 1) ** 2).mean() / 2 for b in batches[:1]]
        gradient = torch.autograd.grad(trick[0], list(g.parameters()))
        opt_d.step(), opt_d.zero_grad()
        trick = ((d(g(batches[1]["x"])).squeeze(1) - 1) ** 2).mean() / 2
        more = torch.autograd.grad(trick, list(g.parameters()))
        for p, a, b in zip(g.parameters(), gradient, more, strict=True):
            p.grad = a + b
        opt_g.step(), opt_g.zero_grad()

    g2, d2 = pair()
    a, b = create_optimizer(sgd, g2), create_optimizer(sgd, d2)
    generator, critic, a, b = run.prepare(generator=g2, critic=d2, of_generator=a, of_critic=b)
    for batch in run.steps(loader):
        run.backward(critic_loss(critic, batch["y"], generator(batch["x"])))
        run.step(b)
        critic.requires_grad_(False)
        run.backward({"generator": (critic(generator(batch["x"])).squeeze(1) - 1) ** 2})
        critic.requires_grad_(True)
        run.step(a)
    run.finish()
    assert_same(dict(g.state_dict()), final_weights(tmp_path / "run", "generator.safetensors"))
    assert_same(dict(d.state_dict()), final_weights(tmp_path / "run", "critic.safetensors"))


def test_frozen_layers_stay_and_frozen_networks_need_no_optimizer(tmp_path):
    config = toy_config(tmp_path / "run", steps=3, frozen=True, ema=0.9)
    run = Run(config.run, config)
    net, teacher = ToyNet(), ToyNet().requires_grad_(False)
    net.first.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    loader = run.loader(ToyData(config))
    model, teacher, optimizer = run.prepare(
        model=net, teacher=teacher, optimizer=create_optimizer(config.optim, net)
    )
    for batch in run.steps(loader):
        error = (model(batch["x"]) - teacher(batch["x"])) ** 2
        run.backward({"distance": error.mean(1)})
        run.step(optimizer)
    run.finish()
    after = final_weights(tmp_path / "run")
    assert torch.equal(before["first.weight"], after["first.weight"])
    assert not torch.equal(before["last.weight"], after["last.weight"])
    assert (tmp_path / "run/checkpoints/last/teacher.safetensors").is_file()


@pytest.mark.parametrize("name", ["cosine", "linear", "constant", "step"])
def test_learning_rate_is_a_pure_function_of_the_step(name):
    schedule = ScheduleConfig(name, warmup=0.1)
    rates = [lr_factor(schedule, step, 100) for step in range(100)]
    assert rates == [lr_factor(schedule, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert 0 < rates[0] < 0.2
    assert rates[10] == pytest.approx(1.0)
    expected = {"cosine": 0.0, "linear": 0.0, "constant": 1.0, "step": 0.01}[name]
    assert rates[99] == pytest.approx(expected, abs=0.02)


def test_cosine_by_hand():
    schedule = ScheduleConfig("cosine", warmup=0, final=0.1)
    assert lr_factor(schedule, 50, 100) == pytest.approx(0.55)
    assert lr_factor(schedule, 25, 100) == pytest.approx(0.1 + 0.45 * (1 + math.sqrt(0.5)))


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_held_rate_stays_at_its_peak_and_then_falls(name):
    schedule = ScheduleConfig(name, warmup=0.1, hold=0.5)
    rates = [lr_factor(schedule, step, 100) for step in range(100)]
    assert rates[10:51] == [1.0] * 41
    assert rates[51:] == sorted(rates[51:], reverse=True)
    assert rates[51] < 1
    assert rates[75] == pytest.approx(0.5)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    """Sample 40 is first drawn in some step after the first save; log lines are every 4 steps."""
    config = toy_config(
        tmp_path / "run", steps=30, save_every=1, log_every=4, nan_at=40, masked=False
    )
    loader = Run(config.run, config).loader(ToyData(config))
    batches = loader.batches()
    step = next(i for i in range(1, 30) if 40 in next(batches)["index"])
    toy_fresh()
    with pytest.raises(InputError) as error:
        train(toy_config(tmp_path / "nan", **{**vars_of(config), "save_every": 1}))
    assert f"not finite at step {step}" in str(error.value)
    kept = list_checkpoints(tmp_path / "nan")
    if step > 1:
        assert step_of(kept[-1]) == step - 1
        assert str(kept[-1]) in str(error.value)
    else:
        assert not kept


@pytest.mark.parametrize("error", [InputError("logits that are not finite"), ValueError("nan")])
def test_an_evaluation_that_fails_of_a_loss_says_the_loss(tmp_path, error):
    """Met between two log lines: the step and the last good checkpoint, not what came of it."""
    config = toy_config(tmp_path / "run", steps=30, log_every=30, nan_at=40, masked=False)
    run = Run(config.run, config)
    loader, net = run.loader(ToyData(config)), ToyNet()
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(config.optim, net))

    def diverge():
        for batch in run.steps(loader):
            losses, valid = toy_losses(model(batch["x"]), batch, masked=False)
            run.backward(losses, valid)
            run.step(optimizer)
            if 40 in batch["index"]:
                with run.evaluating():
                    raise error

    with pytest.raises(InputError, match=r"not finite at step \d+: .*; there is no checkpoint yet"):
        diverge()


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    """The loss of the step that spoilt them was finite; the one before is the last good one."""
    config = toy_config(tmp_path / "run", steps=3, save_every=1)
    run = Run(config.run, config)
    loader, net = run.loader(ToyData(config)), ToyNet()
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(config.optim, net))

    def diverge():
        for batch in run.steps(loader):
            run.backward(*toy_losses(model(batch["x"]), batch, masked=True))
            run.step(optimizer)
            if run.done == 2:
                next(iter(net.parameters())).data[0] = math.inf
            run.save()

    with pytest.raises(InputError, match=r"model\.\S+ is not finite after step 2: .*/step-0*1$"):
        diverge()
    assert [step_of(kept) for kept in list_checkpoints(tmp_path / "run")] == [1]


def vars_of(config):
    return {"steps": 30, "log_every": 4, "nan_at": 40, "masked": False}


def test_a_used_folder_is_not_touched(tmp_path):
    train(toy_config(tmp_path / "run", steps=2))
    before = sorted(p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*"))
    toy_fresh()
    with pytest.raises(InputError, match=r"exists already.*--run.resume"):
        train(toy_config(tmp_path / "run", steps=2))
    assert before == sorted(p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*"))


def test_a_folder_that_is_no_run_is_not_resumed(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="not the folder of a run"):
        train(toy_config(tmp_path / "photos", resume=True))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train(toy_config(tmp_path / "run", steps=2))
    toy_fresh()
    with pytest.raises(InputError, match=r"another network: first.weight is \(16, 6\) there"):
        train(toy_config(tmp_path / "run", steps=4, width=8, resume=True))


def test_a_batch_that_cannot_be_shared_out(tmp_path):
    with pytest.raises(InputError, match=r"batch_size 8 .* 3 accumulation"):
        train(toy_config(tmp_path / "run", accumulate=3))


def test_steps_or_epochs(tmp_path):
    run = train(toy_config(tmp_path / "run", steps=0, epochs=2.0, samples=20))
    assert run.done == 5  # 2 * 20 / 8
    toy_fresh()
    with pytest.raises(InputError, match=r"either --run.steps or --run.epochs"):
        train(toy_config(tmp_path / "both", steps=3, epochs=2.0))


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path):
    """The second save meets a file size limit, as it would meet a full disk."""
    words = ["--run.folder", tmp_path / "run", "--width", 64]
    assert launch(toy.main, *words, "--run.steps", 5).returncode == 0
    size = (tmp_path / "run/checkpoints/last/model.safetensors").stat().st_size
    full = launch(toy.main, *words, "--run.steps", 9, "--run.resume", limit=size - 100)
    assert full.returncode == 2
    (line,) = [line for line in full.output.splitlines() if line.startswith("error:")]
    assert "could not be written" in line
    assert "step-00000005" in line
    names = [path.name for path in (tmp_path / "run/checkpoints").iterdir()]
    assert sorted(names) == ["last", "step-00000005"]
    assert launch(toy.main, *words, "--run.steps", 9, "--run.resume").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toi"], "there is no preset 'toi'. Did you mean toy?"),
        (["--run.setps", "3"], "setps"),
        (["--run.steps", "many"], "many"),
    ],
)
def test_a_wrong_word_ends_with_status_2(words, message, tmp_path):
    done = launch(toy.main, *words)
    assert done.returncode == 2
    assert message in done.output


def test_the_folder_describes_itself(tmp_path):
    config = toy_config(tmp_path / "run", steps=4, ema=0.9, trackers=("tensorboard",))
    run = train(config)
    assert load_config(ToyConfig, tmp_path / "run/config.yaml") == config
    about = json.loads((tmp_path / "run/about.jsonl").read_text())
    assert about["torch"] == torch.__version__
    info = read_info(tmp_path / "run/checkpoints/last")
    assert info["step"] == 4
    assert info["backbone"] == describe({"model": ToyNet()})["backbone"]
    assert list((tmp_path / "run/tracking").glob("events*"))
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4]
    assert run.done == 4


def test_best_and_last_checkpoints(tmp_path):
    """Of five, the best two and the last are kept; a worse later one does not move `best`."""
    config = toy_config(
        tmp_path / "run", steps=5, save_every=1, eval_every=1, best="score", keep_best=2
    )
    run = Run(config.run, config)
    net = ToyNet()
    loader = run.loader(ToyData(config))
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(config.optim, net))
    scores = iter([0.1, 0.9, 0.5, float("nan"), 0.2])
    for batch in run.steps(loader):
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
        run.log({"score": next(scores)})
        run.save()
    run.finish()
    kept = [step_of(p) for p in list_checkpoints(tmp_path / "run")]
    assert kept == [2, 3, 5]
    assert step_of(tmp_path / "run/checkpoints/best") == 2
    assert step_of(tmp_path / "run/checkpoints/last") == 5
    assert find_checkpoint(tmp_path / "run").name == "step-00000002"


@pytest.mark.parametrize(("best_is", "first"), [("max", 2), ("min", 3)])
def test_the_best_is_the_largest_or_the_smallest_and_of_equals_the_earlier(
    tmp_path, best_is, first
):
    options = {"save_every": 1, "best": "score", "best_is": best_is}
    config = toy_config(tmp_path / "run", steps=5, **options)
    run = Run(config.run, config)
    loader, net = run.loader(ToyData(config)), ToyNet()
    model, optimizer = run.prepare(model=net, optimizer=create_optimizer(config.optim, net))
    for batch in run.steps(loader):
        run.backward(*toy_losses(model(batch["x"]), batch, True))
        run.step(optimizer)
        run.log({"score": [0.5, 0.9, 0.1, 0.9, 0.1][run.done - 1]})
        run.save()
    run.finish()
    assert find_checkpoint(tmp_path / "run").name == f"step-{first:08d}"


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path):
    def fails(folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match="No space left on device"):
        checkpoint.write_checkpoint(tmp_path, 7, fails)
    assert list((tmp_path / "checkpoints").iterdir()) == []
    with pytest.raises(InputError, match="holds no checkpoint"):
        find_checkpoint(tmp_path)


def test_compiled_networks_keep_their_names(tmp_path):
    with torch.compiler.set_stance("force_eager"):
        train(toy_config(tmp_path / "run", steps=2, compile=True))
    assert final_weights(tmp_path / "run").keys() == ToyNet().state_dict().keys()


def test_bf16(tmp_path):
    train(toy_config(tmp_path / "run", steps=10, precision="bf16"))
    row = read_metrics(tmp_path / "run")[-1]
    assert row["loss"] < read_metrics(tmp_path / "run")[0]["loss"]
    assert final_weights(tmp_path / "run")["last.weight"].dtype == torch.float32


def test_accumulation_is_decided_in_one_place(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(InputError, match="4 gradient accumulation steps"):
        Run(RunConfig(folder=str(tmp_path / "run"), steps=1, trackers=()))


@dataclass(frozen=True)
class Renamed:
    RENAMED: ClassVar[dict[str, str]] = {"old_rate": "rate"}
    rate: float = 1.0
    size: int = 2


def test_changes_of_a_run_that_goes_on_are_told_by_todays_names(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("old_rate: 1.0\nsize: 3\n")
    folder.open_folder(tmp_path, True, Renamed(), 0)
    assert capsys.readouterr().out == "note: size was 3, is now 2\n"
    (tmp_path / "config.yaml").write_text("older: 1\nrate: 1.0\nsize: 2\n")
    folder.open_folder(tmp_path, True, Renamed(), 0)
    assert capsys.readouterr().out == "note: older was 1, is now None\n"
