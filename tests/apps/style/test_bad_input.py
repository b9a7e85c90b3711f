"""Bad input, through train.py: one line for a person, or skipped where that is allowed."""

import pytest

from apps.style import train as style_train
from apps.style.config import DataConfig
from apps.style.data.source import StyleData
from core import InputError
from core.training.session import Session
from tests.apps.style.helpers import complaint, config_of, painting, write_artgan, write_csv
from tests.huge import huge


def spoil(root, damage):
    """Damage an ArtGAN copy; the words that the command is given besides."""
    file = root / "Baroque/artist-0_train-0.jpg"
    if damage == "unlisted":
        (root / "Surrealism").mkdir()
        (root / "Surrealism/salvador-dali_clocks.jpg").write_bytes(file.read_bytes())
    elif damage == "empty":
        rows = (root / "Style/style_train.csv").read_text().splitlines()
        text = "\n".join(row for row in rows if row.startswith("Baroque"))
        (root / "Style/style_train.csv").write_text(text)
    elif damage == "bomb":
        file.write_bytes(huge("PNG"))
    elif damage == "truncated":
        file.write_bytes(painting(1, size=(64, 64))[:900])
    elif damage == "split":
        write_csv(root / "list.csv", [("Baroque/artist-0_train-0.jpg", "Baroque", "holdout")])
        return ["--data.csv", root / "list.csv"]
    return []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("unlisted", "Surrealism holds images and is in no list"),
        ("empty", "no image of 1 of 2 classes: Art_Nouveau"),
        ("bomb", "60000 x 60000 pixels are more than 50,000,000: raise --data.max-pixels)"),
        ("truncated", "artist-0_train-0.jpg: cannot be read (OSError"),
        ("split", "list.csv, line 2: unknown split 'holdout'. Known: train, val"),
    ],
)
def test_bad_input_is_one_line(tmp_path, command, damage, expected):
    root = write_artgan(tmp_path / "artgan", train=2, val=1)
    words = ["debug", "--data.root", root, *spoil(root, damage), "--run.folder", tmp_path / "run"]
    assert expected in complaint(command(style_train.main, *words))


@pytest.mark.parametrize("damage", ["bomb", "truncated"])
def test_bad_paintings_are_skipped_if_allowed(tmp_path, command, damage):
    root = write_artgan(tmp_path / "artgan", train=2, val=1)
    spoil(root, damage)
    words = ["debug", "--data.root", root, "--data.skip-bad", 1, "--run.folder", tmp_path / "run"]
    done = command(style_train.main, *words)
    assert done.returncode == 0, done.output
    (named,) = (tmp_path / "run/skipped.txt").read_text().splitlines()
    assert "artist-0_train-0.jpg" in named


def test_wikiart_is_not_replaced_by_the_embedded_paintings(tmp_path):
    config = config_of(tmp_path, data=DataConfig(classes=27))
    with pytest.raises(InputError, match=r"give WikiArt as --data\.root"):
        StyleData(config, Session())
