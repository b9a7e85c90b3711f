"""Figures, sheets and fonts."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.errors import InputError
from core.pictures.fonts import draw_line, fitting_size, font, shortened, text_width
from core.pictures.sheets import (
    as_image,
    caption,
    enlarged,
    in_rows,
    save_image,
    sheet,
)


def block(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


# Figures.


@pytest.fixture
def figures():
    pytest.importorskip("matplotlib")
    from core.pictures import figures

    return figures


@pytest.mark.parametrize(
    ("ending", "start"),
    [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")],
)
def test_a_figure_in_each_format(tmp_path, figures, ending, start):
    figure = figures.new_figure(2, 1, dpi=50)
    figure.subplots().plot([1, 2], [3, 4])
    path = figures.save_figure(tmp_path / "new" / f"a{ending}", figure)
    assert path.read_bytes().startswith(start)
    assert len(list(path.parent.iterdir())) == 1
    if ending == ".png":
        assert Image.open(path).size == (100, 50)


@pytest.mark.parametrize("name", ["a.gif", "a", "a.raw", "a.png.txt"])
def test_a_figure_of_no_format(tmp_path, figures, name):
    with pytest.raises(InputError, match=r"\.png, \.pdf or \.svg"):
        figures.save_figure(tmp_path / name, figures.new_figure(1, 1))
    assert not list(tmp_path.iterdir())


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one(tmp_path, figures):
    path = figures.save_figure(tmp_path / "a.png", figures.new_figure(1, 1))
    before, figure = path.read_bytes(), figures.new_figure(1, 1)
    figure.subplots().set_title("$\\no_such_command{$")
    with pytest.raises(ValueError, match="no_such_command"):
        figures.save_figure(path, figure)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_without_matplotlib(figures, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        figures.new_figure(1, 1)


@pytest.mark.parametrize("name", ["xaxis", "yaxis"])
def test_logarithmic_axes_have_round_labels(figures, name):
    figure = figures.new_figure(4, 4)
    axes = figure.subplots()
    axes.plot([0.3, 2000], [0.3, 2000])
    axis, other = getattr(axes, name), getattr(axes, {"xaxis": "yaxis"}.get(name, "xaxis"))
    figures.log_axis(axis)
    assert axis.get_scale() == "log"
    assert other.get_scale() == "linear"
    figure.canvas.draw()
    labels = [tick.label1.get_text() for tick in axis.get_major_ticks()]
    labels = labels[labels.index("1") :][:11]
    assert labels == ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1,000", "2,000"]
    assert not axis.get_minorticklocs().size


def test_plain_axes(figures):
    axes = figures.new_figure(2, 2).subplots()
    figures.plain_axes(axes, grid="y")
    assert not axes.spines["top"].get_visible()
    assert axes.spines["left"].get_visible()
    assert axes.yaxis.get_gridlines()[0].get_visible()
    assert not axes.xaxis.get_gridlines()[0].get_visible()


# Sheets.


def test_a_sheet_by_hand():
    page = np.asarray(sheet([[block(2, 3, 10), block(2, 3, 20)], [block(2, 3, 30)]], gap=1))
    grey = [
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
        [255, 10, 10, 10, 255, 20, 20, 20, 255],
        [255, 10, 10, 10, 255, 20, 20, 20, 255],
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
        [255, 30, 30, 30, 255, 255, 255, 255, 255],
        [255, 30, 30, 30, 255, 255, 255, 255, 255],
        [255, 255, 255, 255, 255, 255, 255, 255, 255],
    ]
    assert page[..., 0].tolist() == grey
    assert (page == page[..., :1]).all()


def test_a_sheet_of_arrays():
    pictures = np.zeros((2, 3, 4, 5, 3), np.uint8) + np.arange(6, dtype=np.uint8).reshape(
        2, 3, 1, 1, 1
    )
    page = np.asarray(sheet(pictures, gap=2))
    assert page.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    assert (page[8:12, 16:21] == 5).all()
    assert (page[:2] == 255).all()
    assert (page[-2:] == 255).all()


def test_margin_and_background():
    rows = [[block(1, 1, 9), block(1, 1, 9)]]
    page = np.asarray(sheet(rows, gap=2, margin=0, background=(1, 2, 3)))
    assert page.tolist() == [[[9, 9, 9], [1, 2, 3], [1, 2, 3], [9, 9, 9]]]
    assert sheet(rows, gap=0).size == (2, 1)


def test_pictures_of_other_sizes_are_in_the_middle():
    page = np.asarray(sheet([[block(4, 4, 0)], [block(2, 2, 9)]], gap=0))[..., 0]
    assert page.shape == (6, 4)  # a row is as high as its own pictures
    assert page[4].tolist() == [255, 9, 9, 255]
    page = np.asarray(sheet([[block(4, 4, 0), block(2, 2, 9)]], gap=0))[..., 0]
    assert page[:, 4].tolist() == [255, 9, 9, 255]


def inked(page, box):
    """Whether anything is written in (left, top, right, bottom)."""
    return bool((np.asarray(page.crop(box)) < 200).any())


def test_titles_and_labels_are_beside_the_pictures():
    rows = [[block(40, 60, 255)] * 2] * 2
    page = sheet(rows, titles=("one", "two"), labels=("first row", "second"), gap=4)
    left, top = page.width - 2 * 64, page.height - 2 * 44
    assert left > 4
    assert top == 18 + 4
    for column in range(2):
        assert inked(page, (left + 64 * column, 0, left + 64 * column + 60, top))
    for row in range(2):
        assert inked(page, (0, top + 44 * row, left, top + 44 * row + 40))
    assert not inked(page, (left, top, page.width, page.height))  # pictures stay free of words


def test_long_titles_stay_within_their_columns():
    title = "a title that is much longer than its narrow column is wide"
    page = sheet([[block(20, 50, 255)] * 3], titles=("", title, ""), gap=4)
    assert inked(page, (58, 0, 108, 22))
    assert not inked(page, (0, 0, 57, 22))
    assert not inked(page, (109, 0, page.width, 22))


def test_labels_in_several_lines():
    narrow = sheet([[block(60, 20, 0)]], labels=("Abstract Expressionism of today",))
    wide = sheet([[block(60, 20, 0)]], labels=("AbstractExpressionismOfToday",))
    assert narrow.width < wide.width
    assert inked(narrow, (0, 0, narrow.width - 28, 64))


def test_labels_stay_in_their_rows():
    words = "five lines of words in each of them and more"
    page = sheet([[block(45, 20, 255)]] * 3, labels=("", words, ""), gap=4, text=20)
    left = page.width - 28
    assert inked(page, (0, 53, left, 98))
    assert not inked(page, (0, 0, left, 51))
    assert not inked(page, (0, 101, left, page.height))


@pytest.mark.parametrize("below", [False, True])
def test_captions(below):
    card = caption(block(30, 80, 255), ["true: a", "said: b"], ("black", "red"), below=below)
    assert card.size == (80, 30 + 2 * 18)
    first = 30 if below else 0
    assert inked(card, (0, first, 80, first + 18))
    red = np.asarray(card.crop((0, first + 18, 80, first + 36)))
    assert (red[..., 0] > red[..., 1]).any()
    picture = (0, 0, 80, 30) if below else (0, 36, 80, 66)
    assert not inked(card, picture)


def test_a_caption_wider_than_its_picture():
    assert caption(block(10, 10, 0), ["words"], width=50, centred=True).size == (50, 28)


def test_rows_of_a_list():
    assert in_rows([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert in_rows([], 3) == []


def test_enlarged():
    large = np.asarray(enlarged(np.array([[1, 2]], np.uint8), 3))
    assert large[..., 0].tolist() == [[1, 1, 1, 2, 2, 2]] * 3


def test_what_a_picture_is():
    assert as_image(np.zeros((2, 3), np.uint8)).size == (3, 2)
    assert as_image(Image.new("RGBA", (2, 2))).mode == "RGB"
    with pytest.raises(TypeError, match="float64"):
        as_image(np.zeros((2, 3, 3)))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP")]
)
def test_images_by_their_endings(tmp_path, name, kind):
    path = save_image(tmp_path / "new" / name, Image.new("RGBA", (8, 4), "red"))
    with Image.open(path) as image:
        assert (image.format, image.size) == (kind, (8, 4))
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_images_of_a_palette_stay_small(tmp_path):
    path = save_image(
        tmp_path / "a.png", Image.new("RGB", (8, 8), "red").quantize(4), optimize=True
    )
    with Image.open(path) as image:
        assert image.mode == "P"


@pytest.mark.parametrize("name", ["a", "a.gif", "a.txt"])
def test_images_of_no_format(tmp_path, name):
    with pytest.raises(InputError, match=r"ends in \.png"):
        save_image(tmp_path / name, block(2, 2, 0))
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = save_image(tmp_path / "a.jpg", block(2, 2, 0))
    before = path.read_bytes()
    with pytest.raises((OSError, SystemError)):
        save_image(path, Image.new("RGB", (70_000, 1)))  # JPEG ends at 65,500 pixels
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.jpg"]


# Fonts.


def test_the_largest_size_that_fits():
    text = "Northern Renaissance"
    for width in range(40, 160, 7):
        size = fitting_size(text, width, 14)
        assert 6 <= size <= 14
        assert size == 6 or text_width(text, size) <= width
        assert size == 14 or text_width(text, size + 1) > width


def test_shortened():
    assert shortened("short", 100, 12) == "short"
    cut = shortened("much too long for this", 60, 12)
    assert cut.endswith("…")
    assert "much too long".startswith(cut[:-1].rstrip())
    assert text_width(cut, 12) <= 60


def test_width_is_that_of_the_longest_line():
    assert text_width("a\nlonger\nb", 12) == text_width("longer", 12)
    assert font(12) is font(12)


@pytest.mark.parametrize("anchor", ["la", "ma"])
def test_a_line_stays_within_its_width(anchor):
    page = Image.new("RGB", (200, 30), "white")
    x = 50 if anchor == "la" else 100
    draw_line(ImageDraw.Draw(page), (x, 5), "word " * 30, 100, anchor=anchor)
    assert inked(page, (50, 0, 150, 30))
    assert not inked(page, (0, 0, 49, 30))
    assert not inked(page, (151, 0, 200, 30))
