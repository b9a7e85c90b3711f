"""Several data sets at once: their keypoints joined by name, their people drawn by share."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import default_collate

pytest.importorskip("mmpose")

from apps.pose import eval as pose_eval
from apps.pose import predict as pose_predict
from apps.pose.config import AugmentConfig, DataConfig, EvalConfig, ModelConfig
from apps.pose.data.formats import keypoint_set
from apps.pose.data.joining import Shared, choose, join
from apps.pose.data.keypoints import COCO_NAMES, COCO_SIGMAS, KeypointSet
from apps.pose.data.sets import PoseSets, find_set
from apps.pose.models.losses import pose_losses
from apps.pose.models.network import PoseNet
from apps.pose.models.start import check_resumed, start_from
from apps.pose.presets import debug
from apps.pose.train import train
from core import InputError
from core.data.loading import TrainLoader
from core.training.files.folder import read_metrics
from core.training.session import Session

SIDES = [f"{side}_{part}" for part in ("ankle", "knee", "hip") for side in ("right", "left")]
ARMS = [f"{side}_{part}" for part in ("wrist", "elbow", "shoulder") for side in ("right", "left")]
LSP_NAMES = [*SIDES, *ARMS, "neck", "head_top"]
MODEL = ModelConfig("mixer_c16_l1_p16", (64, 48), sigma=3.0)
RUN = replace(debug().run, steps=2, batch_size=4, log_every=1, eval_every=2, save_every=2)


def make_set(folder, names, count, seed, skeleton=((1, 2),)):
    """folder/set.yaml, its jsons and noise for pictures; a third of the points has no label."""
    rng, folder = np.random.default_rng(seed), folder / f"set{seed}"
    (folder / "images").mkdir(parents=True)
    for split in ("train", "val"):
        category = {"id": 1, "name": "person", "keypoints": names, "skeleton": list(skeleton)}
        content = {"images": [], "annotations": [], "categories": [category]}
        for i in range(count):
            name = f"{split}{i}.png"
            noise = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "images" / name)
            content["images"].append({"id": i, "file_name": name, "width": 96, "height": 96})
            points = rng.uniform((20, 10), (70, 80), (len(names), 2))
            labels = np.where(rng.random(len(names)) < 0.3, 0, 2)
            box = {"bbox": [20, 10, 50, 70], "area": 2000.0}
            values = np.c_[points, labels].ravel().tolist()
            ids = {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0}
            content["annotations"].append({**ids, **box, "keypoints": values})
        (folder / f"{split}.json").write_text(json.dumps(content))
    own = {"train_json": "train.json", "val_json": "val.json", "outside": "ignore"}
    own |= {"train_images": "images", "val_images": "images"}
    (folder.parent / f"{folder.name}.yaml").write_text(yaml.safe_dump(own | {"root": folder.name}))
    return str(folder.parent / f"{folder.name}.yaml")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The yamls of five people with COCO's 17 keypoints and of seven with LSP's 14."""
    folder = tmp_path_factory.mktemp("sets")
    return make_set(folder, list(COCO_NAMES), 5, 0), make_set(folder, LSP_NAMES, 7, 1)


def config_of(sets, folder="unused", **data):
    data = DataConfig(sets=tuple(sets), workers=0, **data)
    run = replace(RUN, folder=str(folder))
    return replace(debug(), data=data, model=MODEL, run=run, eval=EvalConfig(4, flip_test=True))


def data_of(sets, augment=None, **data):
    config = config_of(sets, **data)
    return PoseSets(replace(config, augment=augment or config.augment), Session())


# ---- names -------------------------------------------------------------------------------------

COCO = KeypointSet.of(COCO_NAMES, [(15, 13)])
LSP = KeypointSet.of(LSP_NAMES, [(0, 2), (12, 13)])


def test_the_keypoints_of_coco_and_lsp():
    both = join({"coco": COCO, "lsp": LSP})
    assert both.names == (*COCO_NAMES, "neck", "head_top")
    assert both.swap == (*COCO.swap, 17, 18)
    assert both.skeleton == ((15, 13), (16, 14), (17, 18))
    assert both.sigmas == (*COCO_SIGMAS, *keypoint_set("crowdpose", "").sigmas[:-3:-1])
    assert join({"lsp": LSP}).sigmas is None, "of its limbs no set says any"
    assert LSP.sigmas is None, "by which it is measured"
    assert both.upper == (*COCO.upper, True, True)
    assert join({"coco": COCO, "ochuman": COCO}).sigmas == COCO_SIGMAS
    assert join({"lsp": LSP, "coco": COCO}).names[:14] == tuple(LSP_NAMES)


def test_other_spellings_are_the_same_keypoint():
    crowd = KeypointSet.of(["L_hip", "R_hip", "top_head", "neck"])
    assert join({"lsp": LSP, "crowd": crowd}) == LSP
    shared = Shared.between(crowd, LSP, "crowd")
    assert [LSP_NAMES[i] for i in shared.places] == ["left_hip", "right_hip", "head_top", "neck"]
    mpii = Shared.between(KeypointSet.of(["thorax", "upper_neck", "head_top"]), LSP, "mpii")
    assert [LSP_NAMES[i] for i in mpii.places] == ["head_top"], "other places than LSP's neck"


def test_chosen_keypoints_come_in_the_order_asked_for():
    sets = {"coco": COCO, "lsp": LSP}
    few = choose(sets, "neck, Left-Hip, right_hip")
    assert few.names == ("neck", "Left-Hip", "right_hip")
    assert few.swap == (0, 2, 1)
    assert Shared.between(COCO, few, "coco").keypoints.sigmas == (0.107, 0.107)
    assert few.sigmas == (0.079, 0.107, 0.107)
    for order in (("coco", "lsp"), ("lsp", "coco")):
        hips = choose({name: sets[name] for name in order}, "left_hip,right_hip")
        assert hips.sigmas == (0.107, 0.107)


def test_a_yaml_chooses_too(tmp_path):
    path = tmp_path / "wanted.yaml"
    path.write_text("names: [neck, left_hip]\nskeleton: [[neck, left_hip]]\nsigmas: [0.08, 0.1]")
    wanted = choose({"lsp": LSP}, str(path))
    assert (wanted.names, wanted.skeleton) == (("neck", "left_hip"), ((0, 1),))
    assert (wanted.swap, wanted.sigmas) == ((0, 1), (0.08, 0.1))


def test_keypoints_that_do_not_go_together():
    with pytest.raises(InputError, match=r"fish: none of its keypoints \(fin, tail\) is one of"):
        Shared.between(KeypointSet.of(["fin", "tail"]), LSP, "fish")
    with pytest.raises(InputError, match=r"none of coco, lsp has 'tail': choose among nose,"):
        choose({"coco": COCO, "lsp": LSP}, "neck,tail")
    with pytest.raises(InputError, match=r"odd: 'left_hip' and 'L_hip' are the same keypoint"):
        join({"odd": KeypointSet.of(["left_hip", "L_hip"])})
    odd = replace(KeypointSet.of(["left_hip", "right_hip"]), swap=(0, 1))
    with pytest.raises(InputError, match=r"odd: 'left_hip' mirrors 'left_hip', in the network 'ri"):
        Shared.between(odd, LSP, "odd")


# ---- samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("half_body", [0.0, 1.0])
def test_a_joined_sample_is_the_set_s_own_and_nothing_else(sets, half_body):
    """Also mirrored, turned and cut: as its set gives it alone, at the places of its names."""
    augment = AugmentConfig(flip=1.0, half_body=half_body)
    data = data_of(sets, augment)
    # the middle of half a body is a mean, and float32's depends on the order of the keypoints
    same = {"atol": 1e-3 * half_body, "rtol": 0}
    for name, people in zip(("set0", "set1"), data.train().datasets, strict=True):
        alone = data_of([sets[int(name[-1])]], augment).train()
        places = list(data.sets[name].shared.places)
        others = [k for k in range(19) if k not in places]
        for i in range(3):
            own, item = seeded(alone, i), seeded(people, i)
            assert torch.allclose(item["image"].float(), own["image"].float(), atol=2 * half_body)
            for part in ("weight", "target_x", "target_y"):
                assert torch.allclose(item[part][places], own[part], **same)
            assert own["weight"].any()
            assert not item["weight"][others].any()


def seeded(dataset, index):
    np.random.seed(index)  # noqa: NPY002 - mmpose draws from it
    return dataset[index]


def gradients(network, batch):
    network.zero_grad()
    losses = pose_losses(network(batch["image"]), batch)
    total = sum(loss.sum() for loss in losses.values())
    total.backward()
    return total.item(), [p.grad.clone() for p in network.parameters()]


def batch_of(dataset):
    return default_collate([seeded(dataset, i) for i in range(4)])


def test_what_is_not_labelled_changes_neither_loss_nor_gradients(sets, tmp_path):
    still = AugmentConfig(0.0, 0.0, (1.0, 1.0), 0.0, 0.0)
    path = make_set(tmp_path, LSP_NAMES, 7, 1)  # the same set again, to be perturbed
    data = data_of([sets[0], path], still)
    torch.manual_seed(0)
    network = PoseNet(MODEL, data.keypoints)
    people = data.train()
    batch = batch_of(people.datasets[1])
    loss, before = gradients(network, batch)
    json_path = tmp_path / "set1" / "train.json"
    content, moved = json.loads(json_path.read_text()), 0
    for annotation in content["annotations"]:
        points = np.reshape(annotation["keypoints"], (-1, 3))
        points[points[:, 2] == 0, :2] += 17.0
        moved += int((points[:, 2] == 0).sum())
        annotation["keypoints"] = points.ravel().tolist()
    json_path.write_text(json.dumps(content))
    assert moved > 10
    perturbed = batch_of(data_of([sets[0], path], still).train().datasets[1])
    perturbed["target_x"] += (perturbed["weight"] == 0)[..., None] * 3.0
    again, after = gradients(network, perturbed)
    assert again == loss
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_keypoint_that_one_set_lacks_learns_from_the_other(sets):
    data = data_of(sets)
    network, (first, second) = PoseNet(MODEL, data.keypoints), data.train().datasets
    rows = {}
    for name, people in (("coco", first), ("lsp", second)):
        gradients(network, batch_of(people))
        rows[name] = network.head.to_keypoints.weight.grad.abs().flatten(1).sum(1) > 0
    names = np.array(data.keypoints.names)
    assert names[~rows["lsp"].numpy()].tolist() == list(COCO_NAMES[:5]), "nose, eyes and ears"
    assert names[~rows["coco"].numpy()].tolist() == ["neck", "head_top"]


def test_shares_and_the_same_samples_on_two_processes_and_after_a_stop(sets):
    people = data_of(sets, shares=(3.0, 1.0)).train()

    def batches(count, start=0, size=4, **options):
        stream = TrainLoader(people, size, seed=3, **options).batches(start)
        return [next(stream) for _ in range(count)]

    whole = batches(3)
    seen = Counter(bool(w[18] or w[17]) for batch in whole for w in batch["weight"])
    assert seen[True] <= 3, "of 12 samples 9 are COCO's"
    halves = zip(*(batches(3, size=2, rank=r, world=2) for r in (0, 1)), strict=True)
    for batch, (one, two), later in zip(whole[1:], list(halves)[1:], batches(2, 1), strict=True):
        for name in batch:
            assert torch.equal(batch[name], torch.cat([one[name], two[name]]))
            assert torch.equal(batch[name], later[name])


# ---- runs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(sets, tmp_path_factory):
    """The folder of a run on both sets."""
    folder = tmp_path_factory.mktemp("runs") / "both"
    config = config_of(sets, folder)
    train(replace(config, run=replace(config.run, best="set1 PCK@0.2 torso")))
    return folder


def test_a_set_with_share_0_teaches_nothing(sets, tmp_path):
    """As the first set alone, given as one set always was: the same samples, losses, weights."""
    both = config_of(sets, tmp_path / "both", shares=(1.0, 0.0), keypoints=",".join(COCO_NAMES))
    both = replace(both, run=replace(both.run, best=""))
    _, files = find_set(sets[0], both.data)
    alone = replace(both, data=replace(files, keypoints=""))
    alone = replace(alone, run=replace(alone.run, folder=str(tmp_path / "alone")))
    for config in (both, alone):
        train(config)
    rows = [
        [r["loss"] for r in read_metrics(tmp_path / n) if "loss" in r] for n in ("both", "alone")
    ]
    assert len(rows[0]) == 2
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)
    one, other = (
        load_file(tmp_path / name / "checkpoints/last/model.safetensors")
        for name in ("both", "alone")
    )
    assert all(torch.allclose(one[name], other[name], rtol=0, atol=1e-6) for name in one)
    assert any(
        "set1 PCK@0.2 box" in name for row in read_metrics(tmp_path / "both") for name in row
    )


def test_training_evaluation_and_prediction(sets, trained, command):
    figures = next(row for row in read_metrics(trained) if "eval/set0 AP" in row)
    assert {"eval/set0 AP50", "eval/set1 PCK@0.2 torso", "eval/set1 PCK@0.2 box"} <= set(figures)
    assert (trained / "checkpoints/best").exists(), "the metric of a set can pick it"
    done = command(pose_eval.main, trained, "--eval.flip-test", "--report")
    assert done.returncode == 0, done.output
    record = json.loads((trained / "eval.json").read_text())
    names = {name.removeprefix("eval/") for name in figures if name.startswith("eval/")}
    assert set(record["figures"]) == names
    assert "set1 PCK@0.2 torso" in done.output
    titles = [table["title"] for table in record["tables"]]
    assert "set0 Keypoints" in titles
    assert "set1 Keypoints" in titles
    for name in names:
        assert record["figures"][name] == pytest.approx(figures[f"eval/{name}"], abs=1e-6)
    done = command(pose_predict.main, trained, "--count", 3)
    assert done.returncode == 0, done.output
    people = json.loads((trained / "predictions/predictions.json").read_text())
    assert {len(person["keypoints"]) for person in people} == {3 * 19}
    assert len(people) == 3


def test_what_another_network_has_learnt_is_taken_by_name(trained):
    """To start from, in other spellings too; to go on from, it has to be the same network."""
    lines = []
    network = PoseNet(replace(MODEL, weights=str(trained)), COCO)
    start_from(network, str(trained), lines.append)
    assert lines[0].endswith("right_ankle, head.x, head.y; new: nothing")
    wider = PoseNet(MODEL, KeypointSet.of(["top_head", "nose", "throat"]))
    start_from(wider, str(trained), lines.append)
    assert "top_head, nose, head.x, head.y; new: throat" in lines[1]
    saved = load_file(trained / "checkpoints/last/model.safetensors")["head.to_keypoints.weight"]
    rows = wider.head.to_keypoints.weight.unflatten(0, (3, -1))
    assert torch.equal(rows[:2], saved.unflatten(0, (19, -1))[[18, 0]])
    checkpoint = (trained / "checkpoints/last").resolve()
    message = r"predicts 19 keypoints, this data has 17 \(gone: neck, head_top\): resume with the s"
    with pytest.raises(InputError, match=message):
        check_resumed(network, checkpoint)
    turned = join({"lsp": LSP, "coco": COCO})
    with pytest.raises(InputError, match=r"this data has 19 \(the same in another order\)"):
        check_resumed(PoseNet(MODEL, turned), checkpoint)


def test_one_set_s_own_json_is_evaluated_on_its_own_names(sets, trained, tmp_path, command):
    folder = sets[1].removesuffix(".yaml")
    words = ["--data.root", folder, "--data.val-json", "val.json", "--data.val-images", "images"]
    done = command(pose_eval.main, trained, *words, "--flip-test", "--output", tmp_path)
    assert done.returncode == 0, done.output
    figures = json.loads((tmp_path / "eval.json").read_text())["figures"]
    row = next(row for row in read_metrics(trained) if "eval/set1 PCK@0.2 box" in row)
    expected = {n: row[f"eval/set1 {n}"] for n in ("PCK@0.2 torso", "PCK@0.2 box")}
    assert figures == pytest.approx(expected, abs=1e-6)
    done = command(pose_eval.main, trained, "--data.val-json", "val.json")
    assert "--data.root is missing: give the folder of the json and its images" in done.output
    done = command(pose_eval.main, trained, "--data.sets", *sets, "--boxes", "x.json")
    assert "x.json has boxes of one set: say which, with --data.sets" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"sets": ("lspe",)},
            r"no set 'lspe'. Did you mean lspet\? Known: people, lspet, coco; of",
        ),
        ({"sets": ("lspet=/no",)}, r"lspet is looked for in /no, which is no folder: say lspet="),
        ({"sets": ("own.yaml",)}, r"own.yaml: No such file or directory: check the path"),
        ({"sets": ("people",), "shares": (1.0, 2.0)}, r"shares has 2 numbers for 1 data.sets"),
        ({"sets": ("people",), "shares": (-1.0,)}, r"shares is \(-1.0,\); choose 0 or more"),
        ({"sets": ("people",), "shares": (0.0,)}, r"one set at least needs a share above 0"),
        ({"shares": (1.0,)}, r"shares has 1 numbers for 0 data.sets"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(words, message):
    with pytest.raises(InputError, match=message):
        PoseSets(replace(debug(), data=DataConfig(**words)), Session())


def test_a_set_twice_and_a_wrong_yaml(sets, tmp_path):
    with pytest.raises(InputError, match=r"data.sets names set0 twice: give it once"):
        data_of([sets[0], sets[0]])
    (tmp_path / "fish.yaml").write_text("roots: x")
    with pytest.raises(InputError, match=r"fish.yaml: unknown field 'roots'. Did you mean root\?"):
        data_of([str(tmp_path / "fish.yaml")])
    with pytest.raises(
        InputError, match=r"set1: none of its keypoints \(right_ankle, .* one of the"
    ):
        data_of(sets, keypoints="nose,left_eye")
    with pytest.raises(InputError, match=r"a share of 0.001 of 1.001 is less than one sample"):
        data_of(sets, shares=(1.0, 0.001)).train()


def test_where_the_named_sets_lie(tmp_path, monkeypatch):
    (tmp_path / "lspet").mkdir()
    below = DataConfig(root=str(tmp_path), sets=("people", "lspet"), outside="ignore")
    name, files = find_set("lspet", below)
    assert (name, files.root, files.outside) == ("lspet", str(tmp_path / "lspet"), "ignore")
    assert (files.train_json, files.sets) == ("keypoints_train_full.json", ())
    assert find_set(f"lspet={tmp_path}", DataConfig())[1].root == str(tmp_path)
    monkeypatch.chdir(tmp_path)
    elsewhere = DataConfig(root="/no", sets=("lspet=lspet",))
    assert find_set("lspet=lspet", elsewhere)[1].root == "lspet", "as it is said, as yamls are"
    assert find_set("people", below)[1].root == "", "they are drawn"
