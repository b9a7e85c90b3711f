"""The picture of learning curves: one run, several over one another, words for people."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.training import curves as command
from core.training import curves as module
from core.training.curves import curves, draw_curves, smoothed

pytest.importorskip("matplotlib")


def record(folder, factor=1.0, steps=10, top1=True):
    """A run that logged every second step, was evaluated twice, and was cut while it wrote."""
    folder.mkdir(parents=True)
    rows = [{"step": s, "loss": factor / s, "lr": 0.1 * s} for s in range(2, steps + 1, 2)]
    rows += [{"step": s, "eval/top1": 0.5 + s / 100} for s in (4, 8) if top1]
    rows.append({"step": 8, "eval/loss": float("nan")})
    lines = [json.dumps(row) for row in rows]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 12, "lo')
    return folder


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    seen, save = [], module.save_figure
    monkeypatch.setattr(
        module, "save_figure", lambda path, figure: (seen.append(figure), save(path, figure))[1]
    )
    return seen


def test_the_curves_of_a_run(tmp_path):
    found = curves(record(tmp_path / "run"))
    assert list(found) == ["loss", "lr", "eval/top1"]
    np.testing.assert_allclose(found["loss"][0], [2, 4, 6, 8, 10])
    np.testing.assert_allclose(found["loss"][1], [1 / 2, 1 / 4, 1 / 6, 1 / 8, 1 / 10])
    np.testing.assert_allclose(found["eval/top1"], [[4, 8], [0.54, 0.58]])


def test_smoothing_is_a_mean_over_five_percent_of_the_steps():
    rng = np.random.default_rng(0)
    steps, values = np.arange(1, 400.0, 3), rng.normal(size=133)
    expected = [values[abs(steps - s) <= 0.05 * s].mean() for s in steps]
    np.testing.assert_allclose(smoothed(steps, values), expected, atol=1e-12)


def test_one_run(tmp_path, figures):
    out = draw_curves(record(tmp_path / "run"))
    assert out == tmp_path / "run" / "pictures" / "curves.png"
    assert Image.open(out).width > 500
    assert [path.name for path in out.parent.iterdir()] == ["curves.png"]
    loss, lr, top1 = figures[0].axes
    assert [a.get_title("left") for a in (lr, top1)] == ["learning rate", "evaluation: top1"]
    raw, line = loss.lines
    assert raw.get_alpha() < 0.5
    np.testing.assert_allclose(raw.get_ydata(), [1 / 2, 1 / 4, 1 / 6, 1 / 8, 1 / 10])
    np.testing.assert_allclose(line.get_xdata(), [2, 4, 6, 8, 10])
    assert [text.get_text() for text in top1.texts] == ["0.58"]


def test_several_runs_over_one_another(tmp_path, figures):
    runs = [record(tmp_path / "a" / "x"), record(tmp_path / "b" / "x", 40.0, 20, top1=False)]
    assert draw_curves(runs) == tmp_path / "curves.png", "the folder that holds both"
    draw_curves(runs, tmp_path / "new" / "both.svg")
    assert "<svg" in (tmp_path / "new" / "both.svg").read_text()
    loss, lr, top1 = figures[-1].axes
    assert (len(loss.lines), len(lr.lines), len(top1.lines)) == (4, 2, 1)
    assert loss.get_yscale() == "log", "from 0.1 to 20"
    assert lr.get_xlim() == top1.get_xlim() == (0, 1.02 * 20)
    assert len({line.get_color() for line in lr.lines}) == 2
    names = [text.get_text() for text in figures[0].legends[0].texts]
    assert names == [str(run) for run in runs], "both are called x"


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([8.0, 1.0], "linear"),
        ([11.0, 1.0], "log"),
        ([11.0, -1.0], "linear"),
        ([1.0, 0.0], "linear"),
    ],
)
def test_losses_are_logarithmic_where_they_span_ten_times(tmp_path, figures, losses, scale):
    rows = [{"step": i, "loss": loss} for i, loss in enumerate(losses, 1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw_curves(tmp_path)
    assert figures[0].axes[0].get_yscale() == scale


def test_more_runs_than_colours_differ_by_their_lines(tmp_path, figures):
    draw_curves([record(tmp_path / str(i)) for i in range(9)], tmp_path / "all.png")
    lines = figures[0].legends[0].get_lines()
    styles = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(set(styles)) == 9
    assert [style for _, style in styles] == ["-"] * 7 + ["--"] * 2


def said(capsys, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["curves.py", *map(str, words)])
    command.main()
    return capsys.readouterr().out


def test_the_command(tmp_path, capsys, monkeypatch):
    out = tmp_path / "run" / "pictures" / "curves.png"
    assert said(capsys, monkeypatch, record(tmp_path / "run")) == f"{out}\n"
    assert out.is_file()


def test_all_that_lies_in_a_folder(tmp_path, capsys, monkeypatch, figures):
    """As a shell's * has it: runs, a folder of another kind, and the picture of the last time."""
    folders = [record(tmp_path / name) for name in "ab"] + [tmp_path / "kept"]
    folders[-1].mkdir()
    for words in (folders, [*folders, tmp_path / "curves.png"]):
        monkeypatch.setattr(sys, "argv", ["curves.py", *map(str, words), str(folders[0])])
        command.main()
        printed = capsys.readouterr()
        assert printed.out == f"{tmp_path / 'curves.png'}\n"
        others = ", ".join(map(str, words[2:]))
        assert printed.err == f"left out, without figures: {others}\n"
        assert [text.get_text() for text in figures[-1].legends[0].texts] == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "none has no figures in metrics.jsonl"),
        (["none", "nothing"], "none has no figures in metrics.jsonl"),
        (["run", "--out", "picture.foo"], "picture.foo: a picture's name ends in .png"),
        (["run", "--out", "picture"], "picture: a picture's name ends in .png"),
    ],
)
def test_errors_are_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        said(capsys, monkeypatch, *words)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert message in complaint


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        draw_curves(record(tmp_path / "run"))
