"""Cross-view data: panels, maps, layouts, the split of Dayton by panorama, bad files."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apps.crossview.config import DataConfig
from apps.crossview.data.maps import CITYSCAPES, CVUSA, Palette, as_palette, one_hot, open_palette
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.panels import panel_boxes
from apps.crossview.data.pictures import class_ids
from apps.crossview.data.splits import panorama_of
from apps.crossview.data.views import map_ids, map_input, views_of
from core import InputError
from core.data.loading import BadSample, seed_everything
from tests.apps.crossview.test_splits import dayton

REAL = os.environ.get("MIXER_TEST_DATA")
real_data = pytest.mark.skipif(not REAL, reason="MIXER_TEST_DATA names no folder of real data")
SIDE = 16


def photograph(rng, height=SIDE, width=SIDE):
    """Smooth and in no colour of a palette."""
    small = rng.integers(90, 190, (3, 3, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC))


def coloured_map(rng, colours, height=SIDE, width=SIDE):
    ids = rng.integers(0, len(colours), (height // 4, width // 4)).repeat(4, 0).repeat(4, 1)
    ids[0], ids[-1] = 0, 1  # never blank
    return np.array(list(colours.values()), np.uint8)[ids], ids


def write_panels(path, order=("aerial", "ground", "aerial_map", "ground_map"), seed=0, wide=1):
    """A file of several panels; returns them by name."""
    rng, panels = np.random.default_rng(seed), {}
    for name in order:
        width = SIDE * (wide if name.startswith("ground") else 1)
        picture = photograph(rng, SIDE, width)
        is_map = name.endswith("_map")
        panels[name] = coloured_map(rng, CVUSA, SIDE, width)[0] if is_map else picture
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([panels[name] for name in order], 1)).save(path, quality=95)
    return panels


def config(root, **changes):
    return DataConfig(**{"root": str(root), "palette": "cvusa", "size": (SIDE, SIDE)} | changes)


def as_pixels(image):
    return np.asarray(((image + 1) * 127.5).round().byte().movedim(0, -1))


# ---- panels and maps -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crossmlp", "xfork"])
def test_orders_of_four_panels(tmp_path, name):
    from apps.crossview.data.panels import ORDERS

    panels = write_panels(tmp_path / "train/0.png", ORDERS[name])
    item = Pairs(config(tmp_path, order=name), "train")[0]
    for key in ("aerial", "ground"):
        assert np.array_equal(as_pixels(item[key]), panels[key])
    colours = np.array(list(CVUSA.values()))
    for key in ("aerial_map", "ground_map"):
        assert np.array_equal(colours[item[key]], panels[key])


def test_a_file_says_how_wide_its_panels_are():
    assert panel_boxes((1024, 256), "crossmlp", "f")["ground_map"] == (768, 0, 1024, 256)
    wide = panel_boxes((2560, 256), "crossmlp", "f")  # what scripts/cvusa_prepare.m writes
    assert wide["ground"] == (256, 0, 1280, 256)
    assert wide["ground_map"] == (1536, 0, 2560, 256)
    panogan = panel_boxes((2304, 256), "panogan", "f")
    assert panogan["ground_map"] == (1280, 0, 2304, 256)
    with pytest.raises(InputError, match=r"--data.order panogan would fit"):
        panel_boxes((2304, 256), "crossmlp", "f")


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_maps_from_jpeg_are_cleaned(tmp_path, quality):
    """Nearly all pixels come back: what JPEG smears lies along edges."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (4, 4)).repeat(16, 0).repeat(16, 1)
    colours = np.array(list(CVUSA.values()), np.uint8)
    Image.fromarray(colours[ids]).save(tmp_path / "m.jpg", quality=quality)
    found, unknown = open_palette("cvusa").ids(np.asarray(Image.open(tmp_path / "m.jpg")))
    assert len(np.unique(np.asarray(Image.open(tmp_path / "m.jpg")).reshape(-1, 3), axis=0)) > 4
    assert (found == ids).mean() > 0.97
    assert 0 < unknown < 0.25


def test_nearest_colours_by_brute_force():
    rng = np.random.default_rng(0)
    palette = open_palette("cityscapes")
    pixels = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    found, unknown = palette.ids(pixels)
    far = 0
    for place in np.ndindex(9, 7):
        apart = [
            sum((int(a) - int(b)) ** 2 for a, b in zip(pixels[place], c, strict=True))
            for c in CITYSCAPES.values()
        ]
        assert apart[found[place]] == min(apart)
        far += min(apart) > 32**2
    assert unknown == pytest.approx(far / 63)


def test_maps_as_networks_see_them():
    palette = open_palette("cvusa")
    ids = torch.randint(0, 4, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    for maps in ("classes", "rgb"):
        given = map_input(ids, palette, maps)
        assert given.min() == -1
        assert given.max() == 1
        assert map_ids(given, palette, maps).equal(ids)
    assert one_hot(ids, 4).sum(1).eq(-2).all()


def test_own_palettes(tmp_path):
    (tmp_path / "palette.yaml").write_text("land: [10, 20, 30]\nsea: [0, 0, 200]\n")
    assert open_palette("", tmp_path).names == ("land", "sea")
    (tmp_path / "twice.yaml").write_text("land: [1, 2, 3]\nsea: [1, 2, 3]\n")
    (tmp_path / "broken.yaml").write_text("land: [1, 2\n")
    for name, words in (("twice.yaml", "no colour twice"), ("broken.yaml", "is not yaml")):
        with pytest.raises(InputError, match=words):
            open_palette(str(tmp_path / name))
    with pytest.raises(InputError, match="Did you mean cvusa"):
        open_palette("cvussa")


# ---- layouts ---------------------------------------------------------------------------------


def test_cvusa_triples(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "splits").mkdir()
    rows = []
    for number in range(2):
        Image.fromarray(photograph(rng, 30, 30)).save(tmp_path / f"a{number}.jpg")
        Image.fromarray(photograph(rng, 16, 64)).save(tmp_path / f"g{number}.jpg")
        ids = rng.integers(0, 4, (16, 64), dtype=np.uint8)
        Image.fromarray(ids).save(tmp_path / f"m{number}.png")
        rows.append(f"a{number}.jpg,g{number}.jpg,m{number}.png")
    # as a spreadsheet writes it
    (tmp_path / "splits/train-19zl.csv").write_text("\r\n".join([*rows, ""]), encoding="utf-16")
    pairs = Pairs(config(tmp_path, palette="", layout="cvusa", size=(16, 64)), "train")
    assert len(pairs) == 2
    assert pairs.palette.names == ("sky", "man-made", "road", "vegetation")
    assert np.array_equal(pairs[1]["ground_map"], ids)
    (tmp_path / "splits/val-19zl.csv").write_text("a0.jpg,g0.jpg\n")
    with pytest.raises(InputError, match="line 1: 2 columns"):
        Pairs(config(tmp_path, layout="cvusa"), "val")


@pytest.mark.parametrize("names", [("satview", "streetview"), ("aerial", "ground")])
def test_pairs_in_two_folders(tmp_path, names):
    rng = np.random.default_rng(0)
    ends = ("_satView_polish", "_grdView") if names[0] == "satview" else ("", "")
    for folder, end in zip(names, ends, strict=True):
        (tmp_path / "train" / folder).mkdir(parents=True)
        for place in ("x1", "x2"):
            path = tmp_path / "train" / folder / f"{place}{end}.png"
            Image.fromarray(photograph(rng)).save(path)
    layout = "cvact" if names[0] == "satview" else "folders"
    pairs = Pairs(config(tmp_path, layout=layout, palette=""), "train")
    assert [record.name for record in pairs.records] == ["x1", "x2"]
    item = pairs[0]
    assert "aerial_map" not in item
    assert item["ground_map"].eq(0).all(), "no maps: one class"
    assert pairs.palette.names == ("none",)
    Image.fromarray(photograph(rng)).save(tmp_path / "train" / names[1] / f"x3{ends[1]}.png")
    with pytest.raises(InputError, match=r"1 names are in only one of aerial and ground: x3"):
        Pairs(config(tmp_path, layout=layout), "train")


def test_pairs_without_splits_are_dealt(tmp_path):
    rng = np.random.default_rng(0)
    for view in ("aerial", "ground", "ground_map"):
        (tmp_path / view).mkdir()
        for number in range(21):
            pixels = rng.integers(0, 4, (SIDE, SIDE), dtype=np.uint8)
            picture = pixels if view == "ground_map" else photograph(rng)
            Image.fromarray(picture).save(tmp_path / view / f"{number}.png")
    sides = [Pairs(config(tmp_path, layout="folders"), side) for side in ("train", "val")]
    names = [{record.name for record in side.records} for side in sides]
    assert not names[0] & names[1]
    assert [len(side) for side in sides] == [19, 2]
    ids = np.asarray(Image.open(tmp_path / "ground_map" / f"{sides[0].records[0].name}.png"))
    assert np.array_equal(sides[0][0]["ground_map"], ids), "a grey map is one of ids"
    Image.fromarray(photograph(rng)).save(tmp_path / "aerial/0.jpg")
    with pytest.raises(InputError, match="have one name"):
        Pairs(config(tmp_path, layout="folders"), "train")


def test_an_aerial_map_of_one_class_is_a_map(tmp_path):
    panels = write_panels(tmp_path / "train/0.png")
    panels["aerial_map"][:] = CVUSA["vegetation"]
    Image.fromarray(np.concatenate(list(panels.values()), 1)).save(tmp_path / "train/0.png")
    pairs = Pairs(config(tmp_path), "train")
    assert pairs[0]["aerial_map"].eq(3).all()


def test_black_panels_are_no_maps(tmp_path):
    panels = write_panels(tmp_path / "train/0.png")
    panels["aerial_map"][:] = 3
    Image.fromarray(np.concatenate(list(panels.values()), 1)).save(tmp_path / "train/0.png")
    pairs = Pairs(config(tmp_path), "train")
    assert pairs.maps == ["ground_map"]
    assert "aerial_map" not in pairs[0]
    with pytest.raises(InputError, match="needs maps of the aerial"):
        views_of(torch.utils.data.default_collate([pairs[0]]), "g2a")


# ---- augmentation ----------------------------------------------------------------------------


def test_panels_are_mirrored_and_cropped_together(tmp_path):
    """A picture that says where each pixel was, in all four panels."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    place = np.stack([rows * 8 + 64, columns * 8 + 64, 0 * rows + 128], -1).astype(np.uint8)
    ids = np.where(columns < SIDE // 2, 1, 2)
    colours = np.array(list(CVUSA.values()), np.uint8)
    panels = [place, place, colours[ids], colours[ids]]
    (tmp_path / "train").mkdir()
    Image.fromarray(np.concatenate(panels, 1)).save(tmp_path / "train/0.png")
    pairs = Pairs(config(tmp_path, enlarge=1.5), "train", training=True)
    seen = set()
    for seed in range(12):
        seed_everything(seed)
        item = pairs[0]
        assert item["aerial"].equal(item["ground"])
        assert item["aerial_map"].equal(item["ground_map"])
        across = item["aerial"][1].mean(0)  # grows with the column, unless mirrored
        mirrored = bool(across[0] > across[-1])
        middle = 2 * (8 * 7.5 + 64) / 255 - 1
        expected = torch.where(across < middle, 1, 2)
        inside = (across - middle).abs() > 0.06  # the edge itself is smoothed in photographs
        assert item["aerial_map"][SIDE // 2][inside].equal(expected[inside])
        seen.add((mirrored, round(float(item["aerial"][0].mean()), 3)))
    assert len({mirrored for mirrored, _ in seen}) == 2
    assert len(seen) > 4


@pytest.mark.parametrize("training", [True, False])
def test_resized_maps_hold_no_class_that_was_not_there(tmp_path, training):
    """Between sky (0) and vegetation (3) lie no roads, at any size."""
    (tmp_path / "train").mkdir()
    rng = np.random.default_rng(0)
    colours = np.array([CVUSA["sky"], CVUSA["vegetation"]], np.uint8)
    panels = [photograph(rng), photograph(rng), *(colours[np.eye(SIDE, dtype=int)] for _ in "ag")]
    Image.fromarray(np.concatenate(panels, 1)).save(tmp_path / "train/0.png")
    pairs = Pairs(config(tmp_path, size=(20, 36), enlarge=1.3), "train", training=training)
    assert set(pairs[0]["ground_map"].unique().tolist()) == {0, 3}


def test_evaluation_neither_crops_nor_mirrors(tmp_path):
    panels = write_panels(tmp_path / "val/0.png")
    pairs = Pairs(config(tmp_path, enlarge=2.0), "val")
    for seed in range(5):
        seed_everything(seed)
        assert np.array_equal(as_pixels(pairs[0]["aerial"]), panels["aerial"])


# ---- bad files -------------------------------------------------------------------------------


def test_a_wrong_order_is_said(tmp_path):
    """Maps where photographs should be."""
    write_panels(tmp_path / "train/0.png", ("aerial_map", "ground_map", "aerial", "ground"))
    with pytest.raises(InputError, match="does not look like a photograph"):
        Pairs(config(tmp_path), "train")


def test_a_wrong_palette_is_said(tmp_path):
    write_panels(tmp_path / "train/0.png")
    with pytest.raises(InputError, match="does not look like a map of this palette"):
        Pairs(config(tmp_path, palette="cityscapes"), "train")


def test_bad_files_are_named(tmp_path):
    for number in range(4):
        write_panels(tmp_path / f"train/{number}.png", seed=number)
    path = tmp_path / "train/1.png"
    path.write_bytes(path.read_bytes()[:100])
    Image.new("RGB", (50, 16)).save(tmp_path / "train/2.png")
    panels = write_panels(tmp_path / "train/3.png")
    panels["ground_map"][:] = 0
    Image.fromarray(np.concatenate(list(panels.values()), 1)).save(tmp_path / "train/3.png")
    pairs = Pairs(config(tmp_path), "train")
    words = {1: "cannot be read", 2: "50x16 pixels", 3: "ground_map is blank"}
    for index, said in words.items():
        with pytest.raises(BadSample, match=said) as caught:
            pairs[index]
        assert f"{index}.png" in str(caught.value)


def test_maps_that_are_none():
    palette = Palette(("a", "b"), np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    with pytest.raises(ValueError, match="has class 7"):
        class_ids(np.array([[0, 7]], np.uint8), palette)
    with pytest.raises(ValueError, match=r"100 % is in none of its colours"):
        class_ids(np.full((4, 4, 3), 128, np.uint8), palette)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root": "nowhere"}, "is no folder"),
        ({"size": (8, 64)}, r"data.size is \(8, 64\); choose 16 to 8,192"),
        ({"enlarge": 0.5}, "data.enlarge is 0.5"),
        ({"layout": "cvusa"}, "has none of the lists"),
        ({"layout": "folders"}, "has no folder aerial"),
        ({"layout": "folders", "split": "panorama"}, "--data.layout panels"),
        ({"split": "panorama"}, "is no name of Dayton"),
    ],
)
def test_settings_that_cannot_be(tmp_path, changes, words):
    for split in ("train", "test"):
        write_panels(tmp_path / split / "0.png")
    with pytest.raises(InputError, match=words):
        Pairs(replace(config(tmp_path), **changes), "train")


# ---- Dayton's split: test_splits.py has it on names alone ------------------------------------


def test_files_are_dealt_by_panorama(tmp_path):
    for number, name in enumerate(dayton(6, range(3))):
        split = "test" if number % 3 == 0 else "train"
        write_panels(tmp_path / split / name.replace(".jpg", ".a2g.png"), seed=number)
    sides = [Pairs(config(tmp_path, split="panorama"), side) for side in ("train", "val")]
    panoramas = [{panorama_of(r.name) for r in side.records} for side in sides]
    assert not panoramas[0] & panoramas[1]
    assert [len(side) for side in sides] == [12, 6]
    tuned = config(tmp_path, split="panorama", tune_share=0.3)
    train, tuning = (
        {panorama_of(r.name) for r in Pairs(tuned, side).records} for side in ("train", "val")
    )
    assert not train & tuning
    assert train | tuning == panoramas[0]


def test_lists_say_who_is_where(tmp_path):
    names = dayton(2, range(3))
    for number, name in enumerate(names):
        write_panels(tmp_path / "all" / name.replace(".jpg", ".a2g.png"), seed=number)
    (tmp_path / "lists").mkdir()
    train = "\n".join([*names[:4], "."]) + "\n"
    (tmp_path / "lists/dayton_train.txt").write_text(train, encoding="utf-8-sig")
    (tmp_path / "lists/dayton_test.txt").write_text("\n".join(names[4:]) + "\n")
    given = config(tmp_path / "all", lists=str(tmp_path / "lists"))
    sides = [Pairs(given, side) for side in ("train", "val")]
    assert [len(side) for side in sides] == [4, 2]
    assert {r.name for r in sides[1].records} == {n.replace(".jpg", ".a2g.png") for n in names[4:]}
    assert [len(Pairs(replace(given, split="panorama"), s)) for s in ("train", "val")] == [3, 3]
    (tmp_path / "lists/dayton_test.txt").write_text("q.x1.y1.a1.jpg\n")
    with pytest.raises(InputError, match="1 of 1 files are not in"):
        Pairs(given, "val")
    write_panels(tmp_path / "all/again" / names[0].replace(".jpg", ".png"))
    with pytest.raises(InputError, match="have one name"):
        Pairs(given, "train")
    (tmp_path / "lists/panorama_train.txt").write_text(names[0] + "\n")
    with pytest.raises(InputError, match="a folder with one list a side"):
        Pairs(given, "train")


@real_data
def test_real_samples():
    root = Path(REAL) / "crossview"
    cvusa = Pairs(DataConfig(root=str(root / "cvusa"), palette="cvusa"), "train")
    assert cvusa.maps == ["ground_map"]
    town = Pairs(DataConfig(root=str(root / "dayton"), palette="cityscapes"), "train")
    assert town.maps == ["aerial_map", "ground_map"]
    for pairs in (cvusa, town):
        for item in (pairs[i] for i in range(4)):
            assert item["aerial"].shape == item["ground"].shape == (3, 256, 256)
            assert 3 <= len(item["ground_map"].unique()) <= 12


@pytest.mark.parametrize("colour", [["7e1", 130, 180], [0.2, 0.5, 0.7]])
def test_colours_that_are_no_whole_numbers_are_the_palette_s_fault(colour):
    with pytest.raises(
        InputError, match=r"^sky\.yaml: expected `class: \[r, g, b\]`, whole numbers"
    ):
        as_palette({"sky": colour, "road": [1, 2, 3]}, "sky.yaml")
