"""From files to pixels: modes, large scans, damage."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core import InputError
from core.data.images.files import PixelLimit, decode
from core.data.loading import BadSample, EvalLoader
from core.data.transforms import eval_transform
from tests.apps.style.helpers import opened, painting


def write_one_each(root, contents):
    """One painting each, with its own class."""
    for name, content in contents.items():
        (root / name).write_bytes(content)
    rows = [f"{name},{name.partition('.')[0]},train" for name in contents]
    (root / "list.csv").write_text("\n".join(["path,class,split", *rows]))
    return f"{root}/list.csv"


def test_paintings_of_every_kind_open(tmp_path):
    grey16 = io.BytesIO()
    Image.fromarray(np.full((4, 4), 257 * 40, np.uint16)).save(grey16, "PNG")
    contents = {"grey.jpg": painting(1, mode="L"), "cmyk.jpg": painting(1, mode="CMYK")}
    contents |= {"palette.png": painting(1, "PNG", "P"), "deep.png": grey16.getvalue()}
    images = opened(csv=write_one_each(tmp_path, contents))
    found = {images.classes[item["label"]]: item["image"] for item in images}
    assert {image.mode for image in found.values()} == {"RGB"}
    assert found["deep"].getpixel((0, 0)) == (40, 40, 40)
    assert found["cmyk"].size == (24, 16)


def test_large_scans_shrink_or_are_named(tmp_path):
    contents = {"scan.jpg": painting(1, size=(400, 300)), "bomb.png": painting(1, "PNG")}
    images = opened(csv=write_one_each(tmp_path, contents), max_pixels=100 * 80)
    bomb, scan = images.classes.index("bomb"), images.classes.index("scan")
    assert images[images.labels.index(scan)]["image"].size == (100, 75)
    assert images[images.labels.index(bomb)]["image"].size == (24, 16)
    images.limit = replace(images.limit, most=300)
    for label, words in ((bomb, "24 x 16 pixels"), (scan, "400 x 300 pixels")):
        with pytest.raises(BadSample, match=f"{words} are more than 300: raise --data.max-pixels"):
            images[images.labels.index(label)]


def test_draft_mode_takes_the_largest_size_that_fits():
    data = painting(1, size=(101, 37))
    sizes = [(101, 37), (51, 19), (26, 10), (13, 5)]
    for i, (width, height) in enumerate(sizes):
        assert decode(data, PixelLimit(width * height)).size == (width, height)
        if i + 1 < len(sizes):
            assert decode(data, PixelLimit(width * height - 1)).size == sizes[i + 1]
    assert decode(data).size == (101, 37)


def test_draft_mode_keeps_the_picture():
    buffer = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(buffer, "JPEG", quality=95)
    whole, half = decode(buffer.getvalue()), decode(buffer.getvalue(), PixelLimit(128 * 128))
    reduced = np.asarray(whole.resize((128, 128), Image.Resampling.BOX), float)
    assert np.abs(np.asarray(half, float) - reduced).mean() < 1  # of 255


def test_pillows_own_limit(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # it refuses twice that, and warns from it
    data = painting(1, size=(40, 30))
    assert decode(data, PixelLimit(300)).size == (20, 15)
    assert decode(painting(1, size=(30, 20)), PixelLimit(600)).size == (30, 20)
    for kind in ("PNG", "JPEG"):
        large = painting(1, kind, size=(40, 30))
        assert decode(large, PixelLimit(1200), shrink=False).size == (40, 30)  # ours is the limit
        with pytest.raises(ValueError, match=r"^40 x 30 pixels are more than 800, Pillow's own"):
            decode(large, PixelLimit(0, "--x"))
    assert not recwarn.list


def test_truncated_paintings_are_counted_and_replaced(tmp_path):
    whole = painting(1, size=(64, 64))
    file = write_one_each(tmp_path, {"a.jpg": whole[: len(whole) // 2], "b.jpg": whole})
    images = opened(csv=file)
    with pytest.raises(BadSample, match=r"a\.jpg: cannot be read"):
        images[0]
    images.transform = eval_transform("direct", (8, 8), ((0.5,) * 3, (0.5,) * 3))
    with pytest.raises(InputError, match=r"a\.jpg.*1 bad sample\(s\), 0 allowed"):
        list(EvalLoader(images, 2))
    (batch,) = EvalLoader(images, 2, skip_bad=1)
    assert batch["mask"].tolist() == [False, True]
