"""Lists, splits and sources of paintings, square-root sampling, and what can be wrong with them."""

import io
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apps.style.data.dataset import DataConfig, class_counts, open_paintings
from apps.style.data.files import CORRUPT
from apps.style.data.lists import artist_of, read_lists
from apps.style.data.protocols import SMALL, STYLES, protocol
from apps.style.data.sampling import SquareRoot
from apps.style.data.splits import artist_split, long_tailed, stratified_split
from apps.style.data.stream_split import divided
from core import InputError
from core.data.images.files import decode
from core.data.images.labelled import LabelledImages
from core.data.loading import BadSample, EvalLoader, TrainLoader
from core.data.streams.labelled import LabelledStream
from core.data.streams.loading import StreamLoader
from core.data.transforms import eval_transform
from tests.core.data.stream_toy import Number, write_parquet

TRAIN = [1948, 69, 77, 3034, 2969, 1131, 337, 1565, 974, 4716, 654, 941, 9142, 896, 936, 1684, 220,
         1787, 360, 1039, 4516, 7514, 1463, 4914, 3170, 152, 817]  # fmt: skip
VAL = [834, 29, 33, 1300, 1272, 484, 144, 670, 417, 2020, 280, 402, 3918, 383, 401, 721, 94, 765,
       153, 444, 1935, 3219, 626, 2105, 1358, 64, 350]  # fmt: skip


@pytest.fixture(scope="module")
def real_lists():
    folder = Path(os.environ.get("MIXER_TEST_DATA", "")) / "wikiart_lists" / "Style"
    if not os.environ.get("MIXER_TEST_DATA") or not folder.is_dir():
        pytest.skip("MIXER_TEST_DATA names no folder with ArtGAN's lists in wikiart_lists/Style")
    return read_lists(folder)


def test_the_real_lists_have_the_known_counts(real_lists):
    assert real_lists.classes == list(STYLES)
    for side, counts in (("train", TRAIN), ("val", VAL)):
        on_side = np.array(real_lists.sides) == side
        assert np.bincount(np.array(real_lists.labels)[on_side]).tolist() == counts
    assert set(CORRUPT) < set(real_lists.paths)
    assert round(100 * max(VAL) / sum(VAL), 2) == 16.04
    sizes = dict(zip(STYLES, np.add(TRAIN, VAL), strict=True))
    assert {name for name, size in sizes.items() if size < 520} == set(SMALL)


def test_the_real_artists_are_on_both_sides_until_they_are_divided(real_lists):
    artists = np.array([artist_of(path) for path in real_lists.paths])
    sides = np.array(real_lists.sides)
    train, val = set(artists[sides == "train"]), set(artists[sides == "val"])
    assert (len(val), len(val & train)) == (1076, 1064)
    drawn, one_sided = artist_split(artists, real_lists.labels, 0.3, 0)
    assert not set(artists[drawn]) & set(artists[~drawn])
    assert one_sided == []
    assert abs(drawn.mean() - 0.3) < 0.01
    shares = [drawn[np.equal(real_lists.labels, c)].mean() for c in range(27)]
    assert min(shares) > 0.15  # where few artists painted most of a class it cannot be 0.3
    assert max(shares) < 0.6
    assert sorted(shares)[4:-4] == pytest.approx([0.3] * 19, abs=0.02)


def test_artist_splits_of_a_small_list():
    artists = ["a", "a", "b", "c", "d", "d", "e", "f", "g", "g", "h"] * 2
    labels = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3] * 2  # class 3 has the one artist h
    for seed in range(5):
        val, one_sided = artist_split(artists, labels, 0.3, seed)
        again, _ = artist_split(artists, labels, 0.3, seed)
        assert (val == again).all()
        sides = {artist: set(val[np.array(artists) == artist]) for artist in artists}
        assert all(len(side) == 1 for side in sides.values())
        assert sides["h"] == {False}  # what cannot be divided trains
        assert one_sided == [3]
        assert all(len(set(val[np.array(labels) == c])) == 2 for c in (0, 1, 2))


def test_artist_splits_are_as_good_as_the_best_of_all():
    rng = np.random.default_rng(3)
    artists, labels = rng.integers(0, 10, 150), rng.integers(0, 4, 150)
    labels = np.where(artists == 9, 4, labels)

    def badness(val):
        shares = [val[labels == c].mean() for c in range(4)]
        return sum((share - 0.3) ** 2 for share in shares)

    ways = [np.array([(way >> a) & 1 for a in range(10)], bool)[artists] for way in range(1024)]
    best = min(badness(val) for val in ways)
    found = [badness(artist_split(artists, labels, 0.3, seed)[0]) for seed in range(5)]
    assert min(found) < best + 0.02
    assert max(found) < np.median([badness(val) for val in ways])


def test_stratified_splits_have_their_share_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    val = stratified_split(labels, 0.3, 5)
    assert [int(val[labels == c].sum()) for c in range(4)] == [30, 3, 1, 0]
    assert (val == stratified_split(labels, 0.3, 5)).all()
    assert (val != stratified_split(labels, 0.3, 6)).any()
    with pytest.raises(InputError, match="val_share is 1"):
        stratified_split(labels, 1, 0)


def test_a_long_tail_falls_by_the_same_factor_from_class_to_class():
    labels = np.repeat([0, 1, 2, 4], [80, 80, 80, 3])
    kept = long_tailed(labels, 27.0, 5)
    assert np.bincount(labels[kept]).tolist() == [80, 27, 9, 0, 3]
    assert (np.diff(kept) > 0).all()
    assert (kept == long_tailed(labels, 27.0, 5)).all()
    assert (kept != long_tailed(labels, 27.0, 6)).any()
    assert np.bincount(long_tailed([0] * 5 + [1] * 5, 100.0, 0) // 5).tolist() == [5, 1]


# sources


def painting(number, kind="JPEG", mode="RGB", size=(24, 16)):
    rng = np.random.default_rng(number)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).convert(mode).save(
        buffer, kind
    )
    return buffer.getvalue()


def write_artgan(root, classes=("Art_Nouveau", "Baroque"), train=6, val=3):
    """An ArtGAN copy: folder Art_Nouveau_Modern holds class Art_Nouveau."""
    (root / "Style").mkdir(parents=True)
    text = "".join(f"{i} {name}\n" for i, name in enumerate(classes))
    (root / "Style/style_class.txt").write_text(text)
    for side, count in (("train", train), ("val", val)):
        rows = []
        for label, name in enumerate(classes):
            folder = root / {"Art_Nouveau": "Art_Nouveau_Modern"}.get(name, name)
            folder.mkdir(exist_ok=True)
            for n in range(count):
                file = folder / f"artist-{n % 3}_{side}-{n}.jpg"
                file.write_bytes(painting(100 * label + n))
                rows.append(f"{folder.name}/{file.name},{label}\n")
        (root / f"Style/style_{side}.csv").write_text("".join(rows))
    return root


def opened(side="train", tell=print, **fields):
    return open_paintings(DataConfig(**fields), side, tell=tell)


def test_only_training_paintings_are_thinned(tmp_path):
    write_artgan(tmp_path)
    fields = {"root": str(tmp_path), "long_tail": 3.0}
    assert class_counts(opened("train", **fields)).tolist() == [6, 2]
    assert class_counts(opened("val", **fields)).tolist() == [3, 3]
    with pytest.raises(InputError, match="long_tail is 1 or more"):
        opened("train", root=str(tmp_path), long_tail=0.5)
    with pytest.raises(InputError, match="no stream"):
        opened("train", stream=True, **fields)


def paths(images):
    return [images.read(i) for i in range(len(images))]


def test_an_artgan_copy_takes_its_classes_from_the_lists(tmp_path):
    root = str(write_artgan(tmp_path))
    train, val = opened(root=root), opened("val", root=root)
    assert train.classes == val.classes == ["Art_Nouveau", "Baroque"]
    assert class_counts(train).tolist() == [6, 6]
    assert class_counts(val).tolist() == [3, 3]
    assert {os.path.basename(os.path.dirname(p)) for p in paths(val)[:3]} == {"Art_Nouveau_Modern"}
    assert train[0]["image"].size == (24, 16)
    assert train[7]["label"] == 1
    (tmp_path / "Style").rename(tmp_path / "lists")
    (tmp_path / "all").mkdir()
    for folder in ("Art_Nouveau_Modern", "Baroque"):
        (tmp_path / folder).rename(tmp_path / "all" / folder)
    apart = opened(root=f"{tmp_path}/all", lists=f"{tmp_path}/lists")
    assert apart.names == train.names


def test_splits_of_one_copy_do_not_overlap(tmp_path):
    root = str(write_artgan(tmp_path))
    for split in ("stratified", "artist"):
        sides = [opened(side, root=root, split=split, val_share=0.4) for side in ("train", "val")]
        train, val = (set(paths(images)) for images in sides)
        assert len(train) + len(val) == 18
        assert not train & val
    assert not {artist_of(p) for p in train} & {artist_of(p) for p in val}
    assert sides[0].source != sides[1].source


def test_known_broken_files_are_left_out_once(tmp_path):
    root = write_artgan(tmp_path)
    with open(root / "Style/style_train.csv", "a") as file:
        file.write(f"{CORRUPT[0]},1\n")  # it does not even have to be there
    told = []
    assert class_counts(opened(root=str(root), tell=told.append)).tolist() == [6, 6]
    opened("val", root=str(root), tell=told.append)
    assert len(told) == 1
    assert "rembrandt_woman-standing-with-raised-hands.jpg" in told[0]


def test_missing_files(tmp_path):
    root = write_artgan(tmp_path)
    for number in (0, 4):
        (root / f"Baroque/artist-{number % 3}_train-{number}.jpg").unlink()
    with pytest.raises(InputError, match=r"2 of 12 listed files .*artist-0_train-0\.jpg"):
        opened(root=str(root), skip_bad=1)
    told = []
    images = opened(root=str(root), skip_bad=2, tell=told.append)
    assert class_counts(images).tolist() == [6, 4]
    assert [line.split("/")[-1] for line in told] == [
        "artist-0_train-0.jpg is missing",
        "artist-1_train-4.jpg is missing",
    ]


def test_protocols(tmp_path):
    assert len(protocol(27)) == 27
    assert len(protocol(21)) == 21
    assert not set(protocol(21)) & set(SMALL)
    root = str(write_artgan(tmp_path / "all", STYLES, 4, 2))
    val = {n: opened("val", root=root, classes=n, split="stratified") for n in (0, 21, 27)}
    assert val[0].classes == val[27].classes == list(STYLES)
    assert paths(val[0]) == paths(val[27])
    assert val[21].classes == protocol(21)
    small = {"Art_Nouveau_Modern" if name == "Art_Nouveau" else name for name in SMALL}
    kept = [path for path in paths(val[27]) if path.split(os.sep)[-2] not in small]
    assert paths(val[21]) == kept
    labels = [val[21].classes[label] for label in val[21].labels]
    folders = [path.split(os.sep)[-2].replace("Nouveau_Modern", "Nouveau") for path in kept]
    assert labels == folders


def test_csv_files(tmp_path):
    rows = ["path,note,class,split", "a/1.jpg,x,Realism,train", "a/2.jpg,,Baroque,train"]
    rows += ["b/3.jpg,x,Realism,val"]
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(painting(1))
    (tmp_path / "list.csv").write_text("\n".join(rows))
    file, told = f"{tmp_path}/list.csv", []
    train, val = opened(csv=file), opened("val", csv=file, tell=told.append)
    assert train.classes == val.classes == ["Baroque", "Realism"]
    assert (train.labels, val.labels) == ([1, 0], [1])
    assert train[1]["image"].mode == "RGB"
    assert "no validation image of Baroque" in told[0]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "list.csv").rename(tmp_path / "elsewhere/list.csv")
    moved = opened(csv=f"{tmp_path}/elsewhere/list.csv", root=str(tmp_path))
    assert paths(moved) == paths(train)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,class,split\na.jpg,Realism,holdout\n", r"line 2: unknown split 'holdout'"),
        ("path,kind\na.jpg,Realism\n", "no column 'class', but path, kind"),
        ("file,class\na.jpg,Realism\n", "no column 'path', but file, class"),
        ("path,class\na.jpg,\n", "line 2: class is empty"),
        ("path,class,split\na.jpg,Realism\n", "line 2: split is empty"),
        ("path,class\na.jpg,Realism\na.jpg,Rococo\n", "a.jpg is listed twice"),
        ("path,class\na.jpg,Realism\n", "no column split: --data.split stratified"),
        ("path,class,split\na.jpg,Realsm,train\n", r"'Realsm' is none of .* Did you mean Realism"),
        ("", "no column 'path'"),
        ("path,class,split\n", "holds no images"),
    ],
)
def test_bad_csv_files(tmp_path, text, words):
    (tmp_path / "list.csv").write_text(text)
    (tmp_path / "a.jpg").write_bytes(painting(1))
    with pytest.raises(InputError, match=words) as error:
        opened(csv=f"{tmp_path}/list.csv", classes=27)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("style_class.txt", None, "style_class.txt is missing"),
        ("style_class.txt", "0 A\n2 B\n", "its lines are `0 Name`"),
        ("style_class.txt", "0 A\n1 A\n", "A is listed twice"),
        ("style_class.txt", "0 A\n1 B\n2 C\n", "class C of style_class.txt is empty"),
        ("style_val.csv", "x/y.jpg,7\n", "line 1: 'x/y.jpg,7' is not"),
        ("style_val.csv", "x/y.jpg\n", "line 1: 'x/y.jpg' is not"),
        ("style_val.csv", "Baroque/artist-0_train-0.jpg,1\n", "train-0.jpg is listed twice"),
        ("style_train.csv", "Baroque/artist-0_train-0.jpg,1\n", "no image of 1 of 2 .*Art_Nouveau"),
    ],
)
def test_bad_lists(tmp_path, file, text, words):
    root = write_artgan(tmp_path)
    (root / "Style" / file).unlink()
    if text is not None:
        (root / "Style" / file).write_text(text)
    with pytest.raises(InputError, match=words):
        opened(root=str(root), lists=str(root / "Style"))


def test_a_folder_of_paintings_that_no_list_has(tmp_path):
    root = write_artgan(tmp_path)
    (root / "Genre").mkdir()
    (root / "Genre/genre_train.csv").write_text("")  # of ArtGAN's other lists: no image
    assert len(opened(root=str(root))) == 12
    (root / "Surrealism").mkdir()
    (root / "Surrealism/salvador-dali_clocks.jpg").write_bytes(painting(1))
    with pytest.raises(InputError, match="Surrealism holds images and is in no list"):
        opened(root=str(root))


def test_image_folders(tmp_path):
    for name in ("train/b/x_1.png", "train/a/x_2.png", "train/a/y_3.png", "val/b/x_4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(painting(1, "PNG"))
    train, val = opened(root=str(tmp_path)), opened("val", root=str(tmp_path), tell=list)
    assert train.classes == val.classes == ["a", "b"]
    assert (train.names, val.labels) == (["x_2.png", "y_3.png", "x_1.png"], [1])
    with pytest.raises(InputError, match="has no official split"):
        opened(root=f"{tmp_path}/train")
    drawn = [opened(s, root=str(tmp_path), split="artist", tell=list) for s in ("train", "val")]
    assert [images.names for images in drawn] == [["x_2.png", "x_1.png"], ["y_3.png"]]
    (tmp_path / "val/c").mkdir()
    with pytest.raises(InputError, match="1 of 2 class folders hold no image"):
        opened("val", root=str(tmp_path))
    with pytest.raises(InputError, match="'a' is none of WikiArt's 27 styles"):
        opened(root=str(tmp_path / "train"), split="stratified", classes=21)
    (tmp_path / "train/a/nobody.png").write_bytes(painting(1, "PNG"))
    with pytest.raises(InputError, match=r"nobody\.png does not name its artist"):
        opened(root=str(tmp_path), split="artist")


# pixels


def write_csv(root, contents):
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
    images = opened(csv=write_csv(tmp_path, contents))
    found = {images.classes[item["label"]]: item["image"] for item in images}
    assert {image.mode for image in found.values()} == {"RGB"}
    assert found["deep"].getpixel((0, 0)) == (40, 40, 40)
    assert found["cmyk"].size == (24, 16)


def test_large_scans_shrink_or_are_named(tmp_path):
    contents = {"scan.jpg": painting(1, size=(400, 300)), "bomb.png": painting(1, "PNG")}
    images = opened(csv=write_csv(tmp_path, contents), max_pixels=100 * 80)
    bomb, scan = images.classes.index("bomb"), images.classes.index("scan")
    assert images[images.labels.index(scan)]["image"].size == (100, 75)
    assert images[images.labels.index(bomb)]["image"].size == (24, 16)
    images.max_pixels = 300
    for label, words in ((bomb, "24 x 16 pixels"), (scan, "400 x 300 pixels")):
        with pytest.raises(BadSample, match=f"{words} are more than max_pixels, 300"):
            images[images.labels.index(label)]


def test_draft_mode_takes_the_largest_size_that_fits():
    data = painting(1, size=(101, 37))
    sizes = [(101, 37), (51, 19), (26, 10), (13, 5)]
    for i, (width, height) in enumerate(sizes):
        assert decode(data, width * height).size == (width, height)
        if i + 1 < len(sizes):
            assert decode(data, width * height - 1).size == sizes[i + 1]
    assert decode(data).size == (101, 37)


def test_draft_mode_keeps_the_picture():
    buffer = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(buffer, "JPEG", quality=95)
    whole, half = decode(buffer.getvalue()), decode(buffer.getvalue(), 128 * 128)
    reduced = np.asarray(whole.resize((128, 128), Image.Resampling.BOX), float)
    assert np.abs(np.asarray(half, float) - reduced).mean() < 1  # of 255


def test_pillows_own_limit(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # it refuses twice that, and warns from it
    data = painting(1, size=(40, 30))
    assert decode(data, 300).size == (20, 15)
    assert decode(painting(1, size=(30, 20)), 600).size == (30, 20)
    assert not recwarn.list
    for kind, limit in (("PNG", 5000), ("JPEG", 0)):
        with pytest.raises(Image.DecompressionBombError):
            decode(painting(1, kind, size=(40, 30)), limit)


def test_truncated_paintings_are_counted_and_replaced(tmp_path):
    whole = painting(1, size=(64, 64))
    file = write_csv(tmp_path, {"a.jpg": whole[: len(whole) // 2], "b.jpg": whole})
    images = opened(csv=file)
    with pytest.raises(BadSample, match=r"a\.jpg: cannot be read"):
        images[0]
    images.transform = eval_transform("direct", (8, 8), ((0.5,) * 3, (0.5,) * 3))
    with pytest.raises(InputError, match=r"a\.jpg.*1 bad sample\(s\), 0 allowed"):
        list(EvalLoader(images, 2))
    (batch,) = EvalLoader(images, 2, skip_bad=1)
    assert batch["mask"].tolist() == [False, True]


# the Hub


def test_hub_sets_are_divided_by_class(tmp_path):
    root = write_parquet(tmp_path, [20, 25, 15])
    with pytest.raises(InputError, match=r"drawn: --data\.split stratified"):
        opened(root=root)
    train, val = (opened(side, root=root, split="stratified") for side in ("train", "val"))
    assert class_counts(train).tolist() == [14, 14, 14]
    assert class_counts(val).tolist() == [6, 6, 6]
    numbers = sorted(item["image"].getpixel((0, 0))[0] for side in (train, val) for item in side)
    assert numbers == list(range(60))
    assert all(item["label"] == item["image"].getpixel((0, 0))[0] % 3 for item in val)


def test_streams_are_divided_by_row(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    fields = {"root": write_parquet(tmp_path, [20, 25, 15]), "stream": True, "val_share": 0.25}
    with pytest.raises(InputError, match=r"with --data\.split stratified"):
        opened(**fields)
    fields["split"] = "stratified"
    train = open_paintings(DataConfig(**fields), "train", Number())
    val = open_paintings(DataConfig(**fields), "val", Number())
    assert isinstance(train, LabelledStream)
    loader = EvalLoader(val, 4)
    seen = [b["image"][b["mask"]] for b in loader]
    validated = torch.cat(seen)[:, 0].int().tolist()
    trained = [int(train.item(s, i, x)["image"][0]) for s in range(3) for i, x in rows(train, s)]
    assert validated == sorted(validated)  # in the stream's order
    assert sorted(trained + validated) == list(range(60))
    assert 8 <= len(validated) == len(val) <= 22
    again = [[s.name for s in train.samples(0, start)] for start in (0, 3)]
    assert again[0][3:] == again[1]
    with pytest.raises(InputError, match="does not tell how many images"):
        class_counts(train)
    with pytest.raises(InputError, match=r"data\.classes is 21"):
        opened(**fields, classes=21)
    with pytest.raises(InputError, match="'a' is none of WikiArt's 27 styles"):
        opened(**fields, classes=27)


def rows(stream, shard):
    return enumerate(stream.samples(shard, 0))


def test_a_stream_shares_its_validation_rows_among_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    root = write_parquet(tmp_path, [9, 14])
    fields = {"root": root, "stream": True, "split": "stratified", "val_share": 0.6}
    found = []
    for rank in range(2):
        val = open_paintings(DataConfig(**fields), "val", Number())
        for batch in EvalLoader(val, 3, rank=rank, world=2):
            found += zip(batch["index"].tolist(), batch["mask"].tolist(), strict=True)
    counted = Counter(index for index, real in found if real)
    assert counted == Counter(range(len(val)))


@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_train_on_every_row_of_a_divided_stream_once(tmp_path, monkeypatch, workers):
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    config = DataConfig(write_parquet(tmp_path, [9, 14]), split="stratified", stream=True, buffer=5)
    seen = []
    for rank in range(2):
        train = open_paintings(config, "train", Number())
        mine = len(train) // 2 + (len(train) % 2 if rank == 0 else 0)
        batches = StreamLoader(train, 1, rank=rank, world=2, workers=workers).batches()
        if workers == 2:  # lanes differ by a sample: where they end an epoch, so does the test
            mine = len(train) // 4 * 2
        seen += [int(batch["image"][0, 0]) for batch, _ in zip(batches, range(mine), strict=False)]
    held = [int(i["image"][0]) for i in open_paintings(config, "val", Number())]
    assert len(seen) == len(set(seen))
    assert not set(seen) & set(held)
    if workers == 0:
        assert sorted(seen + held) == list(range(23))


def test_what_is_opened_can_go_to_loader_processes(tmp_path):
    (tmp_path / "hub").mkdir()
    sources = [{"root": str(write_artgan(tmp_path / "a")), "split": "artist"}]
    sources += [{"root": write_parquet(tmp_path / "hub", [9]), "split": "stratified"}]
    for source in sources:
        images = opened(**source)
        other = pickle.loads(pickle.dumps(images))
        assert np.array_equal(np.asarray(other[3]["image"]), np.asarray(images[3]["image"]))


def test_streams_name_classes_as_the_protocol(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    names = ["Rococo", "Art_Nouveau_Modern", "Cubism"]
    root = write_parquet(tmp_path, [8, 8], column=datasets.ClassLabel(names=names))
    train = opened(root=root, stream=True, split="stratified", classes=27)
    assert train.classes == list(STYLES)
    for shard in range(2):
        for _, sample in rows(train, shard):
            number = int(sample.name.split(".")[0])
            expected = ["Rococo", "Art_Nouveau", "Cubism"][number % 3]
            assert train.classes[sample.label] == expected


def test_an_empty_side_of_a_stream():
    stream = LabelledStream("s", ["a"], ["x"], [2], lambda shard, start: iter(()))
    with pytest.raises(InputError, match="no row is on the side val"):
        divided(stream, "val", 0.001, 0)


# square-root sampling


class Plain:
    """A transform that counts the random numbers it sees."""

    def __call__(self, image):
        return torch.rand(())


def unequal(read, counts=(900, 100), transform=None):
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    names = list(map(str, range(len(labels))))
    return LabelledImages(
        "x", [f"c{i}" for i in range(len(counts))], labels, names, read, transform
    )


def test_square_root_sampling_draws_by_the_roots_of_sizes():
    data = painting(1, "PNG", size=(1, 1))
    sampled = SquareRoot(unequal(lambda i: data, transform=Plain()))
    assert len(sampled) == 1000
    batches = TrainLoader(sampled, 500).batches()
    labels = torch.cat([next(batches)["label"] for _ in range(4)])  # 2,000 draws
    assert float((labels == 1).float().mean()) == pytest.approx(10 / 40, abs=0.03)


def test_square_root_sampling_is_the_same_on_any_number_of_processes():
    data = painting(1, "PNG", size=(1, 1))
    images = unequal(lambda i: data, (9, 3), Plain())
    one = TrainLoader(SquareRoot(images), 4, seed=7).batches()
    two = [TrainLoader(SquareRoot(images), 2, seed=7, rank=r, world=2).batches() for r in (0, 1)]
    resumed = TrainLoader(SquareRoot(images), 4, seed=7).batches(3)
    for step in range(6):
        whole, halves = next(one), [next(half) for half in two]
        assert torch.cat([half["image"] for half in halves]).tolist() == whole["image"].tolist()
        assert torch.cat([half["label"] for half in halves]).tolist() == whole["label"].tolist()
        if step >= 3:
            assert next(resumed)["image"].tolist() == whole["image"].tolist()


def test_square_root_sampling_replaces_a_bad_image_by_another():
    data = painting(1, "PNG", size=(1, 1))
    images = unequal(lambda i: b"no image" if i == 3 else data, (9, 3), Plain())
    batches = TrainLoader(SquareRoot(images), 12, skip_bad=1).batches()
    assert all(len(next(batches)["label"]) == 12 for _ in range(5))
