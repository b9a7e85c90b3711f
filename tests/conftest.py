from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent
# Longest first, so that no process is left alone with one of them at the end: pytest-xdist hands
# out whole files in this order, by --no-loadscope-reorder. Its own order is by how many tests a
# file has, and these have few.
LONGEST = (
    "test_every_app.py",
    "bad_input/test_commands.py",
    "apps/crossview/test_train.py",
    "core/training/test_machines.py",
    "test_gpu_benchmark.py",
    "apps/pointcloud/test_app.py",
    "apps/pose/test_app.py",
    "apps/pose/test_export.py",
    "apps/crossview/test_scripts.py",
    "test_fifth_app.py",
    "apps/pose/test_mmpose.py",
    "apps/pose/test_mlp_pose.py",
    "apps/pose/test_data.py",
    "test_tutorials.py",
    "apps/pose/test_sets.py",
)


def pytest_collection_modifyitems(items):
    place = {ROOT / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))  # stable: the others as they were


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
