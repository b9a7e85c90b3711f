"""Avg 5 and VTAB-1k: a mean only of the whole suite, and what is missing by name."""

import json
from dataclasses import replace

import pytest
import torch

from core import InputError, create_backbone
from core.evaluation import suite
from core.evaluation.transfer_suites import AVG5, VTAB, Suite, Task
from core.models.classifier import Classifier
from core.training.session import Session
from tests.core.data.test_images import noise
from tests.core.models.test_classifier import write_folder


def write_set(root, classes):
    for i in range(classes):
        (root / f"class{i:03d}").mkdir(parents=True)
        noise(16, 24, seed=i).save(root / f"class{i:03d}/0.png")
    return str(root)


def write_run(path, classes, says=0):
    """A classifier that says the same of every image."""
    network = Classifier(create_backbone("mixer_c16_l1_p8", (16, 24)), classes)
    torch.nn.init.constant_(network.head.bias[says], 1.0)
    return str(write_folder(path, network))


@pytest.fixture
def small_suite(monkeypatch):
    tasks = {"cats": Task(2, "val", "g"), "dogs": Task(3), "emus": Task(4)}
    small = Suite("small", tasks, ("how it is tuned",))
    monkeypatch.setitem(suite.SUITES, "avg5", small)
    return small


def whole_suite(tmp_path, small, names):
    counts = {name: small.tasks[name].classes for name in names}
    data = [f"{n}={write_set(tmp_path / 'data' / n, c)}" for n, c in counts.items()]
    runs = [f"{n}={write_run(tmp_path / 'runs' / n, c)}" for n, c in counts.items()]
    return suite.Config(data=tuple(data), runs=tuple(runs), workers=0, out=str(tmp_path / "out"))


def test_the_suites_are_the_published_ones():
    assert list(AVG5.tasks) == ["imagenet", "cifar10", "cifar100", "pets", "flowers102"]
    groups = [task.group for task in VTAB.tasks.values()]
    counts = [groups.count(name) for name in ("natural", "specialized", "structured")]
    assert counts == [7, 4, 8]


def test_a_whole_suite_has_a_mean(tmp_path, small_suite, capsys):
    record = suite.run(whole_suite(tmp_path, small_suite, small_suite.tasks), Session())
    top1 = [row["top1"] for row in record["tasks"].values()]
    assert top1 == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert record["mean"] == pytest.approx(sum(top1) / 3)
    assert record["groups"] == {"g": top1[0]}
    printed = capsys.readouterr().out
    assert f"\nmean {100 * record['mean']:.2f}%" in printed
    assert "how it is tuned" in printed
    assert "partial" not in printed
    assert json.loads((tmp_path / "out/suite.json").read_text())["mean"] == record["mean"]


def test_a_suite_with_missing_sets_has_no_mean(tmp_path, small_suite, capsys):
    config = whole_suite(tmp_path, small_suite, ["dogs", "emus"])
    config = replace(config, runs=config.runs[:1])
    record = suite.run(config, Session())
    assert record["mean"] is None
    assert record["missing"] == ["cats", "emus"]
    assert record["groups"] == {}
    printed = capsys.readouterr().out
    assert "no mean: missing cats, emus" in printed
    assert "missing: no data, no run" in printed
    assert "missing: no run" in printed
    assert "mean of 1 of 3" in printed
    assert "\nmean " not in printed


def test_nothing_given(small_suite, capsys, tmp_path):
    record = suite.run(suite.Config(out=str(tmp_path)), Session())
    assert (record["mean"], record["partial_mean"]) == (None, None)
    assert "no mean: missing cats, dogs, emus" in capsys.readouterr().out


def test_several_runs_of_a_set_are_averaged(tmp_path, small_suite):
    config = whole_suite(tmp_path, small_suite, ["dogs"])
    for i in range(3):
        noise(8, 8).save(tmp_path / f"data/dogs/class001/more{i}.png")
    other = f"dogs={write_run(tmp_path / 'other', 3, says=1)}"
    row = suite.run(replace(config, runs=(*config.runs, other)), Session())["tasks"]["dogs"]
    assert list(row["runs"].values()) == pytest.approx([1 / 6, 4 / 6])
    assert row["top1"] == pytest.approx(2.5 / 6)


def test_a_yaml_file_and_the_command_line(tmp_path, small_suite):
    (tmp_path / "sets.yaml").write_text(
        "cats: {data: hub:me/cats, split: validation, runs: [runs/cats]}\ndogs: {data: dogs}\n"
    )
    config = suite.Config(tasks=str(tmp_path / "sets.yaml"), runs=("dogs=a", "dogs=b"))
    entries = suite.read_entries(config)
    assert entries["cats"] == suite.Entry("hub:me/cats", "validation", ("runs/cats",))
    assert entries["dogs"] == suite.Entry("dogs", "", ("a", "b"))


@pytest.mark.parametrize("antialias", [True, False])
def test_a_set_is_read_as_it_is_said(tmp_path, small_suite, monkeypatch, antialias):
    """The split of the yaml file, unreadable images that are allowed, and the transform."""
    for split in ("val", "other"):
        write_set(tmp_path / "data" / split, 2)
    noise(8, 8).save(tmp_path / "data/other/class001/1.png")
    (tmp_path / "data/other/class001/0.png").write_bytes(b"broken")
    run = write_run(tmp_path / "run", 2)
    (tmp_path / "sets.yaml").write_text(
        f"cats: {{data: {tmp_path / 'data'}, split: other, runs: [{run}]}}\n"
    )
    asked, make = [], suite.eval_transform
    monkeypatch.setattr(suite, "eval_transform", lambda *a: (asked.append(a), make(*a))[1])
    config = suite.Config(
        tasks=str(tmp_path / "sets.yaml"),
        skip_bad=1,
        workers=0,
        protocol="direct",
        antialias=antialias,
        out=str(tmp_path / "out"),
    )
    row = suite.run(config, Session())["tasks"]["cats"]
    assert (row["images"], row["unreadable"], row["top1"]) == (2, 1, 0.5)
    assert asked[-1][0] == "direct"
    assert asked[-1][3] == antialias


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ("cat=x",)}, r"no data set 'cat'. Did you mean cats\?"),
        ({"data": ("cats",)}, "--data cats: expected NAME=VALUE"),
        ({"data": ("cats=/nowhere",)}, "/nowhere is no folder"),
        ({"runs": ("cats=/nowhere",)}, "/nowhere does not exist"),
        ({"tasks": "/nowhere.yaml"}, r"/nowhere\.yaml: No such file or directory: check --tasks"),
    ],
)
def test_what_a_suite_refuses(small_suite, changes, words):
    with pytest.raises(InputError, match=words):
        suite.run(suite.Config(**changes), Session())


def test_another_data_set_by_the_name_is_refused(tmp_path, small_suite):
    data = write_set(tmp_path / "data", 2)
    with pytest.raises(InputError, match="has 2 classes, dogs has 3"):
        suite.run(suite.Config(data=(f"dogs={data}",)), Session())
    run = write_run(tmp_path / "run", 5)
    config = suite.Config(data=(f"cats={data}",), runs=(f"cats={run}",))
    with pytest.raises(InputError, match="2 classes, the classifier 5"):
        suite.run(config, Session())
