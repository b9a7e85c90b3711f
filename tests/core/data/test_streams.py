"""Streams in one process: order, positions, what is damaged, and what is not there."""

import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch

from core import InputError
from core.data.fractals.dataset import FractalsConfig
from core.data.fractals.writer import Written, write
from core.data.images.labelled import ImagesConfig
from core.data.loading import EvalLoader
from core.data.sources import is_stream, open_stream
from core.data.streams.labelled import StreamEnded
from core.data.streams.loading import StreamLoader
from core.data.streams.shards import open_shards
from tests.core.data.stream_toy import (
    Failing,
    Number,
    encoded,
    numbers,
    write_parquet,
    write_shards,
)

LENGTHS = [9, 14, 0, 3, 21]  # 47 images


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["tar", "parquet"])
def root(request, tmp_path):
    if request.param == "parquet":
        return write_parquet(tmp_path / "set", LENGTHS)
    write_shards(tmp_path / "set", LENGTHS)
    return str(tmp_path / "set")


def opened(root, split="train", **options):
    config = ImagesConfig(str(root), split, stream=True, **{"buffer": 8, **options})
    assert is_stream(config)
    stream = open_stream(config, Number())
    stream.pause = 0
    return stream


def taken(loader, count, start=0):
    """[(number, random number), ...] of each of ``count`` micro-batches."""
    batches = islice(loader.batches(start), count)
    return [list(map(tuple, batch["image"].tolist())) for batch in batches]


def test_every_image_once_an_epoch_in_another_order(root):
    stream = opened(root)
    assert len(stream) == 47
    order = numbers(taken(StreamLoader(stream, 1, seed=3), 94))
    assert sorted(order[:47]) == sorted(order[47:]) == list(range(47))
    assert order[:47] != order[47:]
    assert order != numbers(taken(StreamLoader(stream, 1, seed=4), 94))
    assert order[:47] != list(range(47))


def test_every_image_has_random_numbers_of_its_own_each_epoch(root):
    """By its place among all samples: neither another shard's same place nor an epoch repeats."""
    drawn = [random for batch in taken(StreamLoader(opened(root), 1), 94) for _, random in batch]
    assert len(set(drawn)) == 94


def test_labels_belong_to_their_images(root):
    batch = next(StreamLoader(opened(root), 47).batches())
    assert batch["label"].tolist() == [int(n) % 3 for n, _ in batch["image"].tolist()]
    assert len(opened(root).classes) == 3


def test_a_larger_buffer_mixes_more(root):
    """Within a buffer's block the images are those that lie together."""
    for buffer in (1, 5):
        loader = StreamLoader(opened(root, buffer=buffer), 1, seed=0)
        order = numbers(taken(loader, 45))
        blocks = [order[i : i + buffer] for i in range(0, 45, buffer)]
        wholes = [sorted(block) for block in blocks if max(block) - min(block) == buffer - 1]
        assert len(wholes) >= len(blocks) - len(LENGTHS), "blocks but those across shards"
    assert numbers(taken(StreamLoader(opened(root, buffer=1), 1), 9)) != order[:9]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_start_gives_the_tail(tmp_path, workers):
    write_shards(tmp_path, [5, 8, 4])
    stream = opened(tmp_path, buffer=7)
    loader = StreamLoader(stream, 3, seed=1, workers=workers)
    whole = taken(loader, 14)
    for start in (1, 2, 5, 12) if workers else range(14):
        assert taken(loader, 14 - start, start) == whole[start:]


@pytest.mark.parametrize("size", [46, 48])
def test_processes_share_every_epoch(tmp_path, size):
    """4 lanes: 48 images are shared evenly, 46 are not."""
    write_shards(tmp_path, [size - 30, 20, 10])
    stream, seen = opened(tmp_path), Counter()
    for rank in (0, 1):
        loader = StreamLoader(stream, 1, rank=rank, world=2, workers=2)
        seen.update(numbers(taken(loader, size)))  # two epochs, 2 x size / 2 a process
    assert seen == Counter(dict.fromkeys(range(size), 2))


def test_more_lanes_than_images(tmp_path):
    write_shards(tmp_path, [2, 1])
    loaders = [StreamLoader(opened(tmp_path), 1, rank=r, world=5) for r in range(5)]
    assert Counter(n for x in loaders for n in numbers(taken(x, 3))) == {0: 5, 1: 5, 2: 5}


def test_an_unreadable_image_is_named_once_and_replaced(tmp_path):
    write_shards(tmp_path, LENGTHS)
    good = taken(StreamLoader(opened(tmp_path), 4), 24)
    path = tmp_path / "train-00004.tar"
    content = path.read_bytes()
    at = content.index(b"0030.png")
    path.write_bytes(content[: at + 512] + bytes(20) + content[at + 532 :])
    named = []
    loader = StreamLoader(opened(tmp_path), 4, skip_bad=1, on_bad=lambda *bad: named.append(bad))
    seen = taken(loader, 24)
    assert [name for name, _ in named] == [f"{path} [0030.png]"]
    pairs = zip(numbers(seen), numbers(good), strict=True)
    assert {b for a, b in pairs if a != b} == {30}
    with pytest.raises(InputError, match=r"0030.png\]: cannot be read.*1 bad sample.*0 allowed"):
        taken(StreamLoader(opened(tmp_path), 4), 24)


@pytest.mark.parametrize("cut", ["image", "header", "label", "end"])
def test_a_shard_that_breaks_off_is_one_bad_sample(tmp_path, cut):
    path = write_shards(tmp_path, [4, 6])[1]
    content = path.read_bytes()
    places = {"image": b"0007.png", "header": b"0007.png", "label": b"0006.cls"}
    at = content.index(places[cut]) if cut in places else content.index(b"0009.cls") + 1024
    path.write_bytes(content[: at + {"image": 540, "header": 100, "label": 0, "end": 0}[cut]])
    whole = {"image": 3, "header": 3, "label": 2, "end": 6}[cut]
    with pytest.raises(InputError, match=rf"train-00001.tar breaks off after {whole} whole"):
        opened(tmp_path)
    named = []
    stream = opened(tmp_path, skip_bad=1)
    loader = StreamLoader(stream, 1, skip_bad=1, on_bad=lambda *bad: named.append(bad))
    assert sorted(numbers(taken(loader, 4 + whole))) == list(range(4 + whole))
    assert [name for name, _ in named] == [str(path)]


def test_a_label_without_a_class(tmp_path):
    write_shards(tmp_path, [4, 6], labels=lambda number: 5 if number == 7 else 0)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"train-00001.tar \[0007.png\] has label 5.*2"):
        opened(tmp_path)
    record(tmp_path, [4, 6])
    loader = StreamLoader(opened(tmp_path), 10, skip_bad=9)
    with pytest.raises(InputError, match=r"train-00001.tar \[0007.png\] has label 5 of 2 classes"):
        next(loader.batches())


def record(root, lengths):
    names = [path.name for path in sorted(root.glob("*.tar"))]
    split = {"name": "train", "filenames": names, "shard_lengths": lengths}
    split["num_samples"] = sum(lengths)
    (root / "_info.json").write_text(json.dumps({"splits": {"train": split}}))


def test_recorded_lengths_spare_the_count(tmp_path, capsys):
    write_shards(tmp_path, [4, 6])
    record(tmp_path, [4, 6])
    with pytest.raises(InputError, match=r"names no classes: write them to .*classes.txt"):
        opened(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\nhen\n")
    stream = opened(tmp_path)
    assert stream.lengths == [4, 6]
    assert stream.classes == ["cat", "dog", "hen"]
    assert sorted(numbers(taken(StreamLoader(stream, 5), 2))) == list(range(10))
    assert "counting" not in capsys.readouterr().out
    with pytest.raises(InputError, match="no split 'val', but train"):
        opened(tmp_path, "val")
    record(tmp_path, [4, 8])
    with pytest.raises(InputError, match=r"train-00001.tar: breaks off: 8 samples expected"):
        taken(StreamLoader(opened(tmp_path), 5), 4)
    loader = StreamLoader(opened(tmp_path), 5, skip_bad=1)
    assert set(numbers(taken(loader, 4))) == set(range(10))


def test_counting_is_remembered_until_a_shard_changes(root, capsys):
    assert len(opened(root)) == 47
    first = capsys.readouterr().out
    opened(root)
    assert capsys.readouterr().out == ""
    if not root.startswith("hub:"):
        assert "counting the samples of 5 tar files" in first
        write_shards(Path(root), [9, 14, 0, 3, 22])
        assert len(opened(root)) == 48


@pytest.mark.parametrize(
    ("name", "root", "split"),
    [
        ("train-0.tar", "", "train"),
        ("train_0.tar", "", "train"),
        ("train/x.tar", "", "train"),
        ("any-007.tar", "any-{006..007}.tar", "val"),
        ("one.tar", "one.tar", ""),
    ],
)
def test_names_of_shards(tmp_path, name, root, split):
    (path,) = write_shards(tmp_path / "made", [3])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.replace(path, tmp_path / name)
    (path.parent).rmdir()
    if "6" in root:
        write_shards(tmp_path, [2])[0].rename(tmp_path / "any-006.tar")
    assert len(opened(tmp_path / root, split)) == (5 if "6" in root else 3)


def test_what_is_not_there(tmp_path):
    write_shards(tmp_path / "set", [3])
    with pytest.raises(InputError, match=r"no val-\*.tar.*but train-00000.tar"):
        opened(tmp_path / "set", "val")
    with pytest.raises(InputError, match=r"train-00001.tar is missing, 1 of 2 shards"):
        opened(tmp_path / "set" / "train-{00000..00001}.tar")
    (tmp_path / "empty").mkdir()
    for root in ("", "empty", "nowhere"):
        with pytest.raises(InputError, match="cannot be streamed: tar shards"):
            open_stream(ImagesConfig(root and str(tmp_path / root), "train"))
    write_shards(tmp_path / "none", [0, 0])
    with pytest.raises(InputError, match="holds no images"):
        opened(tmp_path / "none")


def test_class_folders_with_a_tar_beside_them_are_no_stream(tmp_path):
    (tmp_path / "train/cat").mkdir(parents=True)
    write_shards(tmp_path, [1], split="download")
    write_shards(tmp_path / "train", [1], split="cat")
    assert not is_stream(ImagesConfig(str(tmp_path), "train"))


def test_shards_of_fractals(tmp_path):
    settings = FractalsConfig(classes=3, instances=4, size=16)
    list(write(Written(settings, "shards", 5), tmp_path, "train"))
    stream = open_stream(ImagesConfig(str(tmp_path), "train"))
    assert stream.lengths == [5, 5, 2]
    assert stream.classes == ["0", "1", "2"]
    items = next(StreamLoader(stream, 12, collate=list).batches())
    assert Counter(item["label"] for item in items) == {0: 4, 1: 4, 2: 4}
    assert {item["image"].mode for item in items} == {"RGB"}


def test_shards_by_index_for_evaluation(tmp_path):
    write_shards(tmp_path, [4, 6], split="val")
    images = open_shards(str(tmp_path), "val", Number())
    batches = list(EvalLoader(images, 4))
    seen = [int(n) for b in batches for n in b["image"][b["mask"]][:, 0]]
    assert seen == list(range(10))
    assert images.labels == [n % 3 for n in range(10)]
    assert torch.equal(batches[0]["label"], torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupted_stream_goes_on_with_the_same_images(root, times, capsys):
    whole = taken(StreamLoader(opened(root), 4), 24)
    stream = opened(root, retries=3)
    stream.read = Failing(stream.read, 20, times)
    assert taken(StreamLoader(stream, 4), 24) == whole
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == times
    assert "ConnectionResetError: the other side hung up. Trying again" in lines[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_stays_interrupted_ends(root, workers):
    stream = opened(root, retries=2)
    stream.read = Failing(stream.read, 20, -1)
    batches = StreamLoader(stream, 4, workers=workers).batches()
    with pytest.raises(StreamEnded, match=r"hung up. 2 retries did not help$"):
        list(islice(batches, 24))


def test_pauses_grow(tmp_path, monkeypatch):
    write_shards(tmp_path, [3])
    stream, pauses = opened(tmp_path, retries=3), []
    stream.pause, stream.read = 1.0, Failing(stream.read, 1, -1)
    monkeypatch.setattr("time.sleep", pauses.append)
    with pytest.raises(StreamEnded):
        list(stream.samples(0, 0))
    assert pauses == [1, 2, 4]


def test_hub_sets_that_cannot_be_streamed(tmp_path):
    import datasets

    root = write_parquet(tmp_path / "plain", [3], column=datasets.Value("int64"))
    with pytest.raises(InputError, match="label is a column of words or numbers, whose classes"):
        opened(root)
    with pytest.raises(InputError, match=r"\(val\) cannot be opened"):
        opened(write_parquet(tmp_path / "set", [3]), "val")
    loaded = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=tmp_path / "c")
    loaded.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match="save_to_disk and is read in place"):
        opened(f"hub:{tmp_path / 'saved'}")


def test_hub_sets_of_other_files_are_counted(tmp_path, capsys):
    for label in ("cat", "dog"):
        folder = tmp_path / "set" / "train" / label
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.png").write_bytes(encoded(number + 3 * (label == "dog")))
    stream = opened(f"hub:{tmp_path / 'set'}")
    assert "all is read" in capsys.readouterr().out
    assert stream.classes == ["cat", "dog"]
    assert sorted(numbers(taken(StreamLoader(stream, 3), 2))) == list(range(6))
