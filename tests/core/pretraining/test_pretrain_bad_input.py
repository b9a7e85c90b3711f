"""What pretraining cannot use is said in one line; the same folder can then begin again."""

import sys

import numpy as np
import pytest
from PIL import Image

from core.pretrain import main
from core.training.files.folder import read_metrics


def folders(root, *names):
    """A folder of images with two pictures in each of these folders."""
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (16, 16), (80 * i, 40, 200)).save(root / name / f"{i}.png")
    return root


def packed(path, labels, names=("cat", "dog")):
    """A packed file of one picture after another, with these labels."""
    Image.new("RGB", (16, 16)).save(path.with_suffix(".png"))
    blob = np.fromfile(path.with_suffix(".png"), np.uint8)
    offsets = np.arange(len(labels) + 1) * len(blob)
    blob = np.tile(blob, len(labels))
    np.savez(path, blob=blob, offsets=offsets, labels=np.array(labels), names=np.array(names))
    return path


def hub(path, labels):
    """A saved Hub data set of pictures with these labels."""
    datasets = pytest.importorskip("datasets")
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    rows = {"image": [Image.new("RGB", (16, 16))] * len(labels), "label": labels}
    datasets.Dataset.from_dict(rows, features=datasets.Features(kinds)).save_to_disk(path)
    return f"hub:{path}"


def start(monkeypatch, folder, train, val):
    words = ["folder", "--train.root", train, "--val.root", val, "--run.folder", folder]
    words += ["--run.epochs", 0, "--run.steps", 1, "--run.batch-size", 2, "--run.trackers"]
    words += ["--model.backbone", "mixer_c16_l1_p8", "--model.image-size", 16]
    words += ["--train.workers", 0, "--val.workers", 0]
    monkeypatch.setattr(sys, "argv", ["pretrain.py", *map(str, words)])
    main()


def refused(capsys, monkeypatch, folder, train, val):
    """The one line that the command says."""
    with pytest.raises(SystemExit) as ended:
        start(monkeypatch, folder, train, val)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err.strip().split("\n")[-1]
    assert complaint.startswith("error: ")
    return complaint


def nothing(root):
    root.mkdir()
    return root


def empty_class(root):
    folders(root, "train/cat", "train/dog", "val/cat", "val/dog")
    (root / "train/mouse").mkdir()
    return root


BAD = {
    "an empty folder": (nothing, "bad holds no class folders: expected"),
    "no folder": (lambda root: root, "bad is no folder"),
    "images without classes": (lambda root: folders(root, "."), "bad holds no class folders"),
    "a class without images": (empty_class, "1 of 3 class folders hold no image"),
    "one class": (lambda root: folders(root, "train/cat"), "has the one class cat"),
    "a label above": (lambda root: packed(root.with_suffix(".npz"), [0, 2]), "labels from 0 to 2"),
    "a label below": (lambda root: packed(root.with_suffix(".npz"), [-1, 1]), "labels from -1 to"),
    "hub without labels": (lambda root: hub(root, [0, -1]), "labels from -1 to 0 for 2 classes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_training_images(name, tmp_path, capsys, monkeypatch):
    make, message = BAD[name]
    root, good = make(tmp_path / "bad"), folders(tmp_path / "good", "cat", "dog")
    run = tmp_path / "run"
    assert message in refused(capsys, monkeypatch, run, root, good)
    assert not read_metrics(run)
    start(monkeypatch, run, good, good)  # the same folder, without --run.resume
    assert read_metrics(run)[-1]["step"] == 1


def test_other_validation_classes_are_named_before_training(tmp_path, capsys, monkeypatch):
    train = folders(tmp_path / "train", "cat", "dog")
    others = folders(tmp_path / "val", "cat", "wolf")
    complaint = refused(capsys, monkeypatch, tmp_path / "run", train, others)
    assert "1 missing: dog" in complaint
    assert "1 unknown to it: wolf" in complaint
    start(monkeypatch, tmp_path / "run", train, train)


def test_validation_is_labelled_by_names(tmp_path, capsys, monkeypatch):
    """The same classes in another order: accuracy is that of the names, not of the numbers."""
    train = packed(tmp_path / "train.npz", [0, 1, 0, 0], ["cat", "dog"])
    val = packed(tmp_path / "val.npz", [0, 0, 0, 1], ["dog", "cat"])
    same = packed(tmp_path / "same.npz", [0, 1, 0, 0], ["cat", "dog"])
    start(monkeypatch, tmp_path / "one", train, same)
    start(monkeypatch, tmp_path / "two", train, val)
    rows = [row for name in ("one", "two") for row in read_metrics(tmp_path / name)]
    one, two = (row["eval/top1"] for row in rows if "eval/top1" in row)
    assert {one, two} == {0.25, 0.75}, "all images are the same: one class is always said"
    assert one + two == 1
