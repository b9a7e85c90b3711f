import pytest


@pytest.fixture
def fresh():
    """Let a second run of a test begin as a process of its own would."""
    from accelerate.state import AcceleratorState, GradientState

    def reset():
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    return reset
