"""How large a picture may be: told from headers, before anything is decoded."""

import io
import re

import pytest
from PIL import Image, ImageFile, features

from core.config import load_config, save_config
from core.data.fractals import FractalsConfig
from core.data.images.files import FORMATS, SUFFIXES, PixelLimit, decode, open_within
from core.data.images.folders import find_images
from core.data.images.labelled import ImagesConfig
from core.data.loading import BadSample
from core.data.samples import as_decoded
from core.data.sources import open_images, open_training, open_unlabelled, open_validation
from core.evaluation import fewshot
from core.evaluation.classification import Config as ClassificationConfig
from core.models.backbone import create_backbone
from core.pretraining.config import PretrainConfig
from core.pretraining.unlabelled.config import UnlabelledConfig
from tests.huge import SIDE, huge

SIZE = f"{SIDE} x {SIDE} pixels are more than"


@pytest.fixture
def undecoded(monkeypatch):
    """Nothing may be decoded."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))


def encoded(kind, size):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(buffer, kind)
    return buffer.getvalue()


def write_classes(root, content, name):
    for split in ("train", "val"):
        for label in "ab":
            (root / split / label).mkdir(parents=True)
            (root / split / label / name).write_bytes(content)
    return str(root)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (PixelLimit(50_000_000, "--data.max-pixels"), "50,000,000: raise --data.max-pixels"),
        (PixelLimit(1_000), "1,000: make it smaller"),
        (PixelLimit(0, "--data.max-pixels"), "178,956,970, Pillow's own limit: set --data.max-"),
        (PixelLimit(), "178,956,970: make it smaller"),
    ],
)
def test_a_header_is_enough_to_refuse(tmp_path, kind, shrink, limit, said):
    (tmp_path / "file").write_bytes(huge(kind))
    for data in (huge(kind), str(tmp_path / "file")):
        with pytest.raises(ValueError, match=rf"^{SIZE} {said}"):
            decode(data, limit, shrink=shrink)


@pytest.mark.parametrize("kind", sorted({*FORMATS} - {"DIB", "TIFF", "WEBP"}))
def test_pillows_limit_does_not_stand_above_ours(kind, monkeypatch):
    content = encoded(kind, (40, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # it refuses twice as many
    assert decode(content, PixelLimit(1200)).size == (40, 30)
    with pytest.raises(ValueError, match="40 x 30 pixels are more than 1,199: make it smaller"):
        open_within(content, PixelLimit(1199))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_setting_lets_pictures_through_and_is_named(tmp_path, kind):
    """Each section of the settings under its own name; a JPEG is read smaller where it can be."""
    root = write_classes(tmp_path, encoded(kind, (40, 30)), f"x.{kind.lower()}")
    opened = {
        "train": lambda config: open_training(config, FractalsConfig()),
        "val": lambda config: open_validation(config, FractalsConfig(), 1),
        "data": lambda c: open_images(c.root, c.split, None, c.limit("data")),
    }
    opened["train"], loose = opened["train"], lambda c: open_unlabelled(c, FractalsConfig())
    for section, open_ in [*opened.items(), ("train", loose)]:
        split = "val" if section == "data" else section
        with pytest.raises(BadSample, match=rf"40 x 30 .* than 10: raise --{section}.max-pixels"):
            open_(ImagesConfig(root, split, max_pixels=10))[0]
        for most in (0, 1200):
            assert open_(ImagesConfig(root, split, max_pixels=most))[0]["image"].size == (40, 30)


def test_a_probe_names_the_settings_of_whoever_runs_it(tmp_path):
    root = write_classes(tmp_path, encoded("PNG", (40, 30)), "x.png")
    train, test = (ImagesConfig(root, split, max_pixels=10) for split in ("train", "val"))
    config, backbone = fewshot.Config(train=train, test=test), create_backbone("mixer_c8_l1_p8", 16)
    for sections in (("train", "test"), ("val", "val")):
        opened = fewshot._open_splits(config, backbone, sections)
        for images, section in zip(opened, sections, strict=True):
            with pytest.raises(BadSample, match=f"more than 10: raise --{section}.max-pixels"):
                images[0]


def test_views_of_images_keep_their_limit(tmp_path):
    root = write_classes(tmp_path, encoded("PNG", (40, 30)), "x.png")
    images = as_decoded(open_images(root, "val"), PixelLimit(1199, "--max-pixels"))
    for view in (images, images.at([1]), images.relabelled(["b", "a"])):
        with pytest.raises(BadSample, match="1,199: raise --max-pixels"):
            view[0]


def test_a_larger_jpeg_is_read_smaller(tmp_path):
    root = write_classes(tmp_path, encoded("JPEG", (40, 30)), "x.jpg")
    images = open_images(root, "val", limit=PixelLimit(1199))
    assert images[0]["image"].size == (20, 15)
    with pytest.raises(ValueError, match="make it smaller"):
        decode(images.read(0), PixelLimit(1199), shrink=False)


@pytest.mark.parametrize("config_class", [PretrainConfig, UnlabelledConfig, ClassificationConfig])
def test_runs_of_before_open(tmp_path, config_class):
    save_config(config_class(), tmp_path / "config.yaml")
    words = (tmp_path / "config.yaml").read_text()
    assert "max_pixels: 0" in words
    (tmp_path / "config.yaml").write_text(re.sub(r"\n +max_pixels: 0", "", words))
    assert load_config(config_class, tmp_path / "config.yaml") == config_class()


def test_avif_is_an_image_where_pillow_reads_it(tmp_path):
    if not features.check("avif"):
        assert ".avif" not in SUFFIXES
        pytest.skip("this Pillow has no AVIF")
    (tmp_path / "a.avif").write_bytes(encoded("AVIF", (40, 30)))
    (path,) = find_images([str(tmp_path)])
    image = decode(str(path))
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert image.getpixel((20, 15)) == pytest.approx((200, 100, 50), abs=6)
    with pytest.raises(ValueError, match="40 x 30 pixels are more than 1,199"):
        decode(str(path), PixelLimit(1199))
