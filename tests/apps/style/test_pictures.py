"""Pictures of what a network confuses, and of where it looked."""

import numpy as np
import pytest
import torch
from PIL import Image

from apps.style.evaluation import pictures
from apps.style.evaluation.explanation import explained, heat
from apps.style.evaluation.pictures import confident_mistakes, confusion_picture, mistakes_sheet
from core.evaluation.confusion import confusion_matrix


def test_confusion_pictures(tmp_path):
    rng = np.random.default_rng(0)
    confusion = confusion_matrix(rng.dirichlet(np.ones(7), 200), rng.integers(0, 7, 200))
    assert confusion.sum() == 200
    names = [f"Style_{i}" for i in range(7)]
    path = confusion_picture(tmp_path / "new/confusion.png", confusion, names)
    picture = np.asarray(Image.open(path).convert("RGB"))
    right = confusion_picture(tmp_path / "right.png", np.eye(7, dtype=int), names)
    dark = [(np.asarray(Image.open(p).convert("L")) < 70).mean() for p in (path, right)]
    assert dark[1] > dark[0]  # a full diagonal is darker
    assert picture.shape[0] > 300
    assert [p.name for p in tmp_path.rglob("*.png")].count("confusion.png") == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_the_sheet_shows_the_surest_mistakes(tmp_path):
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.95, 0.05]])
    labels = np.array([0, 0, 0, 0, 1])
    assert confident_mistakes(probabilities, labels).tolist() == [4, 2, 3, 1]
    asked = []

    def picture(i):
        asked.append(i)
        return Image.new("RGB", (300, 40 * i + 40), (200, 10 * i, 0))

    names = ["Mannerism_Late_Renaissance", "Rococo"]
    options = {"count": 3, "columns": 2}
    path = mistakes_sheet(tmp_path / "m.png", picture, probabilities, labels, names, **options)
    assert asked == [4, 2, 3]
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert [bool((sheet == (200, 10 * i, 0)).all(-1).any()) for i in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert (
        Image.open(mistakes_sheet(tmp_path / "m.jpg", picture, probabilities, labels, names)).format
        == "JPEG"
    )
    nothing = mistakes_sheet(tmp_path / "x.png", picture, probabilities[:1], labels[:1], names)
    assert nothing is None
    assert not (tmp_path / "x.png").exists()


def test_heat_is_where_hiding_costs_most():
    """A grey view: warm where the drop is largest, half as warm at half of it, grey elsewhere."""
    drops = torch.zeros(32, 64)
    drops[:, :16], drops[:, 16:32], drops[:, 48:] = 0.4, 0.2, -0.9  # what hiding helps is not warm
    picture = np.asarray(heat(torch.full((3, 32, 64), 0.5), drops), float)
    assert picture.shape == (128, 256, 3)
    grey = 0.6 * 127 + 70
    for column, weight in ((32, 1), (96, 0.5), (160, 0), (240, 0)):
        warm = 0.7 * 127 + 0.3 * np.array([255, 96, 0])
        np.testing.assert_allclose(picture[64, column], grey + weight * (warm - grey), atol=2)


def test_an_explanation_shows_painting_heat_and_shares():
    """The painting on the left, the view on the right, and bars as long as the shares."""
    painting = Image.new("RGB", (512, 256), (0, 0, 255))
    view, drops = torch.full((3, 8, 8), 1.0), torch.zeros(8, 8)
    card = np.asarray(explained(painting, view, drops, {"Cubism": 0.75, "Pop_Art": 0.25}), int)
    assert card.shape == (12 + 256 + 12 + 12 + 2 * 20, 12 + 256 + 12 + 256 + 12, 3)
    blue = (card == (0, 0, 255)).all(-1)
    rows, columns = np.flatnonzero(blue.any(1)), np.flatnonzero(blue.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (12 + 64, 12 + 191, 12, 267)
    pale = int(0.6 * 255 + 70)
    assert (card[12:268, 280:536] == pale).all()
    bars = (card == (72, 120, 176)).all(-1).sum(1)
    longest = 548 - 274 - 70
    assert bars[280 + 8] == pytest.approx(0.75 * longest, abs=1)
    assert bars[280 + 28] == pytest.approx(0.25 * longest, abs=1)


def test_a_confusion_picture_has_shares_of_the_true_class(tmp_path, monkeypatch):
    """Rows are divided by their own totals, which stand beside their names."""
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda path, figure: figures.append(figure))
    confusion = np.array([[3, 1, 0], [0, 0, 0], [10, 0, 30]])
    confusion_picture(tmp_path / "c.png", confusion, ["a", "b_c", "d"])
    axes = figures[0].axes[0]
    shares = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_equal(shares, [[75, 25, 0], [np.nan] * 3, [25, 0, 75]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a  4", "b c  0", "d  40"]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "25", "75"]


def test_a_mistake_says_what_is_right_and_what_was_said(tmp_path, monkeypatch):
    lines = []

    def caption(picture, words, *rest, **options):
        lines.append(list(words))
        return picture

    monkeypatch.setattr(pictures, "caption", caption)
    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    options = (lambda i: Image.new("RGB", (8, 8)), probabilities, np.array([0, 1]))
    mistakes_sheet(tmp_path / "m.png", *options, ["Pop_Art", "Cubism", "Fauvism"])
    assert lines == [["true: Cubism", "said: Fauvism 80%"], ["true: Pop Art", "said: Cubism 70%"]]
