"""Accuracy: hand-computed cases, ReaL's file numbers, class checks, suites, two processes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from core import InputError, create_backbone
from core import eval as entry
from core.data.images.labelled import ImagesConfig, LabelledImages
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.evaluation import classification
from core.evaluation.classification import (
    evaluate_classifier,
    imagenet_synsets,
    matched_classes,
    top_predictions,
)
from core.evaluation.common import BackboneConfig
from core.evaluation.real_labels import read_real_labels, real_accuracy
from core.models.classifier import Classifier
from core.training.session import Session
from tests.core.data.test_images import noise
from tests.core.launch import launch
from tests.core.models.test_classifier import tiny, write_folder

COLOURS = ["blue", "green", "red"]


class Preset(torch.nn.Module):
    """Answers with logits that the images carry: channel 0 of row 0."""

    def __init__(self, num_classes, classes=None):
        super().__init__()
        self.num_classes, self.classes = num_classes, classes

    def forward(self, images):
        return images[:, 0, 0, : self.num_classes]


class Carried(torch.utils.data.Dataset):
    """Images that carry logits (N, n) for `Preset`."""

    def __init__(self, logits, labels, names=None):
        self.logits, self.labels = torch.as_tensor(logits), labels
        self.classes = [f"c{i}" for i in range(self.logits.shape[1])]
        self.names = names or [str(i) for i in range(len(labels))]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"image": self.logits[i].expand(3, 1, -1), "label": self.labels[i]}


def write_colours(root, count=3):
    """Three classes of small noisy images."""
    for label, name in enumerate(COLOURS):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            noise(8, 12, seed=10 * label + i).save(root / name / f"{i}.png")
    return root


def taught(root, wrong=()):
    """A classifier that is right on all images below root but those with these indices."""
    network = tiny(3)
    transform = eval_transform("squash", (16, 24), network.backbone.normalization)
    dataset = open_images(str(root), "", transform)
    images = torch.stack([dataset[i]["image"] for i in range(len(dataset))])
    answers = [(label + (i in wrong)) % 3 for i, label in enumerate(dataset.labels)]
    with torch.no_grad():
        features = torch.nn.functional.pad(network.features(images).double(), (0, 1), value=1.0)
        targets = torch.nn.functional.one_hot(torch.tensor(answers), 3).double()
        solution = torch.linalg.lstsq(features, targets).solution.float()
        network.head.weight.copy_(solution[:-1].T)
        network.head.bias.copy_(solution[-1])
        assert network(images).argmax(1).tolist() == answers
    return network


def named_images(classes):
    """A data set with these class names and one image each, none of which is there."""
    labels = range(len(classes))
    return LabelledImages("FOLDER", classes, labels, map(str, labels), str)


def test_hand_computed_accuracy():
    logits = torch.eye(7)[[0, 1, 2, 3, 4]] + 0.01 * torch.arange(7.0)
    labels = [0, 1, 6, 6, 0]  # right, right, second, second, last of seven
    result = evaluate_classifier(Session(), Preset(7), Carried(logits, labels), batch_size=2)
    assert result["images"] == 5
    assert result["top1"] == pytest.approx(2 / 5)
    assert result["top5"] == pytest.approx(4 / 5)
    assert result["per_class"] == {"c0": 0.5, "c1": 1.0, "c6": 0.0}


@pytest.mark.parametrize("classes", [3, 5, 6])
def test_top5_needs_more_than_5_classes(classes):
    data = Carried(torch.eye(classes)[:3], [0, 1, 0])
    result = evaluate_classifier(Session(), Preset(classes), data)
    assert ("top5" in result) == (classes > 5)
    assert result["top1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_predictions_do_not_depend_on_the_batch_size(batch_size):
    logits, labels = torch.randn(11, 9), [*range(9), 0, 1]
    found = top_predictions(Session(), Preset(9), Carried(logits, labels), batch_size)
    assert found["index"].tolist() == list(range(11))
    assert found["label"].tolist() == labels
    expected = np.argsort(-logits.numpy(), axis=1)[:, :5]
    np.testing.assert_array_equal(found["top"], expected)


def test_logits_that_are_not_finite():
    logits = torch.eye(3)
    logits[1, 2] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        evaluate_classifier(Session(), Preset(3), Carried(logits, [0, 1, 2]))


def test_unreadable_images_are_counted_and_named(tmp_path, capfd):
    write_colours(tmp_path)
    network = taught(tmp_path, wrong=(0, 8))
    (tmp_path / "green/1.png").write_bytes(b"broken")
    transform = eval_transform("squash", (16, 24), network.backbone.normalization)
    dataset = open_images(str(tmp_path), "val", transform)
    result = evaluate_classifier(Session(), network, dataset, 4, skip_bad=1)
    assert (result["images"], result["unreadable"]) == (8, 1)
    assert result["top1"] == pytest.approx(6 / 8)
    assert "left out: " + str(tmp_path / "green/1.png") in capfd.readouterr().err
    with pytest.raises(InputError, match=r"green/1\.png.*skip_bad"):
        evaluate_classifier(Session(), network, dataset, 4)


def test_real_labels_count_files_from_one(tmp_path):
    """The label repository's sample has json.load of a string, and {(i+i):08d} for the names."""
    (tmp_path / "real.json").write_text("[[5], [], [1, 7], [2]]")
    labels = read_real_labels(str(tmp_path / "real.json"))
    names = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in (3, 1, 2, 4)]
    assert real_accuracy([7, 5, 0, 3], names, labels) == {
        "top1": pytest.approx(2 / 3),
        "scored": 3,
        "empty": 1,
    }
    assert real_accuracy([1], ["ILSVRC2012_val_00000003_n01440764.JPEG"], labels)["top1"] == 1
    for name in ("ILSVRC2012_val_00000000.JPEG", "ILSVRC2012_val_00000005.JPEG", "cat.png"):
        with pytest.raises(InputError, match=name):
            real_accuracy([1], [name], labels)
    with pytest.raises(InputError, match="none of the 1 images"):
        real_accuracy([1], ["ILSVRC2012_val_00000002.JPEG"], labels)


def test_timms_real_labels():
    """The counts of the published file, and timm's own metric on random answers."""
    from timm.data import RealLabelsImagenet

    labels = read_real_labels("timm")
    sizes = [len(entry) for entry in labels]
    assert (len(sizes), sizes.count(0), sum(sizes), max(sizes)) == (50000, 3163, 57553, 9)
    assert sum(size > 1 for size in sizes) == 7443
    names = [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(50000)]
    rng = np.random.default_rng(0)
    answers = [entry[0] if entry and rng.random() < 0.7 else 3 for entry in labels]
    theirs = RealLabelsImagenet(names, topk=(1,))
    theirs.add_result(torch.nn.functional.one_hot(torch.tensor(answers), 1000))
    ours = real_accuracy(answers, names, labels)
    assert ours["scored"] == 46837
    assert 100 * ours["top1"] == pytest.approx(theirs.get_accuracy(1))


@pytest.mark.parametrize("text", ["[1, 2]", '{"a": [1]}', "[[0.5]]", "not json"])
def test_broken_real_labels(tmp_path, text):
    (tmp_path / "real.json").write_text(text)
    with pytest.raises(InputError, match=r"real\.json"):
        read_real_labels(str(tmp_path / "real.json"))


def test_real_accuracy_of_a_data_set():
    names = ["ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001.JPEG"]
    dataset = Carried(torch.eye(7)[:2], [6, 6], names)
    result = evaluate_classifier(Session(), Preset(7), dataset, real_labels=[[4], [0, 3]])
    assert result["real"] == {"top1": 0.5, "scored": 2, "empty": 0}


def test_a_folder_of_imagenet_with_missing_classes():
    synsets = imagenet_synsets()
    assert (len(synsets), synsets[0], synsets == sorted(synsets)) == (1000, "n01440764", True)
    assert matched_classes(named_images(synsets), Preset(1000)).classes == synsets
    few = [name for name in synsets if name not in ("n01443537", "n15075141")]
    with pytest.raises(InputError, match=r"998 of the .* 1000.*2 missing: n01443537, n15075141"):
        matched_classes(named_images(few), Preset(1000))
    other = sorted([*few, "n00000001", "n00000002"])
    with pytest.raises(InputError, match=r"2 missing.*2 unknown to it: n00000001, n00000002"):
        matched_classes(named_images(other), Preset(1000))


def test_named_classes_are_matched_by_name():
    network = Preset(3, ["cat", "dog", "emu"])
    dataset = named_images(["emu", "cat", "dog"])
    assert matched_classes(dataset, network).labels == [2, 0, 1]
    with pytest.raises(InputError, match=r"2 of the classifier's 3 classes; 1 missing: emu"):
        matched_classes(named_images(["cat", "dog"]), network)


def test_unnamed_classes_are_matched_by_number():
    with pytest.raises(InputError, match="2 classes, the classifier 3"):
        matched_classes(named_images(["a", "b"]), Preset(3))
    numbers = sorted(map(str, range(12)))
    with pytest.raises(InputError, match=r"sorted as words.*pad them"):
        matched_classes(named_images(numbers), Preset(12))
    padded = [f"{i:02d}" for i in range(12)]
    assert matched_classes(named_images(padded), Preset(12)).classes == padded


def config_of(tmp_path, **changes):
    data = ImagesConfig(str(write_colours(tmp_path / "data")), workers=0)
    run = write_folder(tmp_path / "run", taught(data.root, wrong=(1, 5)))
    config = classification.Config(BackboneConfig(weights=str(run)), data)
    return replace(config, out=str(tmp_path / "out"), **changes)


@pytest.mark.parametrize("antialias", [True, False])
def test_the_transform_is_the_one_asked_for(tmp_path, monkeypatch, antialias):
    asked, make = [], classification.eval_transform
    monkeypatch.setattr(
        classification, "eval_transform", lambda *args: (asked.append(args), make(*args))[1]
    )
    config = config_of(tmp_path, protocol="short-side", antialias=antialias)
    classification.run(config, Session())
    assert [(args[0], tuple(args[1]), args[3]) for args in asked] == [
        ("short-side", (16, 24), antialias)
    ]


def test_run_prints_and_writes(tmp_path, capsys):
    record = classification.run(config_of(tmp_path), Session())
    assert record["per_class"] == pytest.approx({"blue": 2 / 3, "green": 2 / 3, "red": 1})
    assert "top-1   77.78%" in capsys.readouterr().out
    written = json.loads((tmp_path / "out/classification.json").read_text())
    assert written["top1"] == record["top1"]
    assert written["config"]["data"]["root"] == str(tmp_path / "data")
    assert written["image_size"] == [16, 24]


def test_what_cannot_be_evaluated(tmp_path):
    with pytest.raises(InputError, match=r"--model\.weights"):
        classification.run(config_of(tmp_path, model=BackboneConfig("mixer_c16_l1_p8")), Session())
    config = config_of(tmp_path / "b", protocol="timm")
    with pytest.raises(InputError, match="--protocol timm:<model>"):
        classification.run(config, Session())
    named = replace(config, model=BackboneConfig("mixer_s16", weights="x"))
    assert classification.named_protocol("timm", named.model) == "timm:mixer_s16_224"
    tagged = BackboneConfig("timm:mixer_b16_224", weights="timm:miil_in21k")
    assert classification.named_protocol("timm", tagged) == "timm:mixer_b16_224.miil_in21k"
    assert classification.named_protocol("squash", tagged) == "squash"


def test_two_processes_give_the_result_of_one(tmp_path):
    """Eleven images on two processes: unequal shares, padded batches, and one broken file."""
    config = config_of(tmp_path)
    for i in range(2):
        noise(9, 9, seed=50 + i).save(tmp_path / f"data/red/extra{i}.png")
    (tmp_path / "data/blue/0.png").write_bytes(b"broken")
    results = []
    for processes in (1, 2):
        words = ["--model.weights", config.model.weights, "--data.root", config.data.root]
        words += ["--data.skip-bad", 1, "--eval.batch-size", 4, "--data.workers", 0]
        words += ["--out", tmp_path / str(processes)]
        done = launch(entry.main, "classification", *words, processes=processes)
        assert done.returncode == 0, done.output
        results.append(json.loads((tmp_path / f"{processes}/classification.json").read_text()))
        assert done.output.count("top-1") == 1
    assert 0 < results[0]["top1"] < 1
    for name in ("images", "unreadable", "top1", "per_class"):
        assert results[0][name] == results[1][name]
    assert (results[0]["images"], results[0]["unreadable"]) == (10, 1)


def test_a_network_of_another_package_is_a_classifier_too(tmp_path):
    backbone = create_backbone("timm:test_resnet", (32, 64))
    run = write_folder(tmp_path / "run", Classifier(backbone, 3, list(COLOURS)))
    config = replace(config_of(tmp_path / "x"), model=BackboneConfig(weights=str(run)))
    record = classification.run(config, Session())
    assert record["image_size"] == (32, 64)
    assert record["top1"] == pytest.approx(1 / 3)  # a zero head always says the same class
