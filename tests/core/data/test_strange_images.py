"""What people's folders, archives and tables of images hold beside images, and heads by name."""

import io
import os
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from core import InputError
from core.data.images.files import decode
from core.data.images.folders import open_folder
from core.data.images.hub import _row
from core.data.images.labelled import LabelledImages
from core.data.images.packed import open_packed
from core.data.loading import BadSample
from core.data.streams.hub import _sample
from core.data.streams.labelled import LabelledStream
from core.data.streams.shards import find_shards, holds_shards
from core.data.streams.tar_shard import index_tar
from core.models.classifier import Classifier, create_classifier
from core.models.network import ClassifierConfig, build_classifier
from core.training.state import check_classes


def encoded(kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 8), (200, 10, 10)).save(file, kind)
    return file.getvalue()


def folder_of(root, *names):
    for name in names:
        path = root / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded())
    return root


def counts(root) -> dict[str, int]:
    images = open_folder(root, "train")
    return dict(Counter(images.classes[label] for label in images.labels))


def test_a_loop_of_links_multiplies_nothing(tmp_path):
    folder_of(tmp_path, "a/1.png", "a/deep/2.png", "b/1.png")
    (tmp_path / "train/a/again").symlink_to(tmp_path / "train/a")
    (tmp_path / "train/a/deep/up").symlink_to("..")
    (tmp_path / "train/a/all").symlink_to("..")  # to the other class, too
    (tmp_path / "more").mkdir()
    (tmp_path / "more/3.png").write_bytes(encoded())
    (tmp_path / "train/b/more").symlink_to(tmp_path / "more")  # a link that leads to images
    assert counts(tmp_path) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", "@eaDir", ".thumbnails", ".Trash-1000", "__MACOSX"]
)
def test_folders_of_systems_hold_no_images_of_a_class(tmp_path, name):
    folder_of(tmp_path, "a/1.png", f"a/{name}/1-checkpoint.png", f"{name}/1.png", "b/1.png")
    assert counts(tmp_path) == {"a": 1, "b": 1}


def test_what_is_no_image_is_counted_and_named(tmp_path, capsys):
    folder_of(tmp_path, "a/1.png", "a/2.jfif", "a/3.jxl", "a/4.heic", "a/5.heic", "a/6.jpg!Large")
    folder_of(tmp_path, "a/._1.png", "b/1.png")
    assert counts(tmp_path) == {"a": 2, "b": 1}
    (note,) = capsys.readouterr().err.splitlines()
    assert "5 files are no images and passed over: 2 .heic" in note
    assert sorted(note.split(": ")[-1].split(", ")) == [
        "1 .jpg!Large",
        "1 .jxl",
        "1 hidden",
        "2 .heic",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Baroque", "baroque"), ("Art Nouveau", "Art_Nouveau"), ("A", "A "), ("é", "e\u0301")],
)
def test_classes_that_differ_in_spelling_alone_are_named(tmp_path, capsys, one, other):
    folder_of(tmp_path, f"{one}/1.png", f"{other}/1.png", "Cubism/1.png")
    assert len(counts(tmp_path)) == 3  # letters are classes too: A and a
    (note,) = capsys.readouterr().err.splitlines()
    assert repr(min(one, other)) in note
    assert repr(max(one, other)) in note


def test_postscript_is_no_image_whatever_its_name(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(ValueError, match="it is no picture"):
        decode(str(path))
    for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        assert decode(encoded(kind)).size == (9, 8)


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_a_key_that_comes_twice_is_two_samples(tmp_path):
    one = [("a.png", encoded()), ("a.cls", b"0")]
    tar(tmp_path / "t.tar", *one, *[(name, b"1" if name == "a.cls" else c) for name, c in one])
    assert [entry.label for entry in index_tar(str(tmp_path / "t.tar")).entries] == [0, 1]


def test_a_pipe_is_no_shard_and_a_pattern_has_an_end(tmp_path):
    os.mkfifo(tmp_path / "train-0.tar")
    with pytest.raises(InputError, match=r"train-0.tar is no file"):
        find_shards(str(tmp_path / "train-0.tar"), "train")
    (tmp_path / "a").mkdir()
    assert not holds_shards(str(tmp_path), "train")
    with pytest.raises(InputError, match=r"stands for 100,000,000,000 files"):
        find_shards(f"{tmp_path}/shards-{{0..99999999999}}.tar", "train")


def test_a_bomb_is_known_by_its_directory(tmp_path):
    path = tmp_path / "train.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("blob.npy", b"small")
        archive.infolist()[0].file_size = 3 * 2**30  # what its directory will say
    with pytest.raises(InputError, match=r"3\.2 GB unpacked"):
        open_packed(path)


def test_an_image_that_is_not_there_is_a_bad_sample():
    dataset = [{"image": None}]
    images = LabelledImages("set", ["a"], [0], ["0"], lambda i: _row(dataset, "image", i))
    with pytest.raises(BadSample, match="holds no image"):
        images[0]
    sample = _sample(None, 0)
    stream = LabelledStream("set", ["a"], ["shard"], [1], lambda shard, start: iter([sample]))
    with pytest.raises(BadSample, match="holds no image"):
        stream.item(0, 0, sample)


def trained(folder, classes) -> Classifier:
    """A classifier whose rows are the places of its classes, saved as a run saves it."""
    from core.files import write_json
    from core.training.files.checkpoint import save_weights

    classifier = create_classifier("mixer_c16_l1_p8", 16, len(classes), classes=classes)
    with torch.no_grad():
        classifier.head.bias.copy_(torch.arange(float(len(classes))))
    save_weights(classifier.state_dict(), folder / "model.safetensors")
    write_json(folder / "config.json", {"step": 1, **classifier.describe()})
    return classifier


def test_rows_of_a_head_follow_their_classes_names(tmp_path):
    trained(tmp_path, ["Baroque", "Cubism", "Realism"])
    config = ClassifierConfig("mixer_c16_l1_p8", (16,), weights=str(tmp_path))
    same = build_classifier(config, ["Realism", "Baroque", "Cubism"])
    assert same.head.bias.tolist() == [2, 0, 1]
    with pytest.raises(InputError, match=r"no class 'Old_Masters', but Baroque.*new_head"):
        build_classifier(config, ["Cubism", "Old_Masters", "Realism"])
    with pytest.raises(InputError, match="one class"):
        build_classifier(config, ["Cubism"])


def test_a_run_goes_on_with_its_own_classes_alone(tmp_path):
    network = trained(tmp_path, ["Baroque", "Cubism"])
    check_classes("model", network, tmp_path)
    network.classes = ["Cubism", "Old_Masters"]
    with pytest.raises(InputError, match=r"gone: Baroque; new: Old_Masters.*--model.weights"):
        check_classes("model", network, tmp_path)
    network.classes = ["Cubism", "Baroque"]
    with pytest.raises(InputError, match="in another order"):
        check_classes("model", network, tmp_path)


def test_a_file_that_is_whole_data_is_no_bomb(tmp_path):
    blob = np.frombuffer(encoded(), np.uint8)
    np.savez(
        tmp_path / "train.npz",
        blob=blob,
        offsets=np.array([0, len(blob)]),
        labels=np.array([0]),
        names=np.array(["a"]),
    )
    assert len(open_packed(tmp_path / "train.npz")) == 1


def test_a_pipe_with_a_picture_s_name_is_bad_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="is a pipe or a device"):
        decode(str(tmp_path / "pipe.png"))
    with pytest.raises(ValueError, match="is a pipe or a device"):
        decode("/dev/zero")
