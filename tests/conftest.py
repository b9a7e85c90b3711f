import pytest
import torch


@pytest.fixture(autouse=True)
def fresh_accelerate(monkeypatch):
    """accelerate keeps its state in singletons: each test begins without one, on the CPU."""
    from accelerate.state import AcceleratorState, GradientState

    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    torch.manual_seed(0)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
