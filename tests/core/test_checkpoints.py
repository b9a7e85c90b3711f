"""What lies in a run's folder, and which checkpoint of it counts."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core import InputError
from core.checkpoints import (
    averaged_weights,
    find_checkpoint,
    list_checkpoints,
    read_info,
    step_of,
    weights_file,
)


def write(run: Path, *names: str) -> Path:
    for name in names:
        folder = run / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        save_file({"w": torch.zeros(1)}, folder / "model.safetensors")
    return run


def test_steps_are_numbers_not_words(tmp_path):
    """The step after 99,999,999 has a digit more."""
    run = write(tmp_path, "step-100000000", "step-99999999", "step-00000007")
    assert find_checkpoint(run).name == "step-100000000"
    steps = [step_of(checkpoint) for checkpoint in list_checkpoints(run)]
    assert steps == [7, 99_999_999, 100_000_000]


def test_only_whole_checkpoints_are_listed(tmp_path):
    run = write(tmp_path, "step-00000007", ".step-00000008.partial", "step-old", "step-12")
    assert [path.name for path in list_checkpoints(run)] == ["step-00000007"]
    assert list_checkpoints(tmp_path / "no_run") == []


def test_the_best_one_counts_and_links_are_followed(tmp_path):
    run = write(tmp_path, "step-00000001", "step-00000002")
    (run / "checkpoints" / "best").symlink_to("step-00000001")
    best = find_checkpoint(run)
    assert best == (run / "checkpoints" / "step-00000001").resolve()  # best may move on
    assert find_checkpoint(run, "last").name == "step-00000002"
    assert step_of(run / "checkpoints" / "best") == 1
    assert find_checkpoint(best) == best


def test_the_average_comes_before_the_weights(tmp_path):
    checkpoint = write(tmp_path, "step-00000001") / "checkpoints" / "step-00000001"
    assert averaged_weights(checkpoint).name == "model.safetensors"
    assert averaged_weights(checkpoint, "critic").name == "critic.safetensors"
    for name in ("model", "critic"):
        (checkpoint / weights_file(name, ema=True)).touch()
    assert averaged_weights(checkpoint).name == "ema.safetensors"
    assert averaged_weights(checkpoint, "critic").name == "critic.ema.safetensors"


@pytest.mark.parametrize("text", [None, "", "{"])
def test_no_checkpoint(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json cannot be read .* is it a checkpoint"):
        read_info(tmp_path)
    if text is None:
        with pytest.raises(InputError, match="holds no checkpoint: give the folder of a run"):
            find_checkpoint(tmp_path)
        (tmp_path / "photo.jpg").touch()
        with pytest.raises(InputError, match=r"photo\.jpg is a file, .* first, then your files"):
            find_checkpoint(tmp_path / "photo.jpg")
