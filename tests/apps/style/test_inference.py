"""What a network says of paintings, on any number of processes; and where it looked."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from apps.style.evaluation.inference import predict_all
from apps.style.evaluation.occlusion import occlusion_map
from core import InputError
from core.data.loading import BadSample
from core.training.session import Session, build_accelerator
from tests.core.launch import launch


class Tiles(Dataset):
    """Eleven random images, of which one cannot be read."""

    BAD = 4

    def __len__(self):
        return 11

    def __getitem__(self, i):
        if i == self.BAD:
            raise BadSample(f"tile-{i}.jpg", "truncated")
        return {"image": tile(i), "label": i % 3}


def tile(i):
    return torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(i))


def tile_network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))


def predict_tiles():
    """An entry point: predict_all, kept in the named folder by each process."""
    session = Session(build_accelerator())
    predictions = predict_all(session, tile_network(), Tiles(), 3, skip_bad=1)
    np.savez(Path(sys.argv[1]) / f"{session.world}-{session.rank}.npz", **vars(predictions))
    session.accelerator.end_training()


def test_predictions_are_the_same_on_one_and_two_processes(tmp_path):
    for processes in (1, 2):
        done = launch(predict_tiles, tmp_path, processes=processes)
        assert done.returncode == 0, done.output
        assert "left out: tile-4.jpg: truncated" in done.output
    readable = [i for i in range(11) if i != Tiles.BAD]
    logits = tile_network()(torch.stack([tile(i) for i in readable])).detach().double()
    for name in ("1-0", "2-0", "2-1"):
        found = np.load(tmp_path / f"{name}.npz")
        assert found["index"].tolist() == readable
        assert found["labels"].tolist() == [i % 3 for i in readable]
        np.testing.assert_allclose(found["probabilities"], logits.softmax(-1), atol=1e-6)


def test_nothing_to_predict():
    class Unreadable(Tiles):
        BAD = 0

        def __len__(self):
            return 1

    with pytest.raises(InputError, match=r"tile-0\.jpg: truncated"):
        predict_all(Session(), tile_network(), Unreadable(), 3)


class Watcher(nn.Module):
    """Its first class is as likely as one part of the image is bright."""

    def __init__(self, rows, columns):
        super().__init__()
        self.part = (slice(None), slice(None), rows, columns)

    def forward(self, images):
        brightness = images[self.part].mean((1, 2, 3))
        return torch.stack([4 * brightness, torch.zeros_like(brightness)], 1)


@pytest.mark.parametrize("cell", [(2, 5), (0, 7)])
def test_occlusion_of_a_known_part(cell):
    """Cells are eighths of a side; of the windows of 2x2 cells that cover one, some hide `cell`."""
    rows, columns = slice(6 * cell[0], 6 * cell[0] + 6), slice(4 * cell[1], 4 * cell[1] + 4)
    image = torch.zeros(3, 48, 32)
    image[:, rows, columns] = 1
    drops = occlusion_map(Watcher(rows, columns), image, 0)
    sigmoid = torch.sigmoid(torch.tensor([4.0, 4 / 64]))  # seen, and filled with the mean colour
    starts = [{s for s in (i - 1, i) if 0 <= s < 7} for i in range(8)]
    share = [
        [len(starts[i] & starts[c]) / len(starts[i]) for i in range(8)] for c in cell
    ]  # of the windows over row or column i
    expected = float(sigmoid[0] - sigmoid[1]) * np.outer(*share)
    assert drops.shape == (48, 32)
    np.testing.assert_allclose(drops, np.kron(expected, np.ones((6, 4))), atol=1e-6)
    other = occlusion_map(Watcher(rows, columns), image, 1)
    np.testing.assert_allclose(other, -drops, atol=1e-6)


def test_occlusion_where_windows_do_not_divide_the_image():
    image = torch.zeros(3, 37, 50)
    image[:, 20:23, 30:33] = 1
    drops = occlusion_map(Watcher(slice(20, 23), slice(30, 33)), image, 0, batch_size=10)
    assert drops.shape == (37, 50)
    row, column = divmod(int(drops.argmax()), 50)
    assert 18 <= row <= 25
    assert 25 <= column <= 37
    assert (drops[:9] == 0).all()
    assert (drops[:, :18] == 0).all()
