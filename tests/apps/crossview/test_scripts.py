"""Evaluation, prediction and comparison of cross-view runs, as they are typed."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from apps.crossview import compare, predict
from apps.crossview import eval as view_eval
from apps.crossview import train as view_train
from apps.crossview.config import CrossViewConfig, DataConfig, EvalConfig
from apps.crossview.data.maps import Palette
from apps.crossview.data.pairs import Pairs
from apps.crossview.data.source import PairData
from apps.crossview.evaluation.perceptual import PerceptualNetworks
from apps.crossview.evaluation.scoring import check_fit, evaluate, score
from apps.crossview.models.network import Generator
from apps.crossview.prediction.readers import read_image
from apps.crossview.presets import debug
from apps.crossview.towns import write_towns
from core import InputError, create_backbone
from core.app.runs import reopen
from core.checkpoints import find_checkpoint
from core.training.session import Session
from tests.core.launch import launch


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    return write_towns(tmp_path_factory.mktemp("towns"), 7, 3, size=32, workers=1)


@pytest.fixture(scope="module")
def trained(towns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["--data.root", towns, "--run.folder", folder, "--run.eval-every", 1]
    done = launch(view_train.main, "debug", *words)
    assert done.returncode == 0, done.output
    return folder


def test_sheets_during_training(trained):
    names = sorted(path.name for path in (trained / "pictures").glob("samples-*.png"))
    assert names == ["samples-00000001.png", "samples-00000002.png"]


def test_evaluation_has_baselines_and_says_what_is_missing(trained, tmp_path):
    records = []
    for processes in (1, 2):
        output = tmp_path / str(processes)
        words = [trained, "--output", output, "--weights", tmp_path]
        done = launch(view_eval.main, *words, processes=processes)
        assert done.returncode == 0, done.output
        records.append(json.loads((output / "eval.json").read_text()))
    first, second = (record["figures"] for record in records)
    for row in ("crossmlp", "mean image", "another photograph", "painted map"):
        assert f"| {row} " in done.output
        for name, value in first[row].items():
            assert second[row][name] == pytest.approx(value, abs=1e-4), (row, name)
    assert "not measured, places: " in done.output
    assert list(records[0]) == ["what", "data", "network", "figures", "commit", "missing"]
    assert len(records[0]["missing"]) == 3
    assert (tmp_path / "1/pictures/samples.png").is_file()


def test_evaluation_by_hand(trained, towns):
    """PSNR and the map's accuracy of the evaluation from the network's own outputs."""
    session = Session()
    run = reopen(trained, CrossViewConfig, Generator, session)
    val, network = PairData(run.config, session).val(), run.network
    found = evaluate(session, network, val, run.config)
    psnr, right, count = [], 0, 0
    for i in range(len(val)):
        item = val[i]
        given = 2 * F.one_hot(item["ground_map"], 6).movedim(-1, 0).float() - 1
        with torch.no_grad():
            made = network(item["aerial"][None], given[None])
        error = ((made["image"][0] - item["ground"]) / 2) ** 2
        psnr.append(-10 * np.log10(float(error.mean())))
        right += int((made["map_final"][0].argmax(0) == item["ground_map"]).sum())
        count += item["ground_map"].numel()
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert found["map_accuracy"] == pytest.approx(100 * right / count, abs=1e-3)


def test_prediction_of_validation_pairs(trained, command, tmp_path):
    done = command(predict.main, trained, "--count", 2, "--output", tmp_path)
    assert done.returncode == 0, done.output
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == [f"0000{i}{end}.png" for i in (0, 2) for end in ("-candidates", "-sheet", "")]
    assert Image.open(tmp_path / "00000.png").size == (32, 32)
    assert f"{tmp_path / '00002.png'}" in done.output
    records = json.loads((tmp_path / "predictions.json").read_text())
    assert [record["output"] for record in records] == ["00000.png", "00002.png"]
    for record in records:
        assert all((tmp_path / record[key]).is_file() for key in ("sheet", "candidates"))


def test_predictions_go_to_the_run(trained, towns, command):
    assert command(predict.main, trained, "--count", 1).returncode == 0
    assert (trained / "predictions/00000.png").is_file()
    before = (towns / "val/00000.png").read_bytes()
    done = command(predict.main, trained, "--count", 1, "--output", towns / "val")
    assert done.returncode == 2
    assert "would be overwritten" in done.output
    assert (towns / "val/00000.png").read_bytes() == before


def test_settings_said_anew(trained, towns, command, tmp_path):
    """Any of the run's; those that the network cannot follow, and old names, are said."""
    words = ["--output", tmp_path / "out", "--data.root", towns, "--eval.batch-size", 2]
    done = command(view_eval.main, trained, *words)
    assert done.returncode == 0, done.output
    (towns.parent / "sea.yaml").write_text("land: [0, 0, 0]\nsea: [0, 0, 200]\n")
    cases = [
        (["--data.size", 64, 64], "the network draws 32x32 pixels"),
        (["--towns.seed", 1], "--towns.seed is now --embedded.seed"),
        (["--eval-batch", 2], "--eval-batch is now --eval.batch-size"),
    ]
    for changes, said in cases:
        done = command(view_eval.main, trained, *changes, "--output", tmp_path / "no")
        assert done.returncode == 2, changes
        assert said in done.output
    assert not (tmp_path / "no").exists()


def test_other_classes_are_refused(trained, towns):
    run = reopen(trained, CrossViewConfig, Generator, Session())
    val = Pairs(run.config.data, "val")
    val.palette = Palette(val.palette.names[::-1], val.palette.colours)
    with pytest.raises(InputError, match="maps of the classes water, tree"):
        check_fit(run.network, val)


def test_runs_of_before(trained, tmp_path):
    """Settings and networks have other names in what was written by the first version."""
    import shutil

    import yaml

    run = reopen(trained, CrossViewConfig, Generator, Session())
    shutil.copytree(trained, tmp_path / "old", symlinks=True)
    settings = yaml.safe_load((tmp_path / "old/config.yaml").read_text())
    settings["towns"], settings["eval_batch"] = settings.pop("embedded"), 5
    del settings["eval"], settings["data"]["max_pixels"]
    (tmp_path / "old/config.yaml").write_text(yaml.safe_dump(settings))
    path = find_checkpoint(tmp_path / "old") / "config.json"
    (path.parent / "SHA256SUMS").unlink()  # it had none
    info = json.loads(path.read_text())
    assert info.pop("app") == "crossview"
    info["generator"] = info.pop("model")
    path.write_text(json.dumps(info))
    old = reopen(tmp_path / "old", CrossViewConfig, Generator, Session())
    assert old.config == replace(run.config, eval=EvalConfig(5))
    for name, value in run.network.state_dict().items():
        assert old.network.state_dict()[name].equal(value), name


@pytest.fixture
def photographs(towns, tmp_path):
    """The first validation town's panels in files of their own, as a user has them."""
    folder = tmp_path / "own"
    (folder / "maps").mkdir(parents=True)
    panels = np.split(np.asarray(Image.open(towns / "val/00000.png")), 4, axis=1)
    Image.fromarray(panels[0]).resize((90, 70)).save(folder / "square.png")
    Image.fromarray(panels[3]).save(folder / "maps/square.png")
    return folder


def test_prediction_of_own_images(trained, command, photographs, tmp_path):
    words = [trained, photographs / "square.png", "--output", tmp_path / "out", "--map"]
    for given in (photographs / "maps", photographs / "maps/square.png"):
        done = command(predict.main, *words, given)
        assert done.returncode == 0, done.output
    assert (tmp_path / "out/square.png").is_file()
    run = reopen(trained, CrossViewConfig, Generator, Session())
    image, ids = read_image(run.network, photographs / "square.png", given)
    assert image.shape == (3, 32, 32)
    assert ids.equal(Pairs(run.config.data, "val")[0]["ground_map"])


def test_own_images_are_read_as_those_of_a_data_set(trained, photographs, towns):
    run = reopen(trained, CrossViewConfig, Generator, Session())
    panels = np.split(np.asarray(Image.open(towns / "val/00000.png")), 4, axis=1)
    Image.fromarray(panels[0]).save(photographs / "exact.png")
    street = Image.fromarray(panels[3])
    street.resize((70, 50), Image.NEAREST).save(photographs / "maps/exact.png")
    item = Pairs(run.config.data, "val")[0]
    image, ids = read_image(run.network, photographs / "exact.png", photographs / "maps")
    torch.testing.assert_close(image, item["aerial"])
    assert (ids == item["ground_map"]).float().mean() > 0.9
    stripes = np.where(np.arange(70) % 7 < 3, 0, 5).astype(np.uint8)
    Image.fromarray(np.tile(stripes, (50, 1))).save(photographs / "maps/exact.png")
    _, ids = read_image(run.network, photographs / "exact.png", photographs / "maps")
    assert ids.unique().tolist() == [0, 5], "no class in between"


@pytest.mark.parametrize("direction", ["a2g", "g2a"])
def test_a_direction_is_scored_against_its_target(towns, direction):
    config = replace(debug(), direction=direction)
    val = Pairs(replace(config.data, root=str(towns)), "val")
    source, target = ("aerial", "ground") if direction == "a2g" else ("ground", "aerial")

    def grey(views, index):
        for row, i in enumerate(index.tolist()):
            if i < len(val):  # what fills the batch is not counted
                assert views.source[row].equal(val[i][source])
                assert views.ids[row].equal(val[i][f"{target}_map"])
        return {"image": torch.zeros_like(views.target), "ids": views.ids}

    scores = score(Session(), grey, val, config, PerceptualNetworks())
    errors = [((val[i][target] / 2) ** 2).mean() for i in range(len(val))]
    assert scores["psnr"] == pytest.approx(np.mean([-10 * np.log10(e) for e in errors]), abs=1e-3)
    assert scores["map_accuracy"] == 100.0


def test_bad_input_to_prediction(trained, command, photographs, tmp_path):
    image, out = photographs / "square.png", ["--output", tmp_path / "out"]
    cases = [
        ([image], "give it as --map, with the classes sky, building"),
        ([image, "--map", tmp_path / "none.png"], "does not exist"),
        ([tmp_path / "none.png"], "does not exist"),
        ([image, image, "--map", photographs / "maps/square.png"], "one map for 2 images"),
        ([image, "--map", image], "is no map of this palette"),
        (["--count", 0], "no int of 1 or more"),
    ]
    for words, said in cases:
        done = command(predict.main, trained, *words, *out)
        assert done.returncode == 2, words
        assert said in done.output
    (photographs / "broken.png").write_bytes(b"no image")
    Image.open(photographs / "maps/square.png").save(photographs / "maps/broken.png")
    words = [photographs / "broken.png", image, "--map", photographs / "maps"]
    done = command(predict.main, trained, *words, *out)
    assert done.returncode == 2
    assert "left out" in done.output
    assert (tmp_path / "out/square.png").is_file(), "the others go on"
    before = image.read_bytes()
    words = [image, "--map", photographs / "maps", "--output", photographs]
    done = command(predict.main, trained, *words)
    assert "would be overwritten" in done.output
    assert image.read_bytes() == before


def test_pairs_without_maps(tmp_path, command):
    """A folder of photographs: one class, no map needed to predict, one bad file skipped."""
    rng = np.random.default_rng(0)
    for split, view in itertools.product(("train", "val"), ("aerial", "ground")):
        (tmp_path / split / view).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / view / f"{number}.png")
    (tmp_path / "val/ground/0.png").write_bytes(b"no image")
    words = ["debug", "--data.root", tmp_path, "--data.layout", "folders", "--data.skip-bad", 1]
    done = command(view_train.main, *words, "--run.folder", tmp_path / "run")
    assert done.returncode == 0, done.output
    done = command(predict.main, tmp_path / "run", tmp_path / "val/aerial/1.png")
    assert done.returncode == 0, done.output
    done = command(predict.main, tmp_path / "run", "--count", 3)
    assert done.returncode == 2
    assert "1 of 3 images could not be used" in done.output


def test_a_share_of_the_training_pairs_validates(towns):
    config = replace(debug().data, root=str(towns))
    sides = [Pairs(replace(config, tune_share=0.3), split) for split in ("train", "val")]
    names = [
        [record.name for record in pairs.records] for pairs in (*sides, Pairs(config, "train"))
    ]
    assert sorted(names[0] + names[1]) == sorted(names[2])
    assert len(names[1]) == 2


def test_rows_differ_in_their_generator_alone():
    config = compare.CompareConfig(debug(), compare.ROWS, "W", (0, 3), "OUT")
    for row, seed in itertools.product(compare.ROWS, config.seeds):
        run, name = compare.one_run(config, row, seed), row.removesuffix("-pretrained")
        assert run.model.generator == name
        assert run.model.weights == ("W" if row == "mixer-pretrained" else "")
        assert run.loss.pixel == ("selectiongan" if row == "selectiongan" else "crossmlp")
        assert (run.run.folder, run.run.seed) == (f"OUT/{row}-{seed}", seed)
        assert run.run.resume
        others = {"model": config.base.model, "loss": config.base.loss, "run": config.base.run}
        assert replace(run, **others) == config.base


def test_comparison(towns, tmp_path, command):
    words = ["debug", "--base.data.root", towns, "--out", tmp_path / "c"]
    done = launch(compare.main, *words, processes=2)
    assert done.returncode == 0, done.output
    for said in ("crossmlp ", "pix2pix ", "baseline, painted map", "compare.png", "grid.png"):
        assert said in done.output
    figures = json.loads((tmp_path / "c/compare.json").read_text())["figures"]["val"]
    assert [len(figures[row]) for row in ("crossmlp", "pix2pix")] == [2, 2]
    again = command(compare.main, *words)
    assert "it/s" not in again.output
    assert json.loads((tmp_path / "c/compare.json").read_text())["figures"]["val"] == figures
    done = command(compare.main, *words, "--rows", "mixer-pretrained")
    assert done.returncode == 2
    assert "give --weights" in done.output


def test_starts_of_the_mixer_s_generator(towns, tmp_path):
    create_backbone("mixer_c16_l1_p8", 32).save_pretrained(tmp_path / "weights")
    base = debug()
    config = compare.StartsConfig(
        (f"permuted=permuted:{tmp_path / 'weights'}",),
        lr_factors=(1.0,),
        seeds=(0,),
        out=str(tmp_path / "out"),
        base=replace(
            base,
            data=replace(base.data, root=str(towns)),
            model=replace(base.model, generator="mixer", backbone="mixer_c16_l1_p8"),
        ),
    )
    figures = compare.compare(config)[""]
    assert {"ssim", "psnr"} <= figures["scratch"][0].keys() == figures["permuted"][0].keys()
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert next(iter(record["scores"])) == "ssim"
    assert any("baseline, painted map" in line for line in record["table"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--weights", "/nope"], "/nope does not exist; weights are"),
        (["--weights", "W", "--base.model.backbone", "mixer_c32_l1_p8"], "holds a Mixer of"),
        (["--weights", "W", "--base.data.size", 28, 28], "28"),
    ],
)
def test_a_comparison_opens_its_weights_before_it_trains(tmp_path, command, words, expected):
    weights = tmp_path / "weights"
    create_backbone("mixer_c16_l1_p8", 32).save_pretrained(weights)
    words = [str(weights) if word == "W" else word for word in words]
    rows = ["--rows", "pix2pix", "mixer-pretrained"]
    model = ["--base.model.backbone", "mixer_c16_l1_p8"]
    done = command(compare.main, "debug", *rows, *model, *words, "--out", tmp_path / "out")
    assert done.returncode == 2, done.output
    assert expected in done.output
    assert not (tmp_path / "out").exists()


def test_a_direction_needs_maps_of_what_it_draws(towns, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for path in itertools.islice((towns / split).iterdir(), 2):
            panels = np.split(np.asarray(Image.open(path)).copy(), 4, axis=1)
            panels[2][:] = 0
            Image.fromarray(np.concatenate(panels, 1)).save(tmp_path / split / path.name)
    (tmp_path / "palette.yaml").write_text((towns / "palette.yaml").read_text())
    config = replace(debug(), direction="g2a", data=DataConfig(root=str(tmp_path), size=(32, 32)))
    with pytest.raises(InputError, match="needs maps of the aerial images"):
        PairData(config, Session())


def test_another_app_s_run_is_told(tmp_path, trained, command):
    create_backbone("mixer_c16_l1_p8", 32).save_pretrained(tmp_path / "w")
    with pytest.raises(InputError):
        Generator.from_description(json.loads((tmp_path / "w/config.json").read_text()), "w")
