"""The evaluation script that all apps share."""

import json
from dataclasses import dataclass

import pytest

from core import InputError
from core.app.commands import Report, evaluation_command
from core.models.classifier import Classifier
from tests.core.app.conftest import SmallConfig


@dataclass(frozen=True)
class Options:
    """Of this app."""

    suite: str = "val"
    flip_test: bool = False  # average with the mirror image


def evaluate(*argv):
    """Call the command; what its report was given."""
    calls = []

    def report(session, words):
        calls.append((words.run, words.options, words.output, words.said))
        return Report(words.run.config.data.root, {"top1": 0.5}, {"classes": ["a"]})

    words = [str(word) for word in argv]
    evaluation_command("Evaluate.", SmallConfig, Classifier, report, Options, words)
    return calls[0]


def test_the_record_of_an_evaluation(small_run, capsys):
    folder, network = small_run
    run, options, output, _ = evaluate(folder)
    record = json.loads((folder / "eval.json").read_text())
    assert list(record) == ["what", "data", "network", "figures", "commit", "classes"]
    assert record["what"] == str(run.checkpoint)
    assert (record["data"], record["figures"]) == ("photos", {"top1": 0.5})
    assert record["network"] == json.loads(json.dumps(network.describe()))
    assert (options, output) == (Options(), folder)
    assert f"figures: {folder / 'eval.json'}" in capsys.readouterr().out


def test_settings_of_the_run_can_be_said_anew(small_run, tmp_path):
    folder, _ = small_run
    words = ["--data.root", "paintings", "--flip-test", "--suite=hard", "--output", tmp_path / "o"]
    run, options, output, said = evaluate(folder, *words)
    assert said == {"data.root", "flip_test", "suite", "output"}
    assert (run.config.data.root, run.config.data.images) == ("paintings", 3)
    assert options == Options("hard", True)
    assert output == tmp_path / "o"
    assert (output / "eval.json").is_file()
    assert not (folder / "eval.json").exists()


def test_words_that_are_not_understood(small_run, capsys):
    folder, _ = small_run
    for words in ([], ["--data.root", "x", folder]):
        with pytest.raises(InputError, match="give the folder of a run"):
            evaluate(*words)
    with pytest.raises(InputError, match=r"--count is now --data.images"):
        evaluate(folder, "--count", 3)
    with pytest.raises(SystemExit) as stop:
        evaluate(folder, "--data.rooot", "x")
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        evaluate("--help")
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "--flip-test" in printed
    assert "--data.root" in printed
    assert "RUN" in printed
