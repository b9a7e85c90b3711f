"""Optimistic Adam: against its algorithm, by hand, and in the game that it was made for."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from core import InputError
from core.training.optimistic import OptimisticAdam


def algorithm_1(theta, gradients, lr, betas, eps, weight_decay=0.0):
    """The paper's Algorithm 1 as it is printed, in NumPy; d_0 = d_1, and decoupled decay."""
    m = v = np.zeros_like(theta)
    before = None
    for t, g in enumerate(gradients, start=1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        direction = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        theta = theta * (1 - lr * weight_decay)
        theta = theta - 2 * lr * direction + lr * (direction if before is None else before)
        before = direction
    return theta


def run(optimizer, parameters, gradients):
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        optimizer.step()
    return [p.detach().clone() for p in parameters]


def random_gradients(shapes, steps=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(s, generator=generator).double() for s in shapes] for _ in range(steps)]


def fresh(shapes=((3, 4), (5,), ())):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(s, generator=generator).double().requires_grad_() for s in shapes]


def test_three_steps_of_a_scalar_by_hand():
    """betas 0.5 and 0: m^ is 4, 2/3, 2 after gradients 4, -1, 3, and sqrt(v^) is 4, 1, 3."""
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = OptimisticAdam([theta], lr=0.1, betas=(0.5, 0.0), eps=0.0)
    seen = [run(optimizer, [theta], [[torch.tensor(g).double()]])[0] for g in (4.0, -1.0, 3.0)]
    directions = [4 / 4, (2 / 3) / 1, 2 / 3]  # m: 2, 0.5, 1.75; divided by 1/2, 3/4, 7/8
    first = 1 - 0.1 * directions[0]
    second = first - 0.2 * directions[1] + 0.1 * directions[0]
    third = second - 0.2 * directions[2] + 0.1 * directions[1]
    assert [x.item() for x in seen] == pytest.approx([first, second, third])


@pytest.mark.parametrize("foreach", [True, False, None])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_is_algorithm_1(foreach, weight_decay):
    options = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": weight_decay}
    parameters = fresh()
    gradients = random_gradients([p.shape for p in parameters], steps=50)
    begin = [p.detach().numpy().copy() for p in parameters]
    found = run(OptimisticAdam(parameters, foreach=foreach, **options), parameters, gradients)
    for i, (theta, result) in enumerate(zip(begin, found, strict=True)):
        expected = algorithm_1(theta, [step[i].numpy() for step in gradients], **options)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10)


def test_foreach_and_the_loop_agree_where_gradients_come_and_go():
    """A parameter's step count is its own; another type, a frozen one and no gradient at all."""
    results = []
    for foreach in (True, False):
        parameters = [*fresh(), nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))]
        gradients = random_gradients([p.shape for p in parameters])
        for step in gradients:
            step[3], step[4] = step[3].float(), None
        gradients[0][1] = gradients[5][0] = None
        groups = [{"params": parameters[:2], "lr": 0.5}, {"params": parameters[2:]}]
        optimizer = OptimisticAdam(groups, foreach=foreach, weight_decay=0.1)
        results.append(run(optimizer, parameters, gradients))
        assert parameters[4] not in optimizer.state
        assert torch.equal(parameters[4], torch.ones(2))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_it_is_adam_in_the_first_step_and_where_the_direction_stays():
    ones = [[torch.full((3,), 2.0).double()] for _ in range(6)]
    for steps in (random_gradients([(3,)], 1), ones):
        results = []
        for make in (OptimisticAdam, torch.optim.Adam):
            parameters = fresh([(3,)])
            results.append(run(make(parameters, lr=0.1), parameters, steps)[0])
        torch.testing.assert_close(*results, rtol=1e-12, atol=0)
    different = []
    for make in (OptimisticAdam, torch.optim.Adam):
        parameters = fresh([(3,)])
        different.append(run(make(parameters, lr=0.1), parameters, random_gradients([(3,)], 3))[0])
    assert not torch.allclose(*different)


def test_maximize_is_minimizing_the_opposite():
    up, down = fresh(), fresh()
    gradients = random_gradients([p.shape for p in up])
    opposite = [[-g for g in step] for step in gradients]
    first = run(OptimisticAdam(up, maximize=True), up, gradients)
    second = run(OptimisticAdam(down), down, opposite)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(up[0].grad, gradients[-1][0])  # a gradient is not overwritten


def bilinear_game(make, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The distances (steps,) from the equilibrium of min_x max_y x*y after simultaneous steps from
    (1, 1): of each place, and of the mean of the places so far."""
    x, y = (torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    players = make([x]), make([y], maximize=True)
    places = []
    for _ in range(steps):
        (x * y).backward()
        for player in players:
            player.step()
            player.zero_grad()
        places.append((x.item(), y.item()))
    means = np.cumsum(places, 0) / np.arange(1, steps + 1)[:, None]
    return np.hypot(*np.transpose(places)), np.hypot(*means.T)


def test_the_bilinear_game_of_the_paper():
    """Adam circles outwards, Optimistic Adam arrives (without momentum, which harms both here).

    Its mean follows as 1 / steps, as the mean of what has arrived does; Adam's stays away.
    """

    def players(optimizer):
        return lambda params, **o: optimizer(params, lr=0.1, betas=(0.0, 0.9999), **o)

    last, mean = bilinear_game(players(torch.optim.Adam), 1000)
    assert last[999] > last[499] > 2 * math.sqrt(2)
    assert mean[499:].min() > 0.1
    last, mean = bilinear_game(players(OptimisticAdam), 1000)
    assert last[499:].max() < 1e-6
    assert mean[999] == pytest.approx(mean[499] / 2, rel=0.01)
    assert mean[999] < 0.02


def test_a_saved_state_goes_on_exactly(tmp_path):
    shapes = [(3, 4), (5,), ()]
    gradients = random_gradients(shapes)
    whole = fresh()
    expected = run(OptimisticAdam(whole, lr=0.02), whole, gradients)
    half = fresh()
    optimizer = OptimisticAdam(half, lr=0.02)
    run(optimizer, half, gradients[:5])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    resumed = OptimisticAdam(half, lr=0.5)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    found = run(resumed, half, gradients[5:])
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert copy.deepcopy(resumed).state_dict()["state"].keys() == {0, 1, 2}


def test_a_closure_is_called_once_with_gradients_on():
    theta, calls = nn.Parameter(torch.tensor([2.0])), []
    optimizer = OptimisticAdam([theta], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (theta**2).sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert calls == [4.0]
    assert theta.item() == pytest.approx(1.9)
    assert OptimisticAdam([nn.Parameter(torch.ones(1))]).step() is None  # no gradient, no step


def test_what_optimistic_adam_refuses():
    for wrong in (
        {"lr": -1.0},
        {"eps": -1.0},
        {"weight_decay": float("nan")},
        {"betas": (0.9, 1.0)},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            OptimisticAdam([nn.Parameter(torch.ones(1))], **wrong)
    rows = nn.Embedding(4, 2, sparse=True)
    rows(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="no sparse gradients"):
        OptimisticAdam(rows.parameters()).step()
    rotation = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    (rotation * rotation.conj()).sum().real.backward()
    with pytest.raises(InputError, match="no complex gradients"):
        OptimisticAdam([rotation]).step()
