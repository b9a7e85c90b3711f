"""Fractal images as files, and contact sheets."""

import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import InputError
from core.data.fractals import FractalImages, FractalsConfig
from core.data.fractals import __main__ as draw_fractals
from core.data.fractals import writer as writing
from core.data.fractals.sheet import class_rows, fractal_sheet, rule_rows
from core.data.fractals.writer import Written, write
from core.data.sources import open_images

ROOT = Path(__file__).resolve().parents[3]
DATA = FractalsConfig("sigma", classes=3, instances=4, size=32, points=500)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_holds_the_images(tmp_path):
    assert list(write(Written(DATA), tmp_path, "train")) == [12]
    val = replace(DATA, instances=1, first=4)
    assert list(write(Written(val), tmp_path, "val")) == [3]
    images, found = FractalImages(DATA), open_images(str(tmp_path), "train")
    assert found.classes == images.classes
    assert found.labels == list(images.labels)
    for ours, theirs in zip(images, found, strict=True):
        np.testing.assert_array_equal(np.asarray(ours["image"]), np.asarray(theirs["image"]))
    assert open_images(str(tmp_path), "val").names == ["00004.png"] * 3


def test_colour_survives(tmp_path):
    data = replace(DATA, colour="hue", background="clouds", classes=1, instances=1)
    list(write(Written(data), tmp_path, "train"))
    with Image.open(tmp_path / "train/00000/00000.png") as image:
        np.testing.assert_array_equal(np.asarray(image), FractalImages(data).render(0, 0))


@pytest.mark.parametrize("layout", ["folder", "shards"])
def test_it_goes_on_where_it_stopped(tmp_path, monkeypatch, layout):
    what = Written(DATA, layout, per_shard=5)
    list(write(what, tmp_path / "whole", "train"))
    calls, encode = [], writing.encoded

    def dies(images, index):
        calls.append(index)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return encode(images, index)

    monkeypatch.setattr(writing, "encoded", dies)
    with pytest.raises(KeyboardInterrupt):
        list(write(what, tmp_path / "cut", "train"))
    before = contents(tmp_path / "cut")
    assert list(write(what, tmp_path / "cut", "train"))[-1] == 12
    after = contents(tmp_path / "cut")
    assert after == contents(tmp_path / "whole")
    finished = {p for p in before if p.suffix in (".png", ".tar")}
    assert len(finished) == (6 if layout == "folder" else 1)
    assert len(calls) == (13 if layout == "folder" else 14)  # what was whole is not drawn again


def test_shards_hold_every_image_once(tmp_path):
    assert list(write(Written(DATA, "shards", per_shard=5), tmp_path, "train")) == [5, 10, 12]
    images, found = FractalImages(DATA), []
    for shard in sorted(tmp_path.glob("train-*.tar")):
        with tarfile.open(shard) as tar:
            names = tar.getnames()
            assert [Path(name).suffix for name in names] == [".png", ".cls"] * (len(names) // 2)
            for png, label in zip(names[::2], names[1::2], strict=True):
                assert Path(png).stem == Path(label).stem
                number = int(tar.extractfile(label).read())
                assert int(png[:5]) == number
                pixels = np.asarray(Image.open(tar.extractfile(png)).convert("RGB"))
                np.testing.assert_array_equal(pixels, images.render(number, int(png[6:11])))
                found.append(png)
    assert len(found) == len(set(found)) == 12
    assert found != sorted(found)


def test_nothing_is_overwritten(tmp_path):
    list(write(Written(DATA), tmp_path, "train"))
    for other, word in (
        (Written(replace(DATA, seed=1)), "seed 0, not 1"),
        (Written(DATA, "shards"), "layout folder, not shards"),
    ):
        with pytest.raises(InputError, match=word):
            list(write(other, tmp_path, "train"))
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match="another origin"):
        list(write(Written(DATA), tmp_path, "test"))
    with pytest.raises(InputError, match="instances"):
        list(write(Written(replace(DATA, instances=0)), tmp_path, "new"))


def test_a_sheet_puts_images_side_by_side():
    red, blue = np.zeros((2, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 100
    picture = np.asarray(fractal_sheet([[red, blue], [blue]], 4))
    assert picture.shape == (10, 10, 3)
    assert (picture[:4, :4] == (200, 0, 0)).all()
    assert (picture[:4, 6:] == (0, 0, 100)).all()
    assert (picture[6:, :4] == (0, 0, 100)).all()
    assert (picture[6:, 6:] == 255).all()


def test_what_a_sheet_shows():
    config = replace(DATA, rule="fractaldb", first=3)
    images = FractalImages(config)
    rows = class_rows(config, 2, 2)  # of three classes, their first instances
    assert [len(row) for row in rows] == [2, 1]
    for label, image in enumerate([*rows[0], *rows[1]]):
        np.testing.assert_array_equal(image, images.render(label, 3))
    by_rule = rule_rows(config, 3)
    assert len(by_rule) == 6
    for instance, image in enumerate(by_rule[2]):  # many instances of one class
        np.testing.assert_array_equal(image, images.render(0, instance))


def run(*words):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "core/data/fractals/__main__.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def test_the_write_command_by_two_processes(tmp_path):
    values = {"rule": "sigma", "classes": 2, "instances": 130, "size": 32, "points": 500}
    words = [word for k, v in values.items() for word in (f"--what.data.{k}", v)]
    done = run("write", "--root", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "260/260" in done.stdout
    assert len(open_images(str(tmp_path), "train")) == 260


def test_the_sheet_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "sheet.png"
    words = ["--columns", "2", "--tile", "16", "--data.size", "32", "--data.points", "500"]
    monkeypatch.setattr(sys, "argv", ["draw_fractals.py", "sheet", "--out", str(out), *words])
    draw_fractals.main()
    assert Image.open(out).size == (34, 106)
    with pytest.raises(SystemExit) as stopped:
        draw_fractals.main()
    assert stopped.value.code == 2
    assert f"{out} exists already" in capsys.readouterr().err
