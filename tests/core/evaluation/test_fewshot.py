"""Few-shot probe: the normal equations as oracle, the draw of examples, features of processes."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.images.labelled import ImagesConfig
from core.data.loading import BadSample
from core.errors import InputError
from core.evaluation import fewshot
from core.evaluation.common import BackboneConfig, EvalConfig
from core.evaluation.features import pooled_features
from core.evaluation.fewshot import Config, draw_examples, fewshot_accuracy, fit_probe, pool_of, run
from core.evaluation.ridge import fit_ridge
from core.models.backbone import create_backbone
from core.training.session import Session, build_accelerator
from tests.core.launch import launch

COLOURS = {"blue": (20, 40, 200), "green": (30, 180, 40), "red": (220, 30, 20)}


class Images(torch.utils.data.Dataset):
    """Seven small images; the fourth cannot be read where `bad`."""

    def __init__(self, bad=False):
        self.images, self.bad = torch.randn(7, 3, 8, 8, generator=torch.manual_seed(1)), bad

    def __len__(self):
        return 7

    def __getitem__(self, i):
        if self.bad and i == 3:
            raise BadSample("3.png", "cut")
        return {"image": self.images[i], "label": 10 + i}


def small_mixer():
    torch.manual_seed(2)
    return create_backbone("mixer_c12_l2_p4", 8).eval()


def write_features():
    """What each rank of two sees, for the test below."""
    features, labels = pooled_features(Session(), small_mixer(), Images(), batch_size=2)
    if Session().is_main:
        np.savez(sys.argv[1], features=features, labels=labels)


def coloured_images(root, each, seed=0):
    """Folders of noisy images, one colour for each class."""
    generator = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels = np.clip(generator.normal(colour, 25, (12, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")


def colour_config(folder, **changes):
    config = Config(
        BackboneConfig("mixer_c16_l1_p4", (8, 8)),
        train=ImagesConfig(str(folder), "train", workers=0),
        test=ImagesConfig(str(folder), "val", workers=0),
        shots=(1, 4),
        out=str(folder / "out"),
    )
    return replace(config, **changes)


def direct_solution(x, y, classes, l2):
    """Whitening and the normal equations, written down once more."""
    mean, std = x.mean(0), np.sqrt(((x - x.mean(0)) ** 2).mean(0)) + 1e-5
    padded = np.concatenate([(x - mean) / std, np.full((len(x), 1), 100.0)], 1)
    targets = np.where(np.arange(classes) == y[:, None], 1.0, -1.0)
    gram = padded.T @ padded + l2 * np.eye(padded.shape[1])
    return mean, std, np.linalg.solve(gram, padded.T @ targets)


@pytest.mark.parametrize("examples", [60, 12, 11, 5])  # 11 features and the bias: 12 unknowns
def test_the_probe_solves_the_normal_equations(examples):
    rng = np.random.default_rng(examples)
    x, y = rng.normal(2, 3, (examples, 11)).astype(np.float32), np.arange(examples) % 4
    asked, l2s = rng.normal(2, 3, (30, 11)).astype(np.float32), (0.5, 1024.0, 1e6)
    probe = fit_probe(torch.from_numpy(x), torch.from_numpy(y), 4, l2s)
    scores = probe.whitened(torch.from_numpy(asked)) @ probe.weights  # (L, N, K)
    for i, l2 in enumerate(l2s):
        mean, std, weights = direct_solution(x.astype(np.float64), y, 4, l2)
        np.testing.assert_allclose(probe.weights[i], weights, rtol=0, atol=1e-6)
        expected = (asked - mean) / std @ weights[:-1] + 100 * weights[-1]
        np.testing.assert_allclose(scores[i], expected, rtol=0, atol=1e-6)


def test_two_examples_by_hand():
    """Whitened features -1 and 1, targets -1 and 1: weight 2 / (2 + l2), and no bias."""
    probe = fit_probe(torch.tensor([[3.0], [7.0]]), torch.tensor([0, 1]), 2, [2.0])
    expected = torch.tensor([[[-0.5, 0.5], [0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(probe.weights, expected, rtol=0, atol=1e-5)


def test_accuracy_of_what_can_and_of_what_cannot_be_learnt():
    generator = torch.manual_seed(0)
    labels = torch.arange(300) % 3
    noise = torch.randn(300, 40, generator=generator)
    useful = noise + 6 * torch.nn.functional.one_hot(labels, 40)
    accuracy = [
        fewshot_accuracy(x[:150], labels[:150], x[150:], labels[150:], 45, [1024.0], seed=0)[0]
        for x in (useful, noise)
    ]
    assert accuracy[0] > 0.95
    assert accuracy[1] < 0.5


def test_the_accuracy_counts_labels_by_class_not_by_position():
    x = torch.eye(3).repeat(4, 1)
    y = torch.arange(3).repeat(4)
    asked = torch.eye(3)
    wrong = torch.tensor([0, 1, 1])
    assert fewshot_accuracy(x, y, asked, wrong, 4, [1.0, 100.0], 0) == [2 / 3, 2 / 3]


def test_examples_are_a_pure_function_of_the_seed():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    ten = draw_examples(labels, 10, seed=3).view(4, 10)
    torch.manual_seed(99)
    assert torch.equal(ten, draw_examples(labels, 10, seed=3).view(4, 10))
    assert not torch.equal(ten, draw_examples(labels, 10, seed=4).view(4, 10))
    assert torch.equal(ten[:, :5], draw_examples(labels, 5, seed=3).view(4, 5))
    assert (labels[ten.numpy()] == np.arange(4)[:, None]).all()
    assert len(set(ten.flatten().tolist())) == 40


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(InputError, match=r"'dog' has 2 training images, 3 shots"):
        draw_examples([0, 0, 0, 1, 1], 3, 0, ["cat", "dog"])
    with pytest.raises(InputError, match=r"'owl' has 0 training images"):
        draw_examples([0, 1], 1, 0, ["cat", "dog", "owl"])


def test_pool():
    labels = [0] * 50 + [1] * 3 + [0] * 10
    pool = pool_of(labels, 5)
    assert [labels[i] for i in pool].count(0) == 5
    assert [i for i in pool if labels[i] == 1] == [50, 51, 52]
    assert pool == sorted(pool) == pool_of(labels, 5)
    assert max(pool_of(labels, 20)) > 55  # from everywhere, not the first ones
    assert pool_of([0] * 10, 4) == [2, 4, 6, 7]  # figures once measured stay what they are


def test_features_are_token_means_in_order():
    mixer, data = small_mixer(), Images()
    features, labels = pooled_features(Session(), mixer, data, batch_size=3)
    assert labels.tolist() == list(range(10, 17))
    assert features.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(features, mixer(data.images).mean(1))
        flipped, _ = pooled_features(Session(), mixer, data, 3, shuffle=lambda x: x.flip(3))
        torch.testing.assert_close(flipped, mixer(data.images.flip(3)).mean(1))


def test_features_are_those_of_evaluation():
    mixer = small_mixer().train()
    pooled_features(Session(), mixer, Images(), 7)
    assert not mixer.training


def test_the_precision_is_the_session_s_and_the_mean_is_in_float32():
    session, seen = Session(build_accelerator("bf16")), []

    class Spied(torch.nn.Module):
        def forward(self, images):
            seen.append((images @ images).dtype)
            tokens = torch.ones(len(images), 300, 2, dtype=torch.bfloat16)
            tokens[:, 0] = 2  # a mean of 1.0033, which bfloat16 does not have
            return tokens

    features, _ = pooled_features(session, Spied(), Images(), 7)
    assert seen == [torch.bfloat16]
    torch.testing.assert_close(features, torch.full((7, 2), 301 / 300))


def test_features_without_the_bad_image():
    mixer = small_mixer()
    features, labels = pooled_features(Session(), mixer, Images(bad=True), 3, skip_bad=1)
    assert labels.tolist() == [10, 11, 12, 14, 15, 16]
    everything, _ = pooled_features(Session(), mixer, Images(), 7)
    torch.testing.assert_close(features, everything[[0, 1, 2, 4, 5, 6]])


def test_two_processes_give_the_features_of_one(tmp_path):
    done = launch(write_features, tmp_path / "two.npz", processes=2)
    assert done.returncode == 0, done.output
    two = np.load(tmp_path / "two.npz")
    features, labels = pooled_features(Session(), small_mixer(), Images(), batch_size=2)
    assert two["labels"].tolist() == labels.tolist()
    np.testing.assert_allclose(two["features"], features, atol=1e-6)


def test_run(tmp_path, capsys):
    coloured_images(tmp_path / "train", 6)
    coloured_images(tmp_path / "val", 5, seed=1)
    record = run(colour_config(tmp_path, l2=(1.0, 1024.0)), Session())
    assert [(row["shots"], row["l2"]) for row in record["rows"]] == [
        (1, 1.0),
        (1, 1024.0),
        (4, 1.0),
        (4, 1024.0),
    ]
    assert all(len(row["accuracies"]) == 3 for row in record["rows"])
    assert record["rows"][2]["mean"] > 0.7  # random features tell three colours apart
    assert json.loads((tmp_path / "out" / "fewshot.json").read_text())["rows"] == record["rows"]
    assert f"{100 * record['rows'][3]['mean']:.2f}%" in capsys.readouterr().out


def test_no_shots_are_all_images(tmp_path, capsys):
    """The ridge of every training image, in a row of its own; the few shots are those of before."""
    coloured_images(tmp_path / "train", 6)
    coloured_images(tmp_path / "val", 5, seed=1)
    few = run(colour_config(tmp_path, shots=(2,), pool=4), Session())["rows"]
    record = run(colour_config(tmp_path, shots=(0, 2), pool=4), Session())
    assert record["rows"][1:] == few
    backbone = fewshot.open_backbone(record["config"].model)
    train, test = (
        pooled_features(Session(), backbone, images, 5)
        for images in fewshot._open_splits(record["config"], backbone)
    )
    ridge = fit_ridge(train[0][:, None], train[1], 3)
    right = (test[0].double() @ ridge.weight.T + ridge.bias).argmax(1) == test[1]
    row = record["rows"][0]
    assert len(train[1]) == 18
    assert (row["shots"], row["l2"]) == (0, pytest.approx(ridge.l2))
    assert row["accuracies"] == [float(right.double().mean())]
    assert row["mean"] > 0.7
    printed = capsys.readouterr().out
    assert "  all  " in printed
    assert printed.count("all: every training image, no seed") == 1  # not of the few shots alone


def test_test_images_are_labelled_by_the_classes_of_train(tmp_path):
    """Without the first class on the test side, its labels begin with the second."""
    coloured_images(tmp_path / "train", 6)
    coloured_images(tmp_path / "val", 5, seed=1)
    everything = run(colour_config(tmp_path, shots=(6,), seeds=1), Session())["rows"][0]["mean"]
    shutil.rmtree(tmp_path / "val" / "blue")
    rest = run(colour_config(tmp_path, shots=(6,), seeds=1), Session())["rows"][0]["mean"]
    assert everything > 0.8
    assert rest > 0.8


def test_each_seed_draws_its_own_examples():
    x, generator = torch.randn(60, 3), torch.Generator().manual_seed(0)
    y = torch.randint(2, (60,), generator=generator)
    sets = [x[:40], y[:40], x[40:], y[40:]]
    (row,) = fewshot._rows(sets, 2, [1.0], 4, ["a", "b"])
    by_seed = [fewshot_accuracy(*sets, 2, [1.0], seed, ["a", "b"])[0] for seed in range(4)]
    assert row["accuracies"] == by_seed
    assert len(set(by_seed)) > 1
    assert (row["mean"], row["min"]) == (pytest.approx(sum(by_seed) / 4), min(by_seed))
    assert row["max"] == max(by_seed)


def test_each_split_is_read_as_it_says(tmp_path, monkeypatch):
    coloured_images(tmp_path / "train", 4)
    coloured_images(tmp_path / "val", 4, seed=1)
    asked, read = [], fewshot.pooled_features
    monkeypatch.setattr(
        fewshot,
        "pooled_features",
        lambda session, network, images, batch, workers, **options: (
            asked.append((len(images), batch, workers, options["skip_bad"])),
            read(session, network, images, batch, **options),
        )[1],
    )
    train = ImagesConfig(str(tmp_path), "train", skip_bad=3, workers=1)
    test = ImagesConfig(str(tmp_path), "val", skip_bad=4, workers=2)
    config = colour_config(tmp_path, train=train, test=test, pool=4, shots=(1,))
    run(replace(config, eval=EvalConfig(batch_size=5)), Session())
    assert asked == [(12, 5, 1, 3), (12, 5, 2, 4)]


def test_only_the_pool_has_features(tmp_path, monkeypatch):
    coloured_images(tmp_path / "train", 6)
    coloured_images(tmp_path / "val", 2, seed=1)
    sizes, read = [], fewshot.pooled_features
    monkeypatch.setattr(
        fewshot,
        "pooled_features",
        lambda session, network, images, *args, **options: (
            sizes.append(len(images)),
            read(session, network, images, *args, **options),
        )[1],
    )
    run(colour_config(tmp_path, shots=(2,), pool=3), Session())
    assert sizes == [3 * 3, 3 * 2]


def test_run_complains(tmp_path):
    coloured_images(tmp_path / "train", 3)
    coloured_images(tmp_path / "val", 1)
    for changes, words in (
        ({}, r"'blue' has 3 training images, 4 shots"),
        ({"shots": (3,), "pool": 2}, r"'blue' has 2 training images, 3 shots.*larger --pool"),
        ({"test": ImagesConfig(str(tmp_path), "train")}, "train and test are the same images"),
        ({"train": ImagesConfig()}, r"no train images given: set --train\.root"),
        ({"seeds": 0}, "seeds is 0"),
        ({"l2": (0.0,)}, "l2 is"),
        ({"shots": (-1,)}, "shots is"),
    ):
        with pytest.raises(InputError, match=words):
            run(colour_config(tmp_path, **changes), Session())
