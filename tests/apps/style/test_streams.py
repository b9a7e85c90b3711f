"""Hub data sets, downloaded and read in turn."""

from collections import Counter

import pytest
import torch

from apps.style.config import DataConfig
from apps.style.data.dataset import class_counts, open_paintings
from apps.style.data.protocols import STYLES
from apps.style.data.stream_split import divided
from core import InputError
from core.data.loading import EvalLoader
from core.data.streams.labelled import LabelledStream
from core.data.streams.loading import StreamLoader
from tests.apps.style.helpers import opened
from tests.core.data.stream_toy import Number, write_parquet


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
