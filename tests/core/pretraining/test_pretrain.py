"""Training a classifier: from scratch, from weights at another grid, and at many grids."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from core import InputError, compare, create_backbone, load_backbone
from core.app.starts import compare_starts
from core.config import cli, load_config
from core.data.augment import AugmentConfig, mix, train_transform
from core.data.images.labelled import ImagesConfig, TrainImagesConfig
from core.data.samples import with_transform
from core.data.sources import open_images
from core.data.transforms import eval_transform
from core.evaluation.common import EvalConfig
from core.models.classifier import Classifier, load_classifier
from core.models.network import ClassifierConfig, build_classifier
from core.models.sharing import save_backbone
from core.pretrain import main, train
from core.pretraining import validation
from core.pretraining.config import PretrainConfig
from core.pretraining.presets import PRESETS
from core.pretraining.sizes import GrowthConfig, shrunk, step_size
from core.pretraining.validation import at_size
from core.training.losses import LOSSES
from core.training.optim import OptimConfig
from core.training.run import RunConfig
from tests.core.launch import launch
from tests.core.models.test_resize import parts_of, tiny

ALONE = ["--train.workers", 0, "--val.workers", 0]  # no loader processes
COLOURS = {"blue": (20, 40, 200), "red": (220, 30, 20)}


@pytest.fixture
def images(tmp_path):
    """Two splits of two classes of noisy colours, 12 images each."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, colour in COLOURS.items():
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for i in range(12):
                pixels = np.clip(rng.normal(colour, 40, (20, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / name / f"{i}.png")
    return tmp_path / "images"


def config(images, folder, **changes) -> PretrainConfig:
    run = RunConfig(str(folder), steps=12, batch_size=8, log_every=1, best="top1", trackers=())
    options = {
        "model": ClassifierConfig("mixer_c16_l2_p8", (16,)),
        "train": TrainImagesConfig(str(images), workers=0),
        "val": ImagesConfig(str(images), "val", workers=0),
        "augment": AugmentConfig(crop_area=(0.5, 1)),
        "eval": EvalConfig(batch_size=7),
        "optim": OptimConfig(lr=1e-2),
        "run": run,
    }
    return PretrainConfig(**{**options, **changes})


def evaluated(folder):
    """The last evaluation of a run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "eval/top1" in row][-1]


def test_it_learns_colours_and_says_so(images, tmp_path):
    train(config(images, tmp_path / "run"))
    assert evaluated(tmp_path / "run")["eval/top1"] == 1.0
    classifier = load_classifier(tmp_path / "run")
    assert classifier.classes == ["blue", "red"]
    red = torch.tensor(COLOURS["red"]).view(1, 3, 1, 1).expand(1, 3, 16, 16) / 127.5 - 1
    assert classifier(red).argmax().item() == 1


def test_pictures_of_a_flat_folder_are_on_one_side(images, tmp_path, capsys, monkeypatch):
    """<root>/<class> without splits: what validates is not trained on."""
    seen = {}
    monkeypatch.setattr(validation, "held_apart", partial(keep_sides, seen, validation.held_apart))
    train(config(images / "train", tmp_path / "run", val_share=0.25))
    assert "6 of its 24 images" in capsys.readouterr().err
    assert [len(seen[side]) for side in ("train", "val")] == [18, 6]
    assert not seen["train"] & seen["val"]
    assert evaluated(tmp_path / "run")["eval/top1"] == 1.0
    same = config(images / "train", tmp_path / "one")
    train(replace(same, train=replace(same.train, split="val")))  # who says one split means one
    assert "images" not in capsys.readouterr().err


def keep_sides(seen, held_apart, *words):
    sides = held_apart(*words)
    for name, side in zip(("train", "val"), sides, strict=True):
        seen[name] = {side.read(i) for i in range(len(side))}
    return sides


def test_a_share_of_the_training_pictures_validates(images):
    config = PretrainConfig(train=TrainImagesConfig(str(images)), tune_share=0.25)
    whole = validation.open_trained(config)
    train, tuning = validation.open_sides(config, whole)  # no validation pictures are named
    paths = [[part.read(i) for i in range(len(part))] for part in (whole, train, tuning)]
    assert sorted(paths[1] + paths[2]) == sorted(paths[0])
    assert len(tuning) == len(whole) // 4
    fractals = replace(config, train=TrainImagesConfig("fractals"))
    with pytest.raises(InputError, match="tune_share is of images by index"):
        validation.open_sides(fractals, validation.open_trained(fractals))


def test_starts_on_pictures(images, tmp_path):
    save_backbone(create_backbone("mixer_c16_l2_p8", 16), tmp_path / "weights")
    base = config(images, "")
    starts = compare.StartsConfig(
        (f"permuted=permuted:{tmp_path / 'weights'}",),
        lr_factors=(0.5, 1.0),
        tune_share=0.25,
        seeds=(0,),
        out=str(tmp_path / "out"),
        base=replace(base, run=replace(base.run, steps=1)),
    )
    figures = compare_starts(starts, compare.TRIAL)[""]
    assert {row: list(seeds[0]) for row, seeds in figures.items()} == {
        "scratch": ["top1"],
        "permuted": ["top1"],
    }
    assert len(list((tmp_path / "out/search").iterdir())) == 4


def test_fine_tuning_at_twice_the_grid_begins_with_the_features_of_each_quadrant(images, tmp_path):
    source = tiny(patch_size=8, image_size=16, hidden_dim=16, num_blocks=2)
    weights = save_backbone(source, tmp_path / "source")
    model = ClassifierConfig("mixer_c16_l2_p8", (32,), weights=str(weights), new_head=True)
    still = config(images, tmp_path / "run", model=model, optim=OptimConfig(lr=0.0))
    # tiny() has its own MLP sizes, which a name cannot say: the weights decide on D_S alone
    with pytest.raises(InputError, match=r"channels_mlp_dim 24.*channels_mlp_dim 64"):
        train(still)
    source = tiny(patch_size=8, image_size=16, hidden_dim=16, num_blocks=2, channels_mlp_dim=64)
    weights = save_backbone(source, tmp_path / "fitting")
    train(replace(still, model=replace(model, weights=str(weights))))
    tuned, pictures = load_backbone(tmp_path / "run").eval(), torch.randn(2, 3, 32, 32)
    assert tuned.config.tokens_mlp_dim == 4 * source.config.tokens_mlp_dim
    alone = [source.feature_map(part) for part in parts_of(pictures, 2, 2)]
    for one, other in zip(parts_of(tuned.feature_map(pictures), 2, 2), alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_one_network_at_many_grids(images, tmp_path):
    model = ClassifierConfig("mixer_c16_l2_p8", (24,), sizes=(16, 24, 40))
    train(config(images, tmp_path / "run", model=model))
    last = evaluated(tmp_path / "run")
    assert {"eval/top1@16", "eval/top1@24", "eval/top1@40"} < last.keys()
    network = load_backbone(tmp_path / "run")
    assert network(torch.zeros(1, 3, 32, 16)).shape == (1, 8, 16)
    with pytest.raises(InputError, match=r"mixer_.*s2mlp_wide"):
        train(config(images, tmp_path / "no", model=replace(model, backbone="s2mlp_wide")))


def test_many_sizes_are_evaluated_on_what_training_sees(images):
    model = ClassifierConfig("mixer_c16_l2_p8", (24,), sizes=(16, 40))
    several = config(images, "unused", model=model, protocol="direct")
    network = build_classifier(model, ["blue", "red"])
    found = open_images(str(images), "val")
    large = at_size(found, several, (40, 40), network)[3]["image"]
    small = at_size(found, several, (16, 16), network)[3]["image"]
    assert found.transform is None
    torch.testing.assert_close(small, shrunk(large[None], (16, 16))[0])


def test_sizes_are_drawn_by_seed_and_step_alone():
    model = ClassifierConfig("mixer_c16_l2_p8", (24,), sizes=(16, 24, 40))
    drawn = [step_size(model, GrowthConfig(), 0, step, 60) for step in range(1, 61)]
    assert set(drawn) == {(16, 16), (24, 24), (40, 40)}
    assert drawn == [step_size(model, GrowthConfig(), 0, step, 9000) for step in range(1, 61)]
    pictures = torch.randn(1, 3, 40, 40)
    assert shrunk(pictures, (40, 40)) is pictures
    assert shrunk(pictures, (16, 24)).shape == (1, 3, 16, 24)


def test_a_head_is_replaced_only_when_asked(images, tmp_path, capsys):
    train(config(images, tmp_path / "run"))
    (images / "train" / "green").mkdir()
    (images / "val" / "green").mkdir()
    for split in ("train", "val"):
        Image.new("RGB", (20, 20), "green").save(images / split / "green" / "0.png")
    model = ClassifierConfig("mixer_c16_l2_p8", (16,), weights=str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"head for 2 classes.*3.*new_head"):
        train(config(images, tmp_path / "again", model=model))
    capsys.readouterr()
    train(config(images, tmp_path / "new", model=replace(model, new_head=True)))
    assert "the head for 2 classes is replaced" in capsys.readouterr().out


def test_the_command_on_two_processes(images, tmp_path):
    words = ["folder", "--train.root", images, "--val.root", images, *ALONE]
    words += ["--model.backbone", "mixer_c16_l1_p8", "--model.image-size", 16, "--run.epochs", 0]
    words += ["--run.steps", 3, "--run.batch-size", 8, "--run.trackers", "--run.folder"]
    done = launch(main, *words, tmp_path / "run", processes=2)
    assert done.returncode == 0, done.output
    assert isinstance(load_classifier(tmp_path / "run"), Classifier)
    failed = launch(main, "folder", "--run.folder", tmp_path / "none")
    assert failed.returncode == 2
    assert "no train images given" in failed.output


def test_augmentation_moves_and_mirrors_pictures():
    picture = Image.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3))
    plain = AugmentConfig(crop_area=(1, 1), flip=0.0)
    halves = ((0.5,) * 3, (0.5,) * 3)
    expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(train_transform(plain, (8, 8), halves)(picture), expected)
    mirrored = train_transform(replace(plain, flip=1.0), (8, 8), halves)(picture)
    torch.testing.assert_close(mirrored, expected.flip(2))
    torch.manual_seed(0)
    shifted = train_transform(replace(plain, shift=0.25), (8, 8), halves)
    assert len({tuple(shifted(picture).flatten().tolist()) for _ in range(20)}) > 5
    with pytest.raises(InputError, match=r"crop_area.*\(0.5, 0.2\)"):
        train_transform(AugmentConfig(crop_area=(0.5, 0.2)), (8, 8), halves)


def test_other_classes_in_validation_are_said_before_training(images, tmp_path):
    (images / "val/red").rename(images / "val/rose")
    with pytest.raises(InputError, match=r"red.*rose|rose.*red"):
        train(config(images, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_step_has_one_size_however_it_is_accumulated(images, tmp_path, monkeypatch):
    """The sizes of a run are a function of the seed and the step, not of the micro-batches."""
    drawn = {}
    model = ClassifierConfig("mixer_c16_l2_p8", (24,), sizes=(16, 24, 40))
    for accumulate in (1, 2, 4):
        sides = drawn[accumulate] = []
        monkeypatch.setattr("core.pretrain.mix", noting(sides))
        base = config(images, tmp_path / str(accumulate), model=model)
        train(replace(base, run=replace(base.run, accumulate=accumulate)))
    assert drawn[2] == [side for side in drawn[1] for _ in range(2)]
    assert drawn[4] == [side for side in drawn[1] for _ in range(4)]
    assert set(drawn[1]) == {16, 24, 40}


def noting(sides):
    def noted(pixels, *rest):
        sides.append(pixels.shape[-1])
        return mix(pixels, *rest)

    return noted


def test_runs_of_before_open_and_old_options_say_the_new_ones(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("model: {name: mixer_b32}\nworkers: 5\neval_batch: 7\nval: {root: a}\n")
    old = load_config(PretrainConfig, path)
    assert (old.model.backbone, old.train.workers, old.eval.batch_size) == ("mixer_b32", 5, 7)
    assert old.val.workers == 5  # it was one setting for both
    both = "train.workers and --val.workers"
    for word, new in (("--workers", both), ("--eval-batch", "eval.batch-size")):
        with pytest.raises(InputError, match=f"{word} is now --{new}"):
            cli(PRESETS, ["debug", word, "1"])
    with pytest.raises(InputError, match=r"--model.name is now --model.backbone"):
        cli(PRESETS, ["debug", "--model.name", "mixer_s16"])


def test_training_takes_the_smoothing_and_both_splits_their_bad_images(
    images, tmp_path, monkeypatch
):
    """One unreadable image in each split: each split's own skip_bad decides."""
    for split in ("train", "val"):
        (images / split / "red" / "3.png").write_bytes(b"no image")
    taken, plain = [], LOSSES["softmax"]
    monkeypatch.setitem(LOSSES, "softmax", lambda *words: taken.append(words[2]) or plain(*words))
    base = config(images, tmp_path / "run", augment=AugmentConfig(label_smoothing=0.25))
    lenient = {split: replace(getattr(base, split), skip_bad=1) for split in ("train", "val")}
    train(replace(base, **lenient))
    assert set(taken) == {0.25}
    for split in ("train", "val"):
        run = replace(base.run, folder=str(tmp_path / split))
        strict = {**lenient, split: getattr(base, split)}
        with pytest.raises(InputError, match=rf"{split}.red.3\.png"):
            train(replace(base, **strict, run=run))


def test_validation_prepares_images_by_the_protocol_and_is_the_mean_over_sizes(images, monkeypatch):
    model = ClassifierConfig("mixer_c16_l2_p8", (16,))
    network = build_classifier(model, ["blue", "red"])
    shown = open_images(str(images), "val")
    for protocol in ("direct", "short-side", "squash"):
        settings = config(images, "unused", model=model, protocol=protocol)
        ours = at_size(shown, settings, (16, 16), network)[0]["image"]
        other = eval_transform(protocol, (16, 16), network.backbone.normalization)
        torch.testing.assert_close(ours, with_transform(shown, other)[0]["image"])
    top1 = iter([0.5, 0.7, 0.9])
    monkeypatch.setattr(validation, "evaluate_classifier", lambda *_, **__: {"top1": next(top1)})
    several = config(images, "unused", model=replace(model, sizes=(16, 24, 40)))
    metrics = validation.evaluate(None, network, several, shown)
    assert metrics["top1"] == pytest.approx(0.7)
    assert [metrics[f"top1@{side}"] for side in (16, 24, 40)] == [0.5, 0.7, 0.9]
