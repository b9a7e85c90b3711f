"""The embedded paintings: scenes, hands, styles, and the folder they are written to."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from apps.style.paintings import (
    STYLES,
    __main__,
    contact_sheet,
    dataset,
    paint,
    styles,
    write_paintings,
)
from apps.style.paintings.hands import ARTISTS, Hand
from apps.style.paintings.scenes.scene import draw_scene, kind_of
from apps.style.paintings.styles import artist_for, artist_of, file_name
from core.errors import InputError

TRAIN, VAL, SEED, SIZE = 3, 2, 7, 48


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_paintings(
        tmp_path_factory.mktemp("art") / "set", TRAIN, VAL, SEED, SIZE, workers=1
    )


def by_its_artist(style: str, number: int, size: int = SIZE, seed: int = SEED) -> np.ndarray:
    return paint(seed, style, artist_for(seed, style, number), number, size)


def contents(folder) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows(root, name: str) -> list[tuple[str, int]]:
    text = (root / "Style" / name).read_bytes().decode()
    pairs = [line.rsplit(",", 1) for line in text.removesuffix("\r\n").split("\r\n")]
    return [(path, int(label)) for path, label in pairs]


@pytest.mark.parametrize("style", STYLES)
def test_a_painting_is_a_function_of_its_key(style):
    image = paint(1, style, 2, 4, SIZE)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert np.array_equal(image, paint(1, style, 2, 4, SIZE))
    for other in ((2, style, 2, 4, SIZE), (1, style, 3, 4, SIZE), (1, style, 2, 5, SIZE)):
        assert not np.array_equal(image, paint(*other))


def test_the_longer_side_is_the_size():
    shapes = {by_its_artist(STYLES[0], number, 40).shape[:2] for number in range(12)}
    assert {max(shape) for shape in shapes} == {40}
    assert all(min(shape) >= 28 for shape in shapes)
    assert any(height < width for height, width in shapes)
    assert any(height > width for height, width in shapes)


def test_a_scene_is_the_same_at_any_size():
    for number in range(6):
        small, large = (draw_scene(SEED, number, size) for size in (32, 96))
        assert small.kind == large.kind == kind_of(SEED, number)
        rows, columns = (np.linspace(0.5, n - 0.5, 20).astype(int) for n in small.labels.shape)
        seen = small.labels[rows[:, None], columns]
        same = seen == large.labels[3 * rows[:, None] + 1, 3 * columns + 1]
        assert same.mean() > 0.85


def test_all_styles_are_given_the_same_scene(monkeypatch):
    for style in STYLES:
        monkeypatch.setitem(styles.PAINTERS, style, lambda scene, hand, rng: scene.colour)
    images = [by_its_artist(style, 3) for style in STYLES]
    assert all(np.array_equal(images[0], image) for image in images)
    assert np.ptp(images[0]) > 50


def test_a_painting_shows_its_scene():
    """Its blurred brightness follows that of its own scene, and not another's."""
    own, other = [], []
    for style in STYLES:
        for number in range(5):
            image = blurred(by_its_artist(style, number))
            own.append(alike(image, blurred(draw_scene(SEED, number, SIZE).colour)))
            other.append(alike(image, blurred(draw_scene(SEED, number + 10, SIZE).colour)))
    assert np.mean(own) > np.mean(other) + 0.25


def blurred(picture: np.ndarray) -> np.ndarray:
    grey = Image.fromarray(picture.mean(2).astype(np.float32))
    return np.asarray(grey.resize((8, 8), Image.Resampling.BOX)).ravel()


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_styles_can_be_told_apart_by_texture_alone():
    """Nearest centroid on local statistics without colour or place; other scenes than it learns."""
    learn, test = (features(range(start, start + 5)) for start in (0, 20))
    scale = learn.reshape(-1, learn.shape[-1]).std(0)
    centres = learn.mean(1) / scale
    gaps = np.linalg.norm(test[:, :, None] / scale - centres, axis=-1)
    right = gaps.argmin(-1) == np.arange(len(STYLES))[:, None]
    assert right.mean() > 0.5  # 1 in 12 by chance


def features(numbers) -> np.ndarray:
    """(styles, numbers, statistics)."""
    return np.array([[texture(by_its_artist(s, n, 96)) for n in numbers] for s in STYLES])


def texture(image: np.ndarray) -> np.ndarray:
    grey = image.mean(2) / 255
    found = []
    for step in (1, 2, 4):
        dx, dy = grey[:, step:] - grey[:, :-step], grey[step:] - grey[:-step]
        found += [np.abs(dx).mean(), np.abs(dy).mean(), (np.abs(dx) < 0.01).mean() + 1e-2, dx.std()]
    bend = (
        grey[1:-1, 2:] + grey[1:-1, :-2] + grey[2:, 1:-1] + grey[:-2, 1:-1] - 4 * grey[1:-1, 1:-1]
    )
    return np.log([*found, np.abs(bend).mean(), np.median(np.abs(bend)) + 1e-3])


def test_artists_have_names_and_some_paint_in_two_styles():
    names = {style: [artist_of(SEED, style, k).name for k in range(ARTISTS)] for style in STYLES}
    known = Counter(name for of in names.values() for name in of)
    assert all(len(set(of)) == ARTISTS for of in names.values())
    assert set(known.values()) == {1, 2}
    assert names["Cubism"][-2:] == names["Engraving"][:2]
    assert all(name.isascii() and name.islower() and "_" not in name for name in known)


def test_the_folder_is_what_wikiart_looks_like(root):
    classes = (root / "Style/style_class.txt").read_text()
    assert classes == "".join(f"{k} {style}\n" for k, style in enumerate(STYLES))
    train, val = rows(root, "style_train.csv"), rows(root, "style_val.csv")
    assert Counter(label for _, label in train) == dict.fromkeys(range(len(STYLES)), TRAIN)
    assert Counter(label for _, label in val) == dict.fromkeys(range(len(STYLES)), VAL)
    for path, label in train + val:
        style, file = path.split("/")
        assert style == STYLES[label]
        assert file.count("_") == 1
    listed = [path for path, _ in train + val]
    assert sorted(listed) == sorted(str(p.relative_to(root)) for p in root.glob("*/*.jpg"))
    assert [label for _, label in train] != sorted(label for _, label in train)


def test_a_file_holds_the_painting(root):
    with Image.open(root / "Cubism" / file_name(SEED, "Cubism", 1)) as image:
        assert image.format == "JPEG"
        away = np.asarray(image).astype(int) - by_its_artist("Cubism", 1)
    assert np.abs(away).mean() < 6


def test_the_second_call_does_nothing(root, monkeypatch):
    monkeypatch.setattr(dataset, "paint", lambda *_: pytest.fail("something was painted again"))
    assert write_paintings(root, TRAIN, VAL, SEED, SIZE, workers=1) == root


def test_what_was_interrupted_leaves_nothing(root, tmp_path, monkeypatch):
    painted, by_hand = [], dataset.paint

    def dies(*key):
        painted.append(key)
        if len(painted) == 8:
            raise KeyboardInterrupt
        return by_hand(*key)

    monkeypatch.setattr(dataset, "paint", dies)
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        write_paintings(cut, TRAIN, VAL, SEED, SIZE, workers=1)
    assert not list(tmp_path.iterdir())
    write_paintings(cut, TRAIN, VAL, SEED, SIZE, workers=1)
    assert contents(cut) == contents(root)


def test_paintings_of_an_older_version_are_taken_as_they_are(root, tmp_path):
    """They have their settings in yaml, written first; the list of classes was written last."""
    old = tmp_path / "old"
    shutil.copytree(root, old)
    (old / "paintings.json").unlink()
    record = f"version: 1\nseed: {SEED}\ntrain: {TRAIN}\nval: {VAL}\nsize: {SIZE}\n"
    (old / "paintings.yaml").write_text(record)
    before = contents(old)
    assert write_paintings(old, TRAIN, VAL, SEED, SIZE, workers=1) == old
    assert contents(old) == before
    with pytest.raises(InputError, match="something else"):
        write_paintings(old, TRAIN, VAL, SEED + 1, SIZE, workers=1)
    (old / "Style/style_class.txt").unlink()  # half of a set
    with pytest.raises(InputError, match="choose another folder"):
        write_paintings(old, TRAIN, VAL, SEED, SIZE, workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": SEED + 1}, "'seed': 7.* wanted .*'seed': 8"),
        ({"size": 96}, "'size': 48.* wanted .*'size': 96"),
        ({"train": 0}, "train 0"),
        ({"size": 8}, "size 8"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_other_settings_are_refused(root, change, message):
    given = {"train": TRAIN, "val": VAL, "seed": SEED, "size": SIZE, "workers": 1} | change
    with pytest.raises(InputError, match=message):
        write_paintings(root, **given)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write_paintings(tmp_path, 1, 1, workers=1)
    with pytest.raises(InputError, match="something else"):
        write_paintings(tmp_path / "mine.txt", 1, 1, workers=1)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_another_process_may_be_first(root, tmp_path, monkeypatch):
    place, by_hand = tmp_path / "set", dataset.paint

    def overtaken(*key):
        if not place.exists():
            shutil.copytree(root, place)
        return by_hand(*key)

    monkeypatch.setattr(dataset, "paint", overtaken)
    assert write_paintings(place, TRAIN, VAL, SEED, SIZE, workers=1) == place
    assert contents(tmp_path) == {f"set/{name}": data for name, data in contents(root).items()}


def test_a_sheet_shows_the_paintings():
    """A row for each style, its name on the left; a column is as wide as its scene."""
    picture = np.asarray(contact_sheet(SEED, 2, 32))
    first, second = (by_its_artist(STYLES[0], number, 32) for number in (0, 1))
    height = max(first.shape[0], second.shape[0])
    assert picture.shape[0] == 12 * (height + 4) + 4
    right, top = picture.shape[1] - 4 - second.shape[1], 4 + (height - second.shape[0]) // 2
    assert np.array_equal(picture[top:, right:][: second.shape[0], : second.shape[1]], second)
    left, top = right - 4 - first.shape[1], 4 + (height - first.shape[0]) // 2
    assert np.array_equal(picture[top:, left:][: first.shape[0], : first.shape[1]], first)
    assert picture[: 4 + height, :left].min() < 100  # the name


def test_two_processes_make_the_same_files(root, tmp_path):
    write_paintings(tmp_path, TRAIN, VAL, SEED, SIZE, workers=2)
    assert contents(tmp_path) == contents(root)


def test_the_write_command(root, tmp_path, monkeypatch, capsys):
    given = {"root": tmp_path, "train": TRAIN, "val": VAL, "seed": SEED, "size": SIZE, "workers": 1}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["paintings", "write", *words])
    __main__.main()
    assert contents(tmp_path) == contents(root)
    assert capsys.readouterr().out.strip().endswith(str(tmp_path))


def test_the_sheet_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "sheet.png"
    command = ["paintings", "sheet", "--out", str(out), "--columns", "1", "--size", "32"]
    monkeypatch.setattr(sys, "argv", command)
    __main__.main()
    with Image.open(out) as picture:
        assert (picture.mode, picture.size) == ("P", contact_sheet(0, 1, 32).size)
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert stopped.value.code == 2
    assert f"{out} exists already" in capsys.readouterr().err


def test_each_painting_has_chance_of_its_own(monkeypatch):
    """Of the same style and artist, over the same scene: another number is another canvas."""
    scene = draw_scene(SEED, 0, SIZE)
    monkeypatch.setattr(styles, "draw_scene", lambda *key: scene)
    paintings = [paint(SEED, "Impressionism", 1, number, SIZE) for number in (0, 1)]
    assert not np.array_equal(*paintings)


def test_a_hand_changes_what_the_artist_sees():
    plain = Hand("a", 0.0, 1.0, 1.0, np.ones(3, np.float32), 1.0, 0.0, 0.1, 0.5)
    colour = np.array([[0.2, 0.5, 0.8], [0.4, 0.4, 0.4]], np.float32)
    np.testing.assert_allclose(plain.sees(colour), colour, atol=1e-6)
    np.testing.assert_allclose(replace(plain, gamma=2.0).sees(colour), colour**2, atol=1e-6)
    tinted = replace(plain, tint=np.array([1, 0.5, 1], np.float32)).sees(colour)
    np.testing.assert_allclose(tinted, colour * (1, 0.5, 1), atol=1e-6)
    grey = replace(plain, chroma=0.0).sees(colour)
    assert np.ptp(grey, axis=1).max() < 1e-6
    turned = replace(plain, hue=120.0).sees(colour)  # the channels in a circle
    np.testing.assert_allclose(turned, colour[:, [1, 2, 0]], atol=1e-5)
