"""benchmarks/gpu.py in its smallest form, on a CPU: what it leaves, whatever happens to a phase."""

import json
import signal
import time

import pytest

from benchmarks import gpu
from benchmarks.gpu_phases import Phase, apart
from core.errors import InputError
from core.models.classifier import load_classifier
from tests.core.data.packed_toy import write_packed
from tests.core.launch import launch

SMALLEST = ["--device", "cpu", "--smallest"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder with 16 images of two classes to train on, and as many to test on."""
    return write_packed(tmp_path_factory.mktemp("packed"), ("train", "test_half"), size=(20, 20))


def benchmark(main, out, phases, *words, minutes=20):
    words = ["--out", out, "--phases", phases, "--minutes", minutes, *words]
    done = launch(main, *SMALLEST, *words)
    return done, {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}


def table(record, title):
    """Rows of a phase's table as dicts."""
    found = next(t for t in record["tables"] if t["title"].startswith(title))
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def test_all_is_right_on_the_cpu(tmp_path):
    done, records = benchmark(gpu.main, tmp_path / "out", "correct,fsdp")
    assert done.returncode == 0, done.output
    assert set(records) == {"correct", "fsdp"}
    record = records["correct"]
    errors = table(record, "Against float32 on the CPU")
    assert {row["precision"] for row in errors} == {"fp32", "tf32", "bf16-autocast", "bf16-pure"}
    assert all((row["relative error"] == 0) == ("bf16" not in row["precision"]) for row in errors)
    assert [row["layout"] for row in table(record, "Golden logits")] == ["linen", "old"]
    assert [row["losses"] for row in table(record, "Killed and resumed")] == [0, 0]
    assert {row["graph breaks"] for row in table(record, "torch.compile")} == {0}
    assert [row["holds"] for row in table(record, "torch.export")] == [True]
    fsdp = table(records["fsdp"], "FSDP2 against plain")
    assert [(row["precision"], row["holds"]) for row in fsdp] == [("no", True)]
    assert "## correct: done" in (tmp_path / "out/gpu.md").read_text()


def test_speed_and_trainings_leave_figures_and_small_weights(packed, tmp_path):
    folders, out = ["--photos", packed, "--cifar", packed], tmp_path / "out"
    done, records = benchmark(gpu.main, out, "speed,photos,cifar10_fractals", *folders)
    assert done.returncode == 0, done.output
    for row in table(records["speed"], "Images a second"):
        assert row["images/s"] > 0
        assert row["of peak"] == pytest.approx(row["TFLOP/s"] / 989)
    rows = {row["run"]: row for row in table(records["cifar10_fractals"], "Trainings")}
    assert list(rows) == ["pretraining", "run"]
    plan = records["cifar10_fractals"]["figures"]["run_plan"]
    assert plan["planned_epochs"] == plan["epochs"] == 4
    assert rows["run"]["steps"] == plan["steps"] == round(plan["epochs"] * 16 / 8)
    kept = [path.name for path in out.glob("photos/run/checkpoints/*/*.safetensors")]
    assert kept == ["ema.safetensors"]
    network = load_classifier(next(out.glob("photos/run/checkpoints/*")))
    assert network.classes == ["blue", "red"]


def test_a_phase_that_fails_or_does_not_end_leaves_the_others_be(tmp_path):
    begun = time.monotonic()
    done, records = benchmark(broken_main, tmp_path / "out", "fails,dies,hangs,fine", minutes=0.5)
    assert time.monotonic() - begun < 60
    assert done.returncode == 1
    ends = {name: (record["state"], record["reason"]) for name, record in records.items()}
    assert ends["fails"] == ("failed", "ValueError: no such thing")
    assert ends["dies"] == ("failed", "ended by SIGKILL")
    assert ends["hangs"][0] == "stopped"
    assert ends["fine"] == ("done", "")
    assert {record["figures"]["before"] for record in records.values()} == {1}
    summary = (tmp_path / "out/gpu.md").read_text()
    assert [line.split(":")[0] for line in summary.split("\n") if line.startswith("## ")] == [
        "## fails",
        "## dies",
        "## hangs",
        "## fine",
    ]


def broken_main():
    apart.GRACE = gpu.GRACE = 0.5
    works = {"fails": fail, "dies": die, "hangs": hang, "fine": lambda task, record: None}
    weights = {"hangs": 0.05}  # about a second of the half minute
    gpu.PHASES = {name: Phase(noted(work), weights.get(name, 1.0)) for name, work in works.items()}
    gpu.BEGUN = time.monotonic()
    gpu.main()


def noted(work):
    def both(task, record):
        record.add(before=1)
        work(task, record)

    return both


def fail(task, record):
    raise ValueError("no such thing")


def die(task, record):
    signal.raise_signal(signal.SIGKILL)


def hang(task, record):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--phases", "corect"], "there is no phase 'corect'. Did you mean correct?"),
        (["--phases", "photos"], "phase photos needs --photos"),
        (["--cifar", "nowhere"], "nowhere holds no train.npz"),
    ],
)
def test_what_cannot_be_run_is_said_at_once(words, message):
    with pytest.raises(InputError) as caught:
        gpu.chosen(gpu.parse(words))
    assert str(caught.value).startswith(message)


def test_without_data_the_trainings_are_left_out():
    assert gpu.chosen(gpu.parse([])) == ["correct", "speed", "fsdp"]
