"""The prediction script that all apps share."""

import json
from functools import partial
from pathlib import Path

import pytest

from core import InputError
from core.app.kept import KeptNetworks
from core.app.predicting import (
    Item,
    LeftOut,
    named,
    output_folder,
    predict_each,
    prediction_parser,
    run_and_inputs,
)
from core.training.session import Session


def copy(name, content, folder, fail=()):
    if content in fail:
        raise InputError(f"{name}.md: {content} is empty")
    (folder / f"{name}.txt").write_text(content)
    return {"letters": len(content)}


def items(*paths):
    return [Item(str(path), path.read_text) for path in paths]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a" / "x.md", tmp_path / "b" / "x.md", tmp_path / "a" / "y.md"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.parent.name * 3)
    return paths


@pytest.fixture
def kept(tmp_path):
    """A place where `usual` is kept."""
    (tmp_path / "weights" / "usual").mkdir(parents=True)
    (tmp_path / "weights" / "usual" / "config.json").write_text("{}")
    return KeptNetworks(tmp_path / "weights", "usual")


def test_the_first_word_may_be_a_run(files, kept, small_run, monkeypatch, tmp_path):
    run, (x, *_) = str(small_run[0]), map(str, files)
    checkpoint = f"{run}/checkpoints/step-00000007"
    for words, expected in {
        (x,): ("usual", [x]),
        (): ("usual", []),
        ("usual", x): ("usual", [x]),
        (run, x): (run, [x]),
        (run,): (run, []),
        (checkpoint, x): (checkpoint, [x]),
    }.items():
        assert run_and_inputs(words, kept) == expected
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usual").mkdir()  # a folder of pictures
    assert run_and_inputs(["usual"], kept) == ("usual", [])
    assert run_and_inputs(["./usual"], kept) == ("usual", ["./usual"])


def test_what_is_neither_a_run_nor_an_input(files, kept, small_run, tmp_path):
    with pytest.raises(InputError, match=r"^nowhere does not exist: .* network \(usual\) or noth"):
        run_and_inputs(["nowhere", str(files[0])], kept)
    with pytest.raises(InputError, match="is a run: it comes before the inputs"):
        run_and_inputs([str(files[0]), str(small_run[0])], kept)
    nothing = KeptNetworks(tmp_path / "none", "usual")
    for words in ([str(files[0])], []):
        with pytest.raises(InputError, match="no run is named, and no network is kept"):
            run_and_inputs(words, nothing)
    with pytest.raises(InputError, match=r"^usual does not exist: give a run, a kept network or"):
        run_and_inputs(["usual"], nothing)


def test_a_record_and_a_file_for_each(files, tmp_path):
    out = tmp_path / "out"
    records = predict_each(Session(), items(*files), out, copy, [".txt"])
    assert records == json.loads((out / "predictions.json").read_text())
    assert [r["output"] for r in records] == ["x.txt", "x-2.txt", "y.txt"]
    assert [r["input"] for r in records] == list(map(str, files))
    assert [(out / r["output"]).read_text() for r in records] == ["aaa", "bbb", "aaa"]


def test_what_cannot_be_used_is_named_and_the_others_go_on(files, tmp_path, capsys):
    out, missing = tmp_path / "out", tmp_path / "nothing.md"
    fail = partial(copy, fail=("bbb",))
    with pytest.raises(InputError, match="2 of 4 notes could not be used"):
        predict_each(Session(), items(missing, *files), out, fail, [".txt"], "notes")
    assert len(json.loads((out / "predictions.json").read_text())) == 2
    left_out = capsys.readouterr().err.splitlines()
    assert left_out[0].startswith(f"left out: {missing}: FileNotFoundError")
    assert left_out[1] == f"left out: {files[1]}: x-2.md: bbb is empty"


def test_a_source_is_named_once(capsys):
    left_out = LeftOut("clouds")
    left_out.add("a/b.ply", InputError("a/b.ply: no points"))
    left_out.add("c.ply", "is empty")
    printed = capsys.readouterr().err
    assert printed == "left out: a/b.ply: no points\nleft out: c.ply: is empty\n"
    with pytest.raises(InputError, match="2 of 3 clouds could not be used"):
        left_out.check(3)


def test_nothing_is_written_where_all_is_left_out(tmp_path):
    with pytest.raises(InputError, match="1 of 1 images"):
        predict_each(Session(), items(tmp_path / "no.md"), tmp_path / "out", copy, [".txt"])
    assert not (tmp_path / "out" / "predictions.json").exists()


def test_inputs_are_not_overwritten(files):
    folder = files[0].parent
    for endings in ([".txt", ".md"], [".md"]):
        with pytest.raises(InputError, match=r"x.md would be overwritten: choose another --output"):
            predict_each(Session(), items(*files), folder, copy, endings)
    assert files[0].read_text() == "aaa"
    with pytest.raises(InputError, match=r"predictions.json would be overwritten"):
        named(["z.md"], folder, [".txt"], protected=[folder / "predictions.json"])
    with pytest.raises(InputError, match=r"y.md would be overwritten"):
        named(["y.txt"], folder, [".md"], protected=[files[2]])


def test_the_record_is_never_an_inputs_name():
    assert named(["predictions.jpg"], Path("o"), [".json"]) == ["predictions-2"]


def test_the_command_line(small_run, capsys):
    parser = prediction_parser("Predict.\n\nMore.", "images", 12)
    words = parser.parse_args(["runs/x", "a.png", "b.png"])
    assert (words.run, words.inputs, words.count) == ("runs/x", ["a.png", "b.png"], 12)
    run = type("R", (), {"folder": small_run[0]})
    assert output_folder(words, run) == small_run[0] / "predictions"
    words = parser.parse_intermixed_args(["runs/x", "--output", "here", "a.png"])
    assert words.inputs == ["a.png"]
    assert str(output_folder(words, run)) == "here"
    for count in ("0", "-1", "x"):
        with pytest.raises(SystemExit):
            parser.parse_args(["runs/x", f"--count={count}"])
        assert "1 or more" in capsys.readouterr().err


def test_an_input_that_is_a_link_to_itself_stops_no_other(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    sources = [tmp_path / "loop.png", tmp_path / "good.png"]
    assert named(sources, tmp_path / "out", [".png"]) == ["loop", "good"]
