"""Labelled images from folders, Hub sets and packed files; the evaluation transforms."""

import io
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from core import InputError
from core.data.fractals import FractalsConfig
from core.data.images.files import decode, to_rgb
from core.data.images.folders import find_images
from core.data.images.labelled import TrainImagesConfig
from core.data.loading import BadSample, EvalLoader
from core.data.sources import held_apart, open_images, open_unlabelled
from core.data.transforms import centre_crop, eval_transform, resized_size

HALF = ((0.5,) * 3, (0.5,) * 3)
IDENTITY = ((0.0,) * 3, (1.0,) * 3)


def picture(colour=(200, 30, 90), size=(16, 16)):
    return Image.new("RGB", size, colour)


def noise(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_tree(root, tree):
    for name in tree:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture().save(root / name)
    return root


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_packed(path, images, labels, names):
    parts = [encoded(image) for image in images]
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    blob = np.frombuffer(b"".join(parts), np.uint8)
    np.savez(path, blob=blob, offsets=offsets, labels=np.array(labels), names=np.array(names))
    return path


def test_folders_with_splits_are_those_of_image_folder(tmp_path):
    from torchvision.datasets import ImageFolder

    names = ["val/b/2.png", "val/b/deep/er/1.jpg", "val/B/x.JPEG", "val/a/z.webp", "train/q/1.png"]
    write_tree(tmp_path, names)
    (tmp_path / "val/a/notes.txt").write_text("no image")
    ours, theirs = open_images(str(tmp_path), "val"), ImageFolder(tmp_path / "val")
    assert ours.classes == theirs.classes == ["B", "a", "b"]
    assert ours.labels == theirs.targets
    assert ours.names == [path.rsplit("/", 1)[1] for path, _ in theirs.samples]
    assert len(ours) == 4
    assert open_images(str(tmp_path), "train").classes == ["q"]


def test_folders_without_splits(tmp_path):
    write_tree(tmp_path, ["cat/1.png", "dog/1.png", ".cache/1.png"])
    dataset = open_images(str(tmp_path), "val")
    assert dataset.classes == ["cat", "dog"]
    assert dataset.source == open_images(str(tmp_path), "train").source == str(tmp_path)


def paths_of(images):
    return [images.read(i) for i in range(len(images))]


def test_of_a_root_without_splits_some_are_held_apart(tmp_path, capsys):
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(10)] + ["eel/only.png"]
    root = str(write_tree(tmp_path, names))
    every = open_images(root, "val")
    train, val = held_apart(open_images(root, "train"), every, 0.3)
    assert sorted(paths_of(train) + paths_of(val)) == sorted(paths_of(every)), "each on one side"
    assert [val.labels.count(label) for label in range(3)] == [3, 3, 0], "one image trains"
    assert train.classes == val.classes == every.classes
    said = "has no splits: 6 of its 21 images, a share of 0.3 of each class"
    assert said in capsys.readouterr().err
    assert pickle.loads(pickle.dumps(val))[0]["label"] == val.labels[0]
    again = held_apart(open_images(root, "train"), open_images(root, "val"), 0.3)[1]
    assert paths_of(again) == paths_of(val)
    loose = open_unlabelled(TrainImagesConfig(root), FractalsConfig())  # of a teacher's student
    unlabelled, same = held_apart(loose, open_images(root, "val"), 0.3)
    assert paths_of(same) == paths_of(val)
    assert sorted(paths_of(unlabelled)) == sorted(paths_of(train))


def test_what_has_splits_stays_as_it_is(tmp_path, capsys):
    write_tree(tmp_path, ["train/a/1.png", "train/a/2.png", "val/a/3.png"])
    two = open_images(str(tmp_path), "train"), open_images(str(tmp_path), "val")
    assert held_apart(*two, 0.5) == two
    assert not capsys.readouterr().err
    write_tree(tmp_path / "flat", ["a/1.png", "b/1.png"])
    with pytest.raises(InputError, match="flat: no class has two images"):
        held_apart(*(open_images(str(tmp_path / "flat"), s) for s in ("train", "val")), 0.5)


def test_a_missing_split_is_not_taken_for_classes(tmp_path):
    write_tree(tmp_path, ["train/a/1.png", "test/a/1.png"])
    with pytest.raises(InputError, match=r"no split 'val', but test, train"):
        open_images(str(tmp_path), "val")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (["val/ILSVRC2012_val_00000001.JPEG"], "flat validation folder.*synset"),
        (["val/1.png"], "holds no class folders"),
    ],
)
def test_flat_folders(tmp_path, tree, words):
    write_tree(tmp_path, tree)
    with pytest.raises(InputError, match=words):
        open_images(str(tmp_path), "val")


def test_empty_class_folders_are_named(tmp_path):
    write_tree(tmp_path, ["val/a/1.png", "val/c/1.png"])
    (tmp_path / "val/b").mkdir()
    with pytest.raises(InputError, match=r"1 of 3 class folders hold no image.*: b\."):
        open_images(str(tmp_path), "val")


@pytest.mark.parametrize("root", ["", "/nowhere/at/all"])
def test_no_root(root):
    with pytest.raises(InputError, match=r"no val images given|is no folder"):
        open_images(root, "val")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("RGBA", (2, 2), (1, 2, 3, 0)), (1, 2, 3)),
        (Image.new("LA", (2, 2), (9, 128)), (9, 9, 9)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("CMYK", (2, 2), (255, 0, 0, 0)), (0, 255, 255)),
        (Image.fromarray(np.full((2, 2), 257 * 100, np.uint16)), (100, 100, 100)),
        (Image.fromarray(np.full((2, 2), 65535, np.int32)), (255, 255, 255)),
        (picture((10, 200, 30), (2, 2)).convert("P", palette=Image.Palette.ADAPTIVE), None),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_every_mode_becomes_rgb(image, expected):
    rgb = to_rgb(image)
    assert rgb.mode == "RGB"
    assert rgb.getpixel((0, 0)) == (expected or (10, 200, 30))


def test_16_bit_png_is_scaled_not_clipped(tmp_path):
    ramp = np.arange(256, dtype=np.uint16)[None] * 257
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    levels = np.asarray(decode(str(tmp_path / "grey.png")))[0, :, 0]
    np.testing.assert_array_equal(levels, np.arange(256))


def test_exif_orientation_is_applied_where_it_is_asked_for():
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255  # the left half is white, as it lies in the file
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the left becomes the top
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=100, exif=exif)
    assert decode(buffer.getvalue()).size == (16, 8)
    upright = np.asarray(decode(buffer.getvalue(), upright=True))
    assert upright.shape == (16, 8, 3)
    assert upright[:7].min() > 240
    assert upright[9:].max() < 15


def test_unreadable_files_are_bad_samples(tmp_path):
    write_tree(tmp_path, ["val/a/1.png", "val/a/2.png", "val/a/3.png"])
    whole = encoded(noise(16, 16))
    (tmp_path / "val/a/1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "val/a/3.png").write_bytes(b"")
    dataset = open_images(str(tmp_path), "val", eval_transform("direct", (8, 8), HALF))
    for index, name in ((0, "1.png"), (2, "3.png")):
        with pytest.raises(BadSample, match=name):
            dataset[index]
    (batch,) = EvalLoader(dataset, 3, skip_bad=2)
    assert batch["mask"].tolist() == [False, True, False]
    with pytest.raises(InputError, match=r"val/a/\d\.png: cannot.*2 bad sample"):
        list(EvalLoader(dataset, 3, skip_bad=0))


def test_items(tmp_path):
    write_tree(tmp_path, ["a/1.png", "b/1.png"])
    item = open_images(str(tmp_path), "val")[1]
    assert (item["label"], item["image"].getpixel((3, 3))) == (1, (200, 30, 90))
    dataset = open_images(str(tmp_path), "val", eval_transform("direct", (8, 12), IDENTITY))
    image = dataset[0]["image"]
    assert (image.shape, image.dtype) == ((3, 8, 12), torch.float32)
    torch.testing.assert_close(image[:, 0, 0] * 255, torch.tensor([200.0, 30.0, 90.0]))


def test_packed_files(tmp_path):
    images = [noise(8 + i, 9, i) for i in range(3)]
    path = write_packed(tmp_path / "test.npz", images, [1, 0, 1], ["cat", "dog"])
    for dataset in (open_images(str(path), "val"), open_images(str(tmp_path), "test")):
        assert (dataset.classes, dataset.labels) == (["cat", "dog"], [1, 0, 1])
        assert dataset.names == ["0", "1", "2"]
        for i, image in enumerate(images):
            np.testing.assert_array_equal(dataset[i]["image"], image)
    with pytest.raises(InputError, match="no split 'val', but test"):
        open_images(str(tmp_path), "val")


def test_broken_packed_files(tmp_path):
    np.savez(tmp_path / "a.npz", blob=np.zeros(3, np.uint8))
    with pytest.raises(InputError, match=r"a\.npz is no packed image file.*offsets"):
        open_images(str(tmp_path / "a.npz"), "")
    path = write_packed(tmp_path / "b.npz", [noise(8, 8)], [3], ["cat", "dog"])
    with pytest.raises(InputError, match="labels from 3 to 3 for 2 classes"):
        open_images(str(path), "")
    arrays = dict(np.load(path))
    np.savez(tmp_path / "c.npz", **{**arrays, "offsets": arrays["offsets"] + 9})
    with pytest.raises(InputError, match="do not fit 1 labels"):
        open_images(str(tmp_path / "c.npz"), "")


def hub_set(**columns):
    import datasets

    kinds = {"label": datasets.ClassLabel(names=["cat", "dog"]), "image": datasets.Image()}
    kinds = {name: kinds.get(name.split("_")[0], datasets.Value("int64")) for name in columns}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


def test_hub_sets(tmp_path):
    write_tree(tmp_path, ["ILSVRC2012_val_00000007.JPEG"])
    paths = [str(tmp_path / "ILSVRC2012_val_00000007.JPEG"), noise(8, 9)]
    saved = hub_set(image_column=paths, number=[5, 6], label_column=[1, 0])
    saved.save_to_disk(tmp_path / "set")
    dataset = open_images(f"hub:{tmp_path}/set", "", eval_transform("direct", (8, 8), HALF))
    assert (dataset.classes, dataset.labels) == (["cat", "dog"], [1, 0])
    assert dataset.names == ["ILSVRC2012_val_00000007.JPEG", "1"]
    (batch,) = DataLoader(pickle.loads(pickle.dumps(dataset)), batch_size=2)
    assert batch["image"].shape == (2, 3, 8, 8)
    dataset.transform = None
    np.testing.assert_array_equal(dataset[1]["image"], noise(8, 9))


def test_hub_splits_and_parquet(tmp_path):
    import datasets

    rows = {"image": [noise(8, 8)], "label": [1]}
    datasets.DatasetDict({"test": hub_set(**rows)}).save_to_disk(tmp_path / "dict")
    assert open_images(f"hub:{tmp_path}/dict", "test").labels == [1]
    with pytest.raises(InputError, match="no split 'val', but test"):
        open_images(f"hub:{tmp_path}/dict", "val")
    (tmp_path / "files").mkdir()
    hub_set(**rows).to_parquet(tmp_path / "files/test.parquet")
    dataset = open_images(f"hub:{tmp_path}/files", "test")
    np.testing.assert_array_equal(dataset[0]["image"], noise(8, 8))
    with pytest.raises(InputError, match=r"\(val\) cannot be loaded.*val"):
        open_images(f"hub:{tmp_path}/files", "val")


def test_hub_columns_are_found_by_type_or_chosen(tmp_path):
    rows = {"image": [noise(8, 8)], "label_fine": [1], "label_coarse": [0]}
    hub_set(**rows).save_to_disk(tmp_path / "two")
    root = f"hub:{tmp_path}/two"
    with pytest.raises(InputError, match=r"several label columns: label_fine, label_coarse.*#"):
        open_images(root, "")
    assert open_images(f"{root}#label_fine", "").labels == [1]
    assert open_images(f"{root}#label_coarse,image", "").labels == [0]
    with pytest.raises(InputError, match="no column 'lable', but image"):
        open_images(f"{root}#lable", "")
    hub_set(image=[noise(8, 8)], number=[3]).save_to_disk(tmp_path / "none")
    with pytest.raises(InputError, match="no label column; its columns: image, number: choose one"):
        open_images(f"hub:{tmp_path}/none", "")


@pytest.mark.parametrize("kind", ["struct", "bytes", "image"])
def test_hub_sets_of_words_and_numbers_as_most_copies_have_them(tmp_path, kind):
    """Labels that are no ClassLabel, images that are no Image."""
    import datasets

    content = {"bytes": encoded(noise(8, 9)), "path": "a.png"}
    struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    feature = {"struct": struct, "bytes": datasets.Value("binary"), "image": datasets.Image()}[kind]
    stored = content["bytes"] if kind == "bytes" else content
    rows = {"image": [stored] * 3, "style": ["Rococo", "Baroque", "Rococo"], "genre": [7, 10, 7]}
    rows["year"] = [1.5] * 3
    kinds = {"image": feature, "style": datasets.Value("string"), "genre": datasets.Value("int64")}
    kinds["year"] = datasets.Value("float32")
    (tmp_path / "set").mkdir()
    saved = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    saved.to_parquet(tmp_path / "set/train.parquet")
    images = open_images(f"hub:{tmp_path}/set", "train")  # style: by its name
    assert (images.classes, images.labels) == (["Baroque", "Rococo"], [1, 0, 1])
    np.testing.assert_array_equal(images[0]["image"], noise(8, 9))
    images = open_images(f"hub:{tmp_path}/set#genre", "train")
    assert (images.classes, images.labels) == (["7", "10"], [0, 1, 0])
    with pytest.raises(InputError, match="#year: year is a column neither of images nor of labels"):
        open_images(f"hub:{tmp_path}/set#year", "train")


def test_hub_sets_without_labels(tmp_path):
    hub_set(image=[noise(8, 8)], label=[-1]).save_to_disk(tmp_path / "hidden")
    with pytest.raises(InputError, match="labels from -1"):
        open_images(f"hub:{tmp_path}/hidden", "")


def test_unreadable_rows_of_hub_sets(tmp_path):
    rows = {"image": [{"bytes": b"broken", "path": None}], "label": [0]}
    hub_set(**rows).save_to_disk(tmp_path / "set")
    with pytest.raises(BadSample, match=r"set.*\[0\].*cannot be read"):
        open_images(f"hub:{tmp_path}/set", "")[0]


@pytest.mark.parametrize(
    ("protocol", "size", "target", "expected"),
    [
        ("squash", (300, 500), (224, 224), (256, 256)),
        ("squash", (300, 500), (448, 448), (512, 512)),
        ("short-side", (300, 500), (224, 224), (256, 427)),
        ("short-side", (500, 300), (224, 224), (427, 256)),
        ("short-side", (300, 300), (224, 112), (256, 256)),
        ("short-side", (100, 300), (224, 448), (256, 768)),
        ("direct", (300, 500), (128, 96), (128, 96)),
    ],
)
def test_sizes_before_the_crop(protocol, size, target, expected):
    assert resized_size(protocol, size, target) == expected


@pytest.mark.parametrize("protocol", ["squash", "short-side", "direct"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(40, 61), (9, 200), (300, 20)])
def test_any_image_gives_the_size_of_the_network(protocol, antialias, size):
    image = eval_transform(protocol, (32, 48), HALF, antialias)(noise(*size))
    assert image.shape == (3, 32, 48)
    assert -1 <= image.min() < image.max() <= 1


@pytest.mark.parametrize("size", [(300, 256), (256, 300), (333, 500)])
def test_short_side_is_what_torchvision_does(size):
    from torchvision import transforms as tv

    steps = [tv.Resize(256), tv.CenterCrop(224), tv.ToTensor(), tv.Normalize(*HALF)]
    image = noise(*size)
    ours = eval_transform("short-side", (224, 224), HALF)(image)
    theirs = tv.Compose(steps)(image)
    if size == (333, 500):  # torchvision makes it 384 wide, and so do we
        assert resized_size("short-side", size, (224, 224)) == (256, 384)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_without_antialias_four_pixels_are_blended():
    """Shrinking by 4 with half-pixel centres takes the mean of the middle 2x2 of each 4x4."""
    image = noise(32, 32)
    ours = eval_transform("direct", (8, 8), IDENTITY, antialias=False)(image) * 255
    blocks = np.asarray(image, np.float32).reshape(8, 4, 8, 4, 3)[:, 1:3, :, 1:3].mean((1, 3))
    torch.testing.assert_close(ours, torch.from_numpy(blocks).permute(2, 0, 1), atol=1e-3, rtol=0)
    smooth = eval_transform("direct", (8, 8), IDENTITY)(image) * 255
    assert smooth.std() < 0.7 * ours.std()


def test_crop_of_an_odd_rest():
    pixels = torch.arange(7.0).expand(1, 7, 7)
    assert centre_crop(pixels, (4, 4))[0, 0].tolist() == [1, 2, 3, 4]


def test_timm_protocol_is_timms():
    import timm
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(timm.create_model("test_vit"))
    ours = eval_transform(
        "timm:test_vit", config["input_size"][1:], (config["mean"], config["std"])
    )
    image = noise(180, 230)
    torch.testing.assert_close(ours(image), create_transform(**config)(image))
    with pytest.raises(InputError, match="timm has no such model"):
        eval_transform("timm:nothing", (8, 8), HALF)


def test_unknown_protocol():
    with pytest.raises(InputError, match=r"'shortside'. Did you mean short-side\?"):
        eval_transform("shortside", (8, 8), HALF)


def test_what_a_folder_of_inputs_holds_besides_is_counted_by_its_kind(tmp_path, capsys):
    """A phone's folder, copied by macOS: HEIC and JPEG XL are not read, and that is said."""
    (tmp_path / "in" / ".trash").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "._b.jpg", "c.HEIC", "d.HEIC", "e.jxl", "in/f.jfif"):
        (tmp_path / name).touch()
    (tmp_path / "in/.trash/g.jpg").touch()
    names = [path.name for path in find_images([str(tmp_path)])]
    assert names == ["a.PNG", "b.jpg", "f.jfif"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "4 files are no images and passed over: 2 .HEIC, 1 hidden, 1 .jxl" in line


def test_inputs_that_are_all_read_are_not_spoken_of(tmp_path, capsys):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "notes.heic").touch()
    assert find_images([str(tmp_path / "a.jpg")]) == [tmp_path / "a.jpg"]
    assert find_images([]) == []
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(InputError, match="no image in"):
        find_images([str(tmp_path)])
    assert "1 .heic" in capsys.readouterr().err


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").touch()
    scandir = os.scandir

    def guarded(path):  # a superuser may list every folder
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(InputError, match="closed: Permission denied: allow"):
        find_images([str(tmp_path)])
