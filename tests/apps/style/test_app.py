"""The style app's inference, training, comparison and entry points, on paintings of its own."""

import csv
import itertools
import json
import math
import os
import struct
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from apps.style import compare, predict
from apps.style import eval as style_eval
from apps.style import train as style_train
from apps.style.config import BALANCING, OPTIMIZERS, PRESETS, debug
from apps.style.data.dataset import DataConfig, open_paintings
from apps.style.data.sampling import SquareRoot
from apps.style.data.source import StyleData, prepared
from apps.style.evaluation.inference import occlusion_map, predict_all
from apps.style.evaluation.metrics import style_metrics
from apps.style.losses import LossConfig
from apps.style.paintings import write_paintings
from core import InputError
from core.data.augment import AugmentConfig
from core.data.images.files import decode
from core.data.loading import BadSample, TrainLoader
from core.data.streams.labelled import LabelledStream
from core.training.folder import read_metrics
from core.training.optim import OptimConfig, create_optimizer
from core.training.optimistic import OptimisticAdam
from core.training.session import Session, build_accelerator
from tests.apps.style.test_data import painting, write_artgan
from tests.core.data.stream_toy import write_parquet
from tests.core.launch import launch

STYLES, TRAIN, VAL = 12, 3, 1  # paintings of each style


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    root = tmp_path_factory.mktemp("paintings")
    return write_paintings(root, TRAIN, VAL, seed=0, size=32, workers=1)


@pytest.fixture(scope="module")
def learned(paintings, tmp_path_factory):
    """The folder of a run of the debug preset that has gone on for 60 steps."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    words = [
        "--model.backbone",
        "mixer_c32_l2_p8",
        "--augment.crop-area",
        1,
        1,
        "--augment.flip",
        0,
    ]
    words += ["--run.steps", 60, "--run.batch-size", 24, "--run.log-every", 20]
    words += ["--data.root", paintings, "--run.folder", folder]
    done = launch(style_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    return folder


def complaint(done):
    """The one line for a person."""
    assert done.returncode == 2, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("error:")]
    assert "Traceback" not in done.output
    return line


def config_of(folder, root="", **changes):
    """The debug preset with other fields; steps, batch_size and so on go to the run."""
    base = debug()
    names = set(base.run.__dataclass_fields__)
    run = {name: value for name, value in changes.items() if name in names}
    rest = {name: value for name, value in changes.items() if name not in names}
    data = rest.pop("data", replace(base.data, root=str(root)))
    return replace(base, data=data, run=replace(base.run, folder=str(folder), **run), **rest)


def listed(root, side):
    """(path, style) of one side of the embedded paintings."""
    classes = (root / "Style/style_class.txt").read_text().split()[1::2]
    with open(root / f"Style/style_{side}.csv", newline="") as file:
        return [(str(root / path), classes[int(label)]) for path, label in csv.reader(file)]


def write_csv(path, rows):
    path.write_text("\n".join(["path,class,split", *map(",".join, rows)]))
    return path


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_state_what_to_expect(preset):
    assert len(PRESETS[preset].__doc__.split()) > 8
    assert PRESETS[preset]().run.folder == f"runs/style/{preset}"


# where the network looks


class Watcher(nn.Module):
    """Its first class is as likely as one part of the image is bright."""

    def __init__(self, rows, columns):
        super().__init__()
        self.part = (slice(None), slice(None), rows, columns)

    def forward(self, images):
        brightness = images[self.part].mean((1, 2, 3))
        return torch.stack([4 * brightness, torch.zeros_like(brightness)], 1)


@pytest.mark.parametrize("cell", [(2, 5), (0, 7)])
def test_occlusion_of_a_known_part(cell):
    """Cells are eighths of a side; of the windows of 2x2 cells that cover one, some hide `cell`."""
    rows, columns = slice(6 * cell[0], 6 * cell[0] + 6), slice(4 * cell[1], 4 * cell[1] + 4)
    image = torch.zeros(3, 48, 32)
    image[:, rows, columns] = 1
    drops = occlusion_map(Watcher(rows, columns), image, 0)
    sigmoid = torch.sigmoid(torch.tensor([4.0, 4 / 64]))  # seen, and filled with the mean colour
    starts = [{s for s in (i - 1, i) if 0 <= s < 7} for i in range(8)]
    share = [
        [len(starts[i] & starts[c]) / len(starts[i]) for i in range(8)] for c in cell
    ]  # of the windows over row or column i
    expected = float(sigmoid[0] - sigmoid[1]) * np.outer(*share)
    assert drops.shape == (48, 32)
    np.testing.assert_allclose(drops, np.kron(expected, np.ones((6, 4))), atol=1e-6)
    other = occlusion_map(Watcher(rows, columns), image, 1)
    np.testing.assert_allclose(other, -drops, atol=1e-6)


def test_occlusion_where_windows_do_not_divide_the_image():
    image = torch.zeros(3, 37, 50)
    image[:, 20:23, 30:33] = 1
    drops = occlusion_map(Watcher(slice(20, 23), slice(30, 33)), image, 0, batch_size=10)
    assert drops.shape == (37, 50)
    row, column = divmod(int(drops.argmax()), 50)
    assert 18 <= row <= 25
    assert 25 <= column <= 37
    assert (drops[:9] == 0).all()
    assert (drops[:, :18] == 0).all()


# predictions, exact on any number of processes


class Tiles(Dataset):
    """Eleven random images, of which one cannot be read."""

    BAD = 4

    def __len__(self):
        return 11

    def __getitem__(self, i):
        if i == self.BAD:
            raise BadSample(f"tile-{i}.jpg", "truncated")
        return {"image": tile(i), "label": i % 3}


def tile(i):
    return torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(i))


def tile_network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))


def predict_tiles():
    """An entry point: predict_all, kept in the named folder by each process."""
    session = Session(build_accelerator())
    found = predict_all(session, tile_network(), Tiles(), 3, skip_bad=1)
    np.savez(Path(sys.argv[1]) / f"{session.world}-{session.rank}.npz", **vars(found))
    session.accelerator.end_training()


def test_predictions_are_the_same_on_one_and_two_processes(tmp_path):
    for processes in (1, 2):
        done = launch(predict_tiles, tmp_path, processes=processes)
        assert done.returncode == 0, done.output
        assert "left out: tile-4.jpg: truncated" in done.output
    readable = [i for i in range(11) if i != Tiles.BAD]
    logits = tile_network()(torch.stack([tile(i) for i in readable])).detach().double()
    for name in ("1-0", "2-0", "2-1"):
        found = np.load(tmp_path / f"{name}.npz")
        assert found["index"].tolist() == readable
        assert found["labels"].tolist() == [i % 3 for i in readable]
        np.testing.assert_allclose(found["probabilities"], logits.softmax(-1), atol=1e-6)


def test_nothing_to_predict():
    class Unreadable(Tiles):
        BAD = 0

        def __len__(self):
            return 1

    with pytest.raises(InputError, match=r"tile-0\.jpg: truncated"):
        predict_all(Session(), tile_network(), Unreadable(), 3)


# training


def test_training_paintings_are_learnt(learned, paintings, tmp_path, command):
    """Evaluated by a csv file, as other data are."""
    rows = [(path, style, "val") for path, style in listed(paintings, "train")]
    file = write_csv(tmp_path / "train.csv", rows)
    done = command(style_eval.main, learned, "--data.csv", file, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "out/eval.json").read_text())
    assert np.sum(record["confusion"]) == STYLES * TRAIN
    assert record["metrics"]["top1"] > 0.7  # chance is 0.083


@pytest.fixture
def unequal(paintings, tmp_path):
    """Three styles with 3, 2 and 1 paintings to train on."""
    counts, train = {"Cubism": 3, "Engraving": 2, "Ukiyo_e": 1}, listed(paintings, "train")
    kept = [[row for row in train if row[1] == style][:n] for style, n in counts.items()]
    rows = [(*row, "train") for group in kept for row in group]
    rows += [(*row, "val") for row in listed(paintings, "val") if row[1] in counts]
    return DataConfig(csv=str(write_csv(tmp_path / "unequal.csv", rows)), workers=0)


def first_labels(config, sampling):
    """Labels of the first training batch."""
    images = open_paintings(config.data, "train", lambda image: torch.zeros(1), tell=list)
    images = SquareRoot(images) if sampling == "square_root" else images
    return next(TrainLoader(images, config.run.batch_size).batches())["label"]


@pytest.mark.parametrize("sampling", ["plain", "square_root"])
@pytest.mark.parametrize("name", ["plain", "weighted", "logit_adjusted", "focal"])
def test_the_first_loss_of_a_run_by_hand(unequal, tmp_path, name, sampling):
    """A new head is zero: every class has probability 1/3."""
    changes = {"loss": LossConfig(name), "sampling": sampling, "batch_size": 3, "steps": 2}
    augment = AugmentConfig()  # without label smoothing
    config = config_of(tmp_path / "run", data=unequal, augment=augment, **changes)
    labels = first_labels(config, sampling)
    counts = torch.tensor([3.0, 2.0, 1.0])
    expected = {
        "plain": torch.full((3,), math.log(3)),
        "weighted": math.log(3) * 6 / (3 * counts),
        "logit_adjusted": -(counts / 6).log(),
        "focal": torch.full((3,), (2 / 3) ** 2 * math.log(3)),
    }[name][labels].mean()
    assert style_train.train(config).done == 2
    rows = [row for row in read_metrics(tmp_path / "run") if "loss" in row]
    assert rows[0]["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_mixup_runs_and_changes_the_training(unequal, tmp_path):
    losses = []
    for mixup in (0.0, 5.0):
        augment = AugmentConfig(mixup=mixup)
        changes = {"steps": 2, "batch_size": 4, "augment": augment, "optim": OptimConfig(lr=0.1)}
        config = config_of(tmp_path / f"{mixup}", data=unequal, **changes)
        style_train.train(config)
        rows = [row for row in read_metrics(tmp_path / f"{mixup}") if "loss" in row]
        losses.append([row["loss"] for row in rows])
    assert losses[0][0] == pytest.approx(losses[1][0])
    assert losses[0][1] != pytest.approx(losses[1][1], rel=1e-3)


def recording_train():
    """train.main that notes which rows of a stream each process takes, in RECORD-<rank>."""
    item = LabelledStream.item

    def recorded(self, shard, index, sample):
        side = "val" if " val (" in self.source else "train"
        with open(f"{os.environ['RECORD']}-{os.environ['RANK']}", "a") as file:
            file.write(f"{side} {sample.name}\n")
        return item(self, shard, index, sample)

    LabelledStream.item = recorded
    style_train.main()


def test_two_processes_train_on_every_row_of_a_stream_once_an_epoch(tmp_path):
    lengths = [9, 14, 7]
    draws = ([np.random.default_rng([s, k]).random(n) for k, n in enumerate(lengths)]
             for s in itertools.count())  # fmt: skip
    counts = (int((np.concatenate(drawn) >= 0.3).sum()) for drawn in draws)
    seed, rows = next((s, n) for s, n in enumerate(counts) if n % 4 == 0)
    root = f"{write_parquet(tmp_path / 'hub', lengths)}#label"
    words = ["--data.root", root, "--data.stream", "--data.split", "stratified"]
    words += ["--data.seed", seed, "--data.workers", 0, "--data.buffer", 6]
    words += ["--run.steps", 0, "--run.epochs", 2, "--run.batch-size", 4]
    words += ["--run.folder", tmp_path / "run"]
    environment = {"RECORD": str(tmp_path / "rows"), "MIXER_CACHE": str(tmp_path / "cache")}
    done = launch(recording_train, "debug", *words, processes=2, environment=environment)
    assert done.returncode == 0, done.output
    seen = [(tmp_path / f"rows-{rank}").read_text().splitlines() for rank in range(2)]
    train = [[line for line in lines if line.startswith("train")] for lines in seen]
    assert [len(lines) for lines in train] == [rows, rows]  # two epochs of half of them
    for epoch in (slice(0, rows // 2), slice(rows // 2, rows)):
        assert set(Counter(train[0][epoch] + train[1][epoch]).values()) == {1}
    val = {line.split()[1] for lines in seen for line in lines if line.startswith("val")}
    trained = {line.split()[1] for lines in train for line in lines}
    assert not val & trained
    assert len(val | trained) == 30


# evaluation


def test_evaluation(learned, paintings, tmp_path, command):
    """Twelve unseen paintings; the figures are those of the definitions."""
    done = command(style_eval.main, learned, "--output", tmp_path, "--batch-size", 5)
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "eval.json").read_text())
    config, network, _ = style_eval.open_run(learned, Session())
    val = prepared(open_paintings(config.data, "val"), config.protocol, network)
    found = predict_all(Session(), network, val, 5)
    expected = style_metrics(found.probabilities, found.labels)
    assert record["metrics"] == pytest.approx(expected, abs=1e-6)
    assert np.sum(record["confusion"], 1).tolist() == [VAL] * STYLES
    assert [row["name"] for row in record["classes"]] == network.classes
    assert "NaN" not in (tmp_path / "eval.json").read_text()
    assert f"{expected['top1']:.4f}" in done.output
    assert expected["top1"] < 1
    for name in ("confusion.png", "mistakes.jpg"):
        assert min(decode(str(tmp_path / "pictures" / name)).size) > 100


def test_evaluation_on_other_classes(learned, paintings, tmp_path, command):
    rows = [(path, style, "val") for path, style in listed(paintings, "val")]
    file = write_csv(tmp_path / "some.csv", rows[:3])
    line = complaint(command(style_eval.main, learned, "--data.csv", file))
    assert "has 3 of the classifier's 12 classes" in line
    renamed = [(path, "Rococo" if style == "Cubism" else style, side) for path, style, side in rows]
    file = write_csv(tmp_path / "other.csv", renamed)
    line = complaint(command(style_eval.main, learned, "--data.csv", file))
    assert "missing: Cubism; 1 unknown to it: Rococo" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data.split", "artsit"], "invalid choice: 'artsit'"),
        (["--data.classes", 5], "invalid choice: 5"),
        (["--batch-size", 0], "--batch-size is 0: at least 1"),
        (["--data.root", "nowhere"], "nowhere is no folder"),
    ],
)
def test_evaluation_of_what_does_not_exist(learned, command, words, expected):
    done = command(style_eval.main, learned, *words)
    assert done.returncode == 2
    assert expected in done.output


# predictions of files


def test_prediction_of_files_and_folders(learned, paintings, tmp_path, command):
    """A text file and half a JPEG are named; three files of one name have a picture each."""
    (path, _), *_ = listed(paintings, "val")
    content = Path(path).read_bytes()
    for name in ("a/x.jpg", "a/deep/x.jpg", "b/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not a painting")
    (tmp_path / "a/half.jpg").write_bytes(content[: len(content) // 2])
    words = [tmp_path / "notes.txt", tmp_path / "a", tmp_path / "b/x.jpg"]
    done = command(predict.main, learned, *words, "--output", tmp_path / "out")
    assert complaint(done) == "error: 2 of 5 images could not be read"
    for name in ("notes.txt", "a/half.jpg"):
        assert f"left out: {tmp_path / name} cannot be read" in done.output
    out = tmp_path / "out/predictions"
    records = json.loads((out / "predictions.json").read_text())
    assert {r["image"] for r in records} == {
        str(tmp_path / n) for n in ("a/x.jpg", "a/deep/x.jpg", "b/x.jpg")
    }
    assert {r["picture"] for r in records} == {"x.jpg", "x-2.jpg", "x-3.jpg"}
    assert {p.name for p in out.glob("*.jpg")} == {r["picture"] for r in records}
    config, network, _ = style_eval.open_run(learned, Session())
    val = prepared(open_paintings(config.data, "val"), config.protocol, network)
    found = predict_all(Session(), network, val, 12).probabilities[0]
    best = np.argsort(-found)[:5]
    for record in records:
        assert list(record["styles"]) == [network.classes[i] for i in best]
        assert list(record["styles"].values()) == pytest.approx(found[best].tolist(), abs=1e-5)


def test_prediction_of_validation_paintings(learned, tmp_path, command):
    done = command(predict.main, learned, "--count", 3, "--output", tmp_path)
    assert done.returncode == 0, done.output
    assert len(list((tmp_path / "predictions").glob("*.jpg"))) == 3
    assert "--count is 0" in complaint(command(predict.main, learned, "--count", 0))


def test_prediction_of_nothing(learned, tmp_path, command):
    (tmp_path / "notes.txt").write_text("not a painting")
    done = command(predict.main, learned, tmp_path / "notes.txt", "--output", tmp_path / "out")
    assert complaint(done) == "error: none of the images could be read"
    assert f"no image in {tmp_path}" in complaint(command(predict.main, learned, tmp_path))
    assert "does not exist" in complaint(command(predict.main, learned, tmp_path / "none.jpg"))


# the comparison of optimizers


def test_a_comparison_goes_on_where_it_stopped(paintings, tmp_path, capsys):
    base = config_of("", paintings)
    config = replace(compare.debug(), base=base, out=str(tmp_path / "out"))
    folders = [tmp_path / "out/mixer_c16_l2_p8" / f"{o}-{s}" for o in ("adam", "sgd") for s in "01"]
    first = compare.compare(replace(config, seeds=(0,)))
    kept = {f: (f / "metrics.jsonl").read_text() for f in folders if f.exists()}
    times = {f: os.stat(f / "checkpoints/last/model.safetensors").st_mtime_ns for f in kept}
    assert [f.name for f in kept] == ["adam-0", "sgd-0"]
    scores = compare.compare(config)
    assert all((f / "metrics.jsonl").read_text() == text for f, text in kept.items())
    for folder, time in times.items():
        assert os.stat(folder / "checkpoints/last/model.safetensors").st_mtime_ns == time
    for optimizer in ("adam", "sgd"):
        values = scores["mixer_c16_l2_p8"][optimizer]
        assert values[0] == first["mixer_c16_l2_p8"][optimizer][0]
        folders = [tmp_path / f"out/mixer_c16_l2_p8/{optimizer}-{seed}" for seed in (0, 1)]
        rows = [row for folder in folders for row in read_metrics(folder)]
        assert values == [row["eval/top1"] for row in rows if "eval/top1" in row]
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert record["scores"] == scores
    assert "permutation test" in record["table"][-1]
    assert record["table"][-1] in capsys.readouterr().out
    assert min(decode(str(tmp_path / "out/compare.png")).size) > 100


def test_each_way_of_balancing_is_alone():
    base = replace(compare.debug().base, sampling="square_root")
    base = replace(base, augment=AugmentConfig(mixup=0.3, label_smoothing=0.2))
    config = replace(compare.debug(), base=base, balancing=tuple(BALANCING), optimizers=("sgd",))
    runs = {row: compare.one_run(config, "mixer_c16_l2_p8", row, 0) for row in compare.rows(config)}

    def settings(run):
        return run.loss.name, run.sampling, run.augment.label_smoothing, run.augment.mixup

    plain = settings(runs["sgd plain"])
    assert plain == ("plain", "plain", 0.0, 0.0)
    for way in BALANCING:
        changed = [a != b for a, b in zip(settings(runs[f"sgd {way}"]), plain, strict=True)]
        assert sum(changed) == (way != "plain")
    assert len({run.run.folder for run in runs.values()}) == len(BALANCING)
    assert compare.one_run(replace(config, balancing=()), "m", "sgd", 0).augment == base.augment


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--optimizers", "adam", "adamx"], "optimizers: no 'adamx'. Did you mean adam"),
        (["--models", "mixer_c16_l2_p8", "mixer_b17"], "mixer_b17"),
        (["--balancing", "focl"], "balancing: no 'focl'. Did you mean focal"),
        (["--seeds", 1, 1], "seeds are (1, 1): give one at least, and none twice"),
    ],
)
def test_a_comparison_of_what_does_not_exist(tmp_path, command, words, expected):
    done = command(compare.main, "debug", *words, "--out", tmp_path / "out")
    assert expected in complaint(done)
    assert not (tmp_path / "out").exists()


def test_the_six_optimizers_are_those_of_torch():
    made = {n: create_optimizer(c, nn.Linear(2, 2)) for n, c in OPTIMIZERS.items()}
    assert {name: type(optimizer) for name, optimizer in made.items()} == {
        "adam": torch.optim.Adam,
        "optimistic_adam": OptimisticAdam,
        "adamax": torch.optim.Adamax,
        "mgd": torch.optim.SGD,
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
    }
    momentum = {n: o.defaults["momentum"] for n, o in made.items() if "momentum" in o.defaults}
    assert momentum == {"mgd": 0.9, "sgd": 0, "rmsprop": 0}
    assert not any(made[name].defaults["nesterov"] for name in ("mgd", "sgd"))
    assert made["rmsprop"].defaults["alpha"] == 0.99
    assert not any(g["weight_decay"] for o in made.values() for g in o.param_groups)


# bad input, through train.py


def bomb():
    """A PNG that says it has 20,000 x 20,000 pixels."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def spoil(root, damage):
    """Damage an ArtGAN copy; the words that the command is given besides."""
    file = root / "Baroque/artist-0_train-0.jpg"
    if damage == "unlisted":
        (root / "Surrealism").mkdir()
        (root / "Surrealism/salvador-dali_clocks.jpg").write_bytes(file.read_bytes())
    elif damage == "empty":
        rows = (root / "Style/style_train.csv").read_text().splitlines()
        text = "\n".join(row for row in rows if row.startswith("Baroque"))
        (root / "Style/style_train.csv").write_text(text)
    elif damage == "bomb":
        file.write_bytes(bomb())
    elif damage == "truncated":
        file.write_bytes(painting(1, size=(64, 64))[:900])
    elif damage == "split":
        write_csv(root / "list.csv", [("Baroque/artist-0_train-0.jpg", "Baroque", "holdout")])
        return ["--data.csv", root / "list.csv"]
    return []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("unlisted", "Surrealism holds images and is in no list"),
        ("empty", "no image of 1 of 2 classes: Art_Nouveau"),
        ("bomb", "artist-0_train-0.jpg: cannot be read (DecompressionBombError"),
        ("truncated", "artist-0_train-0.jpg: cannot be read (OSError"),
        ("split", "list.csv, line 2: unknown split 'holdout'. Known: train, val"),
    ],
)
def test_bad_input_is_one_line(tmp_path, command, damage, expected):
    root = write_artgan(tmp_path / "artgan", train=2, val=1)
    words = ["debug", "--data.root", root, *spoil(root, damage), "--run.folder", tmp_path / "run"]
    assert expected in complaint(command(style_train.main, *words))


@pytest.mark.parametrize("damage", ["bomb", "truncated"])
def test_bad_paintings_are_skipped_if_allowed(tmp_path, command, damage):
    root = write_artgan(tmp_path / "artgan", train=2, val=1)
    spoil(root, damage)
    words = ["debug", "--data.root", root, "--data.skip-bad", 1, "--run.folder", tmp_path / "run"]
    done = command(style_train.main, *words)
    assert done.returncode == 0, done.output
    (named,) = (tmp_path / "run/skipped.txt").read_text().splitlines()
    assert "artist-0_train-0.jpg" in named


def test_wikiart_is_not_replaced_by_the_embedded_paintings(tmp_path):
    config = config_of(tmp_path, data=DataConfig(classes=27))
    with pytest.raises(InputError, match=r"give WikiArt as --data\.root"):
        StyleData(config, Session())
