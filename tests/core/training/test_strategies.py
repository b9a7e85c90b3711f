"""FSDP2 by accelerate's settings, on two CPU processes; and early words for what cannot be."""

import pytest
import torch
from safetensors.torch import load_file

from core.training.files.folder import read_metrics
from tests.core import toy
from tests.core.launch import launch

FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP",
    "FSDP_MIN_NUM_PARAMS": "100",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}


def on_cpu_as_if_on_gpus():
    """accelerate shards on accelerators only; FSDP2 itself runs on CPU processes as well."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    toy.main()


def losses(folder):
    return {row["step"]: row["loss"] for row in read_metrics(folder) if "loss" in row}


def test_fsdp2_takes_the_steps_of_one_process_and_resumes(tmp_path):
    """Masked loss, accumulation and clipping over sharded gradients; whole weights on disk."""
    words = ["--dropout", 0, "--run.accumulate", 2, "--run.steps", 8, "--run.clip", 0.5]
    one = launch(toy.main, "--run.folder", tmp_path / "one", *words)
    assert one.returncode == 0, one.output
    words = ["--run.folder", tmp_path / "two", *words]
    half = launch(on_cpu_as_if_on_gpus, *words, "--kill_at", 6, processes=2, environment=FSDP2)
    assert half.returncode == -9, half.output
    rest = launch(on_cpu_as_if_on_gpus, *words, "--run.resume", processes=2, environment=FSDP2)
    assert rest.returncode == 0, rest.output
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), abs=1e-5)
    a, b = (load_file(tmp_path / n / "checkpoints/last/model.safetensors") for n in ("one", "two"))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-5)


def test_what_sharding_cannot_do_is_said_early(tmp_path):
    words = ["--run.folder", tmp_path / "run", "--run.ema", 0.9]
    done = launch(on_cpu_as_if_on_gpus, *words, processes=2, environment=FSDP2)
    assert done.returncode == 2
    assert "no moving average under FSDP2: set --run.ema 0" in done.output
    words = ["--run.folder", tmp_path / "pair", "--pair"]
    done = launch(on_cpu_as_if_on_gpus, *words, processes=2, environment=FSDP2)
    assert done.returncode == 2
    assert "FSDP2 trains one network, this app has 2 (model, critic)" in done.output
