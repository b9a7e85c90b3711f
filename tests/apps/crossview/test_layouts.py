"""Pairs as they really lie about: other systems' files, folders, capitals, bits, void classes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFile

from apps.crossview.config import DataConfig
from apps.crossview.data.maps import open_palette
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.pictures import check_bits, class_ids, read_map, read_photograph, squeezed
from apps.crossview.prediction.readers import _map_of
from core import InputError
from core.data.images.files import PixelLimit
from core.data.loading import BadSample
from tests.apps.crossview.test_data import SIDE, config, photograph, write_panels
from tests.huge import huge

RNG = np.random.default_rng(0)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def ids(dtype=np.uint8):
    values = RNG.integers(0, 4, (SIDE, SIDE)).astype(dtype)
    values[0, :2] = 0, 1
    return values


def write_folders(root, names=("0", "1", "2"), views=("aerial", "ground", "ground_map"), end="png"):
    for view in views:
        for name in names:
            pixels = ids() if view.lower().endswith("_map") else photograph(RNG)
            save(root / view / f"{name}.{end}", pixels)
    return config(root, layout="folders")


def names_of(given):
    return sorted(r.name for side in ("train", "val") for r in Pairs(given, side).records)


def test_second_halves_of_macos_and_thumbnails_are_no_images(tmp_path):
    given = write_folders(tmp_path)
    for path in [*tmp_path.rglob("*.png")]:
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
        save(path.parent / "@eaDir" / path.name, photograph(RNG))
        save(path.parent / ".thumbnails" / path.name, photograph(RNG))
    assert names_of(given) == ["0", "1", "2"]


def test_folders_below_the_views_and_capitals(tmp_path):
    views = ("Aerial", "GROUND", "Ground_Map")
    given = write_folders(tmp_path, ("rome/1", "rome/2", "oslo/1"), views, "PNG")
    assert names_of(given) == ["oslo/1", "rome/1", "rome/2"]
    write_panels(tmp_path / "panels/Train/rome/0.png")
    write_panels(tmp_path / "panels/Train/oslo/0.png")
    pairs = Pairs(config(tmp_path / "panels"), "train")
    assert [record.name for record in pairs.records] == ["oslo/0.png", "rome/0.png"]


def test_folders_that_may_be_parts_or_views_are_named(tmp_path):
    write_folders(tmp_path / "Seattle", views=("satellite", "panorama"))
    write_folders(tmp_path / "Chicago", views=("satellite", "panorama"))
    with pytest.raises(InputError, match="but Chicago, Seattle: if these are parts"):
        Pairs(config(tmp_path, layout="folders"), "train")
    assert names_of(config(tmp_path / "Seattle", layout="folders")) == ["0", "1", "2"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_maps_of_numbers_are_numbers_whatever_their_bits(tmp_path, dtype):
    values = ids(dtype)
    save(tmp_path / "m.png", values)
    assert np.array_equal(np.asarray(read_map(tmp_path / "m.png")), values)
    given = write_folders(tmp_path / "set")
    for path in (tmp_path / "set/ground_map").iterdir():
        save(path, values)
    assert np.array_equal(Pairs(given, "train")[0]["ground_map"], values)


def test_what_nobody_labelled_is_a_class_of_its_own(tmp_path):
    given = write_folders(tmp_path)
    values = ids()
    values[5:9] = 255
    for path in (tmp_path / "ground_map").iterdir():
        save(path, values)
    with pytest.raises(InputError, match=r"ground_map/\d.png.* has class 255.*--data.void 255"):
        Pairs(given, "train")
    pairs = Pairs(replace(given, void=255), "train")
    assert pairs.palette.names == ("sky", "man-made", "road", "vegetation", "void")
    right = np.where(values == 255, 4, values)
    assert np.array_equal(pairs[0]["ground_map"], right)
    with pytest.raises(ValueError, match=r"has class 4, and the palette 4 classes$"):
        class_ids(np.array([[0, 4]]), pairs.palette, void=255)


def test_a_colour_that_no_class_has_is_that_of_void():
    palette = open_palette("cityscapes").with_void()
    assert len(np.unique(palette.colours, axis=0)) == len(palette) == 20
    assert palette.ids(palette.colours[None])[0].tolist() == [list(range(20))]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("view", ["aerial", "ground_map"])
def test_a_header_is_enough_to_refuse_a_file(tmp_path, monkeypatch, kind, view):
    """Of pairs, of a person's own images and of the look for bits: nothing is decoded or shrunk."""
    given = write_folders(tmp_path, names="0123456789")
    pairs = Pairs(given, "train")
    path = pairs.records[0].files[view]
    path.write_bytes(huge(kind))
    with pytest.raises(
        BadSample, match=rf"{path.name}: .*60000 x 60000 .* raise --data.max-pixels"
    ):
        pairs[0]
    pairs.limit = PixelLimit(SIDE**2 - 1, "--max-pixels")  # as predict.py has it
    with pytest.raises(
        BadSample, match=f"{SIDE} x {SIDE} pixels are more than {SIDE**2 - 1}: rais"
    ):
        pairs[1]
    pairs.limit = PixelLimit(SIDE**2)
    assert pairs[1]["aerial"].shape == (3, *given.size)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    check_bits([path], 16, given.limit)
    for read in (read_photograph, read_map):
        with pytest.raises(ValueError, match="60000 x 60000 pixels are more than 50,000,000"):
            read(path, limit=given.limit)
    larger = replace(given, max_pixels=SIDE**2 - 1)
    with pytest.raises(InputError, match=r"none of 4 can be read: .* raise --data.max-pixels"):
        Pairs(larger, "train")


def test_no_file_is_read_smaller(tmp_path):
    """Panels are cut out by the pixels that the file has."""
    Image.new("RGB", (64, 16)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="64 x 16 pixels are more than 1,023"):
        read_photograph(tmp_path / "a.jpg", limit=PixelLimit(1023))


def test_pictures_of_11_bits(tmp_path):
    levels = np.linspace(0, 2047, 64).astype(np.uint16).reshape(8, 8)
    save(tmp_path / "a.png", levels)
    found = np.asarray(read_photograph(tmp_path / "a.png", 11))
    assert np.array_equal(
        found, np.round(levels / 2047 * 255).astype(np.uint8)[..., None] + [0] * 3
    )
    with pytest.raises(InputError, match=r"a.png: a 16-bit picture.* above 2047.*--data.bits 11"):
        check_bits([tmp_path / "a.png"], 16)
    check_bits([tmp_path / "a.png"], 11)
    with pytest.raises(ValueError, match="numbers up to 2047, and 10 bits end at 1023"):
        read_photograph(tmp_path / "a.png", 10)
    save(tmp_path / "bright.png", levels * 32)
    check_bits([tmp_path / "a.png", tmp_path / "bright.png"], 16)  # one is dark, not all


def test_postscript_is_no_map(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ValueError, match="it is no picture"):
        read_map(tmp_path / "a.png")


def test_pairs_of_11_bits_are_said_before_training(tmp_path):
    given = write_folders(tmp_path)
    for path in (tmp_path / "aerial").iterdir():
        save(path, RNG.integers(0, 2048, (SIDE, SIDE)).astype(np.uint16))
    with pytest.raises(InputError, match=r"aerial/\d.png.*--data.bits 11"):
        Pairs(given, "train")
    assert Pairs(replace(given, bits=11), "train")[0]["aerial"].max() > 0.9


def test_what_is_stretched_is_said(tmp_path):
    assert squeezed((384, 128), "a.png", 64, 64) == "a.png: 384x128 pixels are stretched to 64x64"
    assert squeezed((105, 100), "a.png", 64, 64) == ""
    for number in range(2):
        write_panels(tmp_path / f"train/{number}.png", wide=4)
    pairs = Pairs(config(tmp_path), "train")
    assert pairs.stretched() == ["ground images: 64x16 pixels are stretched to 16x16"]
    assert Pairs(config(tmp_path, size=(16, 64)), "train").stretched() == [
        "aerial images: 16x16 pixels are stretched to 64x16"
    ]


def test_a_damaged_first_file_does_not_stop_a_set(tmp_path):
    for number in range(3):
        write_panels(tmp_path / f"train/{number}.png", seed=number)
    (tmp_path / "train/0.png").write_bytes(b"no picture")
    assert len(Pairs(config(tmp_path), "train")) == 3
    for number in range(3):
        (tmp_path / f"train/{number}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of 3 pairs can be read"):
        Pairs(config(tmp_path), "train")


def test_the_map_of_an_image(tmp_path):
    for name in ("x/1.PNG", "y/1.png", "y/2.jpg"):
        save(tmp_path / "m" / name, photograph(RNG))
    assert _map_of(tmp_path / "a/x/1.png", tmp_path / "m") == tmp_path / "m/x/1.PNG"
    assert _map_of(tmp_path / "a/z/2.png", tmp_path / "m") == tmp_path / "m/y/2.jpg"
    with pytest.raises(ValueError, match="could be its map"):
        _map_of(tmp_path / "a/z/1.png", tmp_path / "m")
    with pytest.raises(ValueError, match="no map of its name"):
        _map_of(tmp_path / "a/z/3.png", tmp_path / "m")


@pytest.mark.parametrize("bits", [7, 17])
def test_bits_that_no_picture_has(tmp_path, bits):
    with pytest.raises(InputError, match=f"data.bits is {bits}; choose 8 to 16"):
        Pairs(DataConfig(root=str(tmp_path), bits=bits), "train")


def test_a_map_of_another_shape_than_its_photograph_is_bad(tmp_path):
    given = write_folders(tmp_path)
    for name in names_of(given):
        path = tmp_path / "ground_map" / f"{name}.png"
        save(path, ids().repeat(2, 0).repeat(2, 1))  # twice as fine: of the same place
    assert len(Pairs(given, "train")) == 2
    save(tmp_path / "ground_map/1.png", ids().repeat(4, 1))
    pairs = [Pairs(given, side) for side in ("train", "val")]
    with pytest.raises(BadSample, match=rf"1\.png: .* {4 * SIDE}x{SIDE} pixels beside a photo"):
        [side[i] for side in pairs for i in range(len(side))]
