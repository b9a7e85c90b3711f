"""The compiled tanh GELU against PyTorch's in float64, and where it has to stand back."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.models.networks import gelu as module
from core.models.networks.gelu import gelu
from tests.core.models.test_mixer import images_for, tiny

EVERY = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)


@pytest.fixture
def fast(monkeypatch):
    """Every length is long enough; how often the compiled loops were taken."""
    taken = []
    run = module._pass
    monkeypatch.setattr(module, "LEAST", 1)
    monkeypatch.setattr(module, "_pass", lambda name, *x: taken.append(name) or run(name, *x))
    return taken


def reference(x, gradient):
    """The values and the gradient in float64, by PyTorch."""
    x = x.detach().double().requires_grad_()
    y = F.gelu(x, approximate="tanh")
    y.backward(gradient.double())
    return y.detach(), x.grad


def both(x, gradient):
    x = x.clone().requires_grad_()
    y = gelu(x, "tanh")
    y.backward(gradient)
    return y.detach(), x.grad


@pytest.mark.parametrize("threads", [1, 3])
def test_float32_is_within_two_millionths(fast, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = torch.cat([torch.linspace(-15, 15, 20_001), torch.tensor([0.0, -0.0, 1e15, -1e10, 1e-40])])
    gradient = torch.linspace(1, -1, len(x))
    for found, true in zip(both(x, gradient), reference(x, gradient), strict=True):
        torch.testing.assert_close(found.double(), true, rtol=2e-6, atol=2e-6)
    assert fast == ["gelu", "slope"]


def test_bfloat16_is_right_to_the_last_bit(fast):
    x = EVERY[EVERY.isfinite() & (EVERY.abs() < 1e9)]
    gradient = torch.ones_like(x)
    for found, true in zip(both(x, gradient), reference(x, gradient), strict=True):
        torch.testing.assert_close(found.double(), true, rtol=2**-8, atol=1e-6)
        assert (found == true.bfloat16()).double().mean() > 0.99  # nearly all of them rounded best
    assert fast == ["gelu", "slope"]


def test_what_is_no_number_stays_none(fast):
    found = gelu(EVERY[~EVERY.isfinite()], "tanh")
    assert found.isnan().sum() == len(found) - 1
    assert gelu(torch.tensor([torch.inf]), "tanh") == torch.inf


def test_a_mixer_gives_the_same_and_learns_the_same(fast):
    ours, plain = tiny(), tiny()
    images = images_for(ours)
    ours(images).square().sum().backward()
    assert set(fast) == {"gelu", "slope"}
    fast.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST", 10**9)
        plain(images).square().sum().backward()
    assert not fast
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_whoever_differentiates_twice_gets_pytorchs(fast):
    x = torch.randn(8, dtype=torch.float32, requires_grad=True)
    (first,) = torch.autograd.grad(gelu(x, "tanh").sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    y = x.detach().double().requires_grad_()
    (first,) = torch.autograd.grad(F.gelu(y, approximate="tanh").sum(), y, create_graph=True)
    (true,) = torch.autograd.grad(first.sum(), y)
    torch.testing.assert_close(second.double(), true, rtol=1e-4, atol=1e-5)
    assert fast == ["gelu"]


def test_it_stands_back(fast, monkeypatch):
    x = torch.randn(4, 6)
    plain = F.gelu(x, approximate="tanh")
    torch.testing.assert_close(torch.vmap(lambda row: gelu(row, "tanh"))(x), plain)
    torch.func.jvp(lambda v: gelu(v, "tanh"), (x,), (x,))
    with torch.autograd.forward_ad.dual_level():
        gelu(torch.autograd.forward_ad.make_dual(x, x), "tanh")
    assert "gelu" in torch.fx.symbolic_trace(Layer()).code
    torch.testing.assert_close(torch.jit.script(Layer())(x), plain)
    gelu(x, "none"), gelu(x.double(), "tanh"), gelu(x.T, "tanh"), gelu(x.to("meta"), "tanh")
    for recording in (torch.compiler, "is_compiling"), (torch.jit, "is_tracing"):
        with monkeypatch.context() as patch:
            patch.setattr(*recording, lambda: True)
            gelu(x, "tanh")
    assert not fast


def test_without_numba_it_is_pytorchs(fast, monkeypatch):
    monkeypatch.setattr(module, "_kernels", lambda: None)
    x = torch.randn(5)
    assert torch.equal(gelu(x, "tanh"), F.gelu(x, approximate="tanh"))
    assert not fast


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)])
def test_what_is_compiled_is_the_same_function(dtype, tolerance):
    x = torch.cat([torch.linspace(-8, 8, 4001), torch.tensor([-100.0, 100])]).to(dtype)
    x.requires_grad_()
    compiled = torch.compile(lambda x: gelu(x, "tanh"), backend="aot_eager")(x)
    exact = F.gelu(x.double(), approximate="tanh")
    torch.testing.assert_close(compiled.double(), exact, rtol=tolerance, atol=tolerance)
    (slope,) = torch.autograd.grad(compiled.sum(), x)
    (other,) = torch.autograd.grad(exact.sum(), x)
    torch.testing.assert_close(slope, other, rtol=tolerance, atol=2 * tolerance)


def test_what_is_exported_keeps_its_gelu():
    for strict in (True, False):
        program = torch.export.export(Layer(), (torch.randn(3),), strict=strict)
        assert "aten.gelu" in program.graph_module.code


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_what_is_fresh_is_written_over_where_no_gradient_needs_it(fast, dtype, approximate):
    x = EVERY[EVERY.isfinite()].to(dtype)
    apart, over = gelu(x, approximate), x.clone()
    assert gelu(over, approximate, fresh=True).data_ptr() == over.data_ptr()
    torch.testing.assert_close(over, apart, rtol=0, atol=0)
    needed = x.clone().requires_grad_()
    gelu(needed, approximate, fresh=True)
    assert torch.equal(needed, x)


@pytest.mark.parametrize("part", ["mlp_channels", "mlp_tokens"])
def test_what_a_hook_was_given_stays(fast, part):
    mixer, seen = tiny(), []
    images = images_for(mixer)
    before = mixer(images)
    mlp = getattr(mixer.blocks[0], part)
    mlp.fc1.register_forward_hook(lambda *args: seen.append(args[-1]))
    mlp.fc2.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        torch.testing.assert_close(mixer(images), before)
    torch.testing.assert_close(F.gelu(seen[0], approximate="tanh"), seen[1])


def test_hooks_and_copies_see_the_same_layers(fast):
    mixer, seen = tiny(), []
    images = images_for(mixer)
    before = mixer(images)
    mixer.blocks[0].mlp_channels.fc2.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    torch.testing.assert_close(copy.deepcopy(mixer)(images), before)
    assert len(seen) == 1
    assert fast


class Layer(nn.Module):
    def forward(self, x):
        return gelu(x, "tanh")
