"""Tables as text, Markdown and json."""

import json

import numpy as np
import pytest

from core.tables import Table, best, scaled

NAN = float("nan")


def test_words_left_numbers_right():
    rows = [("a", 3, "left", 0.25), ("longer", 100, "b", NAN), ("c", None, "", 12.0)]
    table = Table("Title", ("name", "n", "word", "share"), rows, note="A note.")
    assert table.text().splitlines() == [
        "Title",
        "name      n  word   share",
        "a         3  left   0.250",
        "longer  100  b          -",
        "c         -        12.000",
        "A note.",
    ]
    assert str(table) == table.text()
    assert table.text("  ").splitlines()[1].startswith("  name")


def test_forms():
    rows = [("a", 0.123, 0.5, 7, True), ("b", 1.0, NAN, None, False)]
    forms = {"percent": scaled(100, 1), "rate": "{:.0%}", "n": "{:03d}"}
    table = Table("", ("", "percent", "rate", "n", "ok"), rows, forms=forms)
    assert table.text().splitlines() == [
        "   percent  rate    n  ok",
        "a     12.3   50%  007  yes",
        "b    100.0     -    -  no",
    ]
    signed = Table("", ("x",), [(0.5,), (2,)], form="{:+.1f}")
    assert signed.text().split() == ["x", "+0.5", "2"]  # counts stay as they are


def test_a_short_row_ends_in_a_cell_of_any_length():
    rows = [("mixer", 1.5, "fine"), ("vit", "failed: " + "x" * 40)]
    text = Table("", ("model", "ms", "state"), rows).text()
    assert text.splitlines() == [
        "model     ms  state",
        "mixer  1.500  fine",
        "vit    failed: " + "x" * 40,
    ]


def test_columns_line_up():
    rows = [["long name", "1", "22222"], ["x", "failed: " + "y" * 50]]
    text = Table("", ["model", "a", "b"], rows).text()
    assert text.splitlines()[0] == "model      a  b"
    assert text.splitlines()[1] == "long name  1  22222"


def test_without_a_head_and_without_rows():
    assert Table("", (), [("a", 1), ("bb", 20)]).text() == "a    1\nbb  20"
    assert Table("T", ("a", "b"), []).text() == "T\na  b"
    assert Table("", (), []).text() == ""


def test_no_spaces_at_the_ends_of_lines():
    assert all(
        line == line.rstrip() for line in Table("", ("a", "b"), [("x", "")]).text().split("\n")
    )


def test_a_long_note_is_wrapped():
    lines = Table("", ("a",), [(1,)], note="word " * 60).text().splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 90


def test_markdown():
    rows = [("a|b", 0.5, None), ("c", 12, NAN), ("d", "why not")]
    table = Table("", ("method", "F1", "n"), rows, forms={"F1": "{:.1f}"}, bold={(0, 1)})
    assert table.markdown().splitlines() == [
        "| method | F1 | n |",
        "|---|---|---|",
        r"| a\|b | **0.5** | - |",
        "| c | 12.0 | - |",
        "| d | why not |  |",
    ]
    with_words = Table("Title", ("a",), [(1,)], note="Note.").markdown()
    assert with_words == "Title\n\n| a |\n|---|\n| 1 |\n\nNote."


def test_bold_cells_in_text_stay_in_line():
    table = Table("", ("", "x"), [("a", 1.0), ("b", 12.0)], bold={(1, 1)}, form="{:.1f}")
    assert table.text().splitlines()[1:] == ["a    1.0", "b   12.0*"]


def test_plain_is_json_without_nan():
    rows = [("a", np.float32(0.5), np.int64(3)), ("b", np.float64("nan"), None), ("c", True, -1)]
    plain = Table("T", ("a", "b", "c"), rows, note="n").plain()
    assert plain == {
        "title": "T",
        "columns": ["a", "b", "c"],
        "rows": [["a", 0.5, 3], ["b", None, None], ["c", True, -1]],
        "note": "n",
    }
    json.dumps(plain, allow_nan=False)
    assert [type(value) for value in plain["rows"][0]] == [str, float, int]


@pytest.mark.parametrize(
    ("values", "smaller", "places"),
    [
        ([1, 3, 2], False, [1]),
        ([1, 3, 2], True, [0]),
        ([3, None, NAN, 3.0], False, [0, 3]),
        ([NAN, 1, None], False, []),  # alone: there is nothing that it is better than
        ([], False, []),
        (["word", 2, 5], False, [2]),
    ],
)
def test_the_best(values, smaller, places):
    assert best(values, smaller) == places
