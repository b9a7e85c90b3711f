"""The pose app's data: keypoint sets, items, targets and back, and what it says of bad input."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFile
from torch.utils.data import default_collate

pytest.importorskip("mmpose")

from apps.pose.config import AugmentConfig, DataConfig, ModelConfig
from apps.pose.data import augment as augmenting
from apps.pose.data import dataset as pose_data
from apps.pose.data import mmpose_compat
from apps.pose.data.dataset import PoseDataset, crop_box, read_image
from apps.pose.data.keypoints import COCO_NAMES, COCO_SIGMAS, KeypointSet, read_json
from apps.pose.data.records.annotations import ground_truth
from apps.pose.models.decoding import create_decoder, to_image
from apps.pose.models.flip_test import flip_average
from apps.pose.prediction.drawing import draw_people
from core.data.images.files import PixelLimit
from core.data.loading import BadSample, seed_everything
from core.errors import InputError
from tests.apps.pose.oracle import decode, mmpose_codec
from tests.huge import huge

NAMES = ["head", "left_hand", "right_hand", "left_knee", "right_knee", "left_foot", "right_foot"]
SKELETON = [[1, 2], [1, 3], [4, 6], [5, 7]]
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
COLORS = [*COLORS, (255, 255, 255)]
SIMCC = ModelConfig(image_size=(128, 96), head="simcc")
HEATMAP = ModelConfig(image_size=(128, 96), head="heatmap", sigma=2.0)
HEADS = pytest.mark.parametrize("model", [SIMCC, HEATMAP], ids=["simcc", "heatmap"])


def make_people(folder, count=6, size=(320, 240)):
    """A person an image: a coloured disc on grey at each keypoint. Returns the content, unsaved."""
    rng = np.random.default_rng(1)
    content = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": SKELETON}],
    }
    (folder / "images").mkdir(parents=True)
    for i in range(count):
        image, (x, y) = Image.new("RGB", size, (90, 90, 90)), rng.integers(20, 120, 2)
        points = np.array([[30, 10], [60, 40], [5, 45], [50, 70], [12, 72], [55, 98], [8, 95]])
        points = points + rng.integers(-4, 5, points.shape) + [x, y]
        for (a, b), color in zip(points.tolist(), COLORS, strict=True):
            ImageDraw.Draw(image).ellipse((a - 7, b - 7, a + 7, b + 7), fill=color)
        image.save(folder / "images" / f"{i}.jpg", quality=95)
        record = {"id": i, "file_name": f"{i}.jpg", "width": size[0], "height": size[1]}
        content["images"].append(record)
        content["annotations"].append(
            {
                "id": 10 + i,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                "area": 4000.0,
                "bbox": [int(x), int(y), 65, 105],
                "num_keypoints": len(NAMES),
                "keypoints": [v for a, b in points.tolist() for v in (a, b, 2)],
            }
        )
    return content


@pytest.fixture
def people(tmp_path):
    content = make_people(tmp_path)
    save(tmp_path, content)
    return tmp_path, content


def save(folder, content):
    (folder / "people.json").write_text(json.dumps(content))


def dataset(folder, model=SIMCC, **options):
    keypoints = KeypointSet.of(NAMES)
    return PoseDataset(folder / "people.json", folder / "images", keypoints, model, **options)


def as_outputs(batch):
    """What a perfect network would answer."""
    if "heatmap" in batch:
        return {"heatmap": batch["heatmap"]}
    return {axis: batch[f"target_{axis}"].clamp_min(1e-9).log() for axis in "xy"}


def test_mmpose_compat_has_everything_it_names(recwarn, capfd):
    assert all(getattr(mmpose_compat, name) for name in mmpose_compat._HOME)
    assert importlib.reload(mmpose_compat).LoadImage is pose_data.LoadImage
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
    with pytest.raises(AttributeError, match="no attribute 'Datset'"):
        mmpose_compat.Datset  # noqa: B018


def test_mmpose_compat_is_quiet_in_a_new_process():
    script = "import apps.pose.data.mmpose_compat"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "names",
    [
        ["left_eye", "nose", "right_eye"],
        ["eye_left", "nose", "eye_right"],
        ["Left Ankle", "Upright", "Right Ankle"],
        ["L_ankle", "neck", "R_ankle"],
        ["ankle.l", "neck", "ankle.r"],
        ["LShoulder", "Lump", "RShoulder"],
        ["leftEye", "nose", "rightEye"],
    ],
)
def test_flip_pairs_come_from_the_names(names):
    keypoints = KeypointSet.of(names)
    assert keypoints.swap == (2, 1, 0)
    assert [keypoints.side(i) for i in range(3)] == ["left", "centre", "right"]


def test_coco_names_bring_coco_sigmas_and_others_none(people):
    assert KeypointSet.of(list(COCO_NAMES)).sigmas == COCO_SIGMAS
    keypoints = KeypointSet.read(people[0] / "people.json")
    assert keypoints.sigmas is None
    assert keypoints.skeleton == ((0, 1), (0, 2), (3, 5), (4, 6))
    assert keypoints.upper == (True, True, True, False, False, False, False)


def test_side_file_overrides(people):
    side = people[0] / "side.yaml"
    side.write_text(
        "names: [a, b, c, d, e, f, g]\nskeleton: [[a, g], [1, 2]]\nflip_pairs: [[b, c], [4, 5]]\n"
        "sigmas: [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2]\n"
    )
    keypoints = KeypointSet.read(people[0] / "people.json", side)
    assert keypoints.names == tuple("abcdefg")
    assert keypoints.skeleton == ((0, 6), (0, 1))
    assert keypoints.swap == (0, 2, 1, 4, 3, 5, 6)
    assert keypoints.sigmas[-1] == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip_pairs: [[head, tail]]", "'tail'"),
        ("flip_pairs: [[head, left_hand], [head, right_hand]]", "twice"),
        ("sigmas: [0.1]", "1 sigmas for 7"),
        ("sigmas: [0, 1, 1, 1, 1, 1, 1]", "above 0"),
        ("names: [a]", "1 names"),
        ("names: [a, a, c, d, e, f, g]", "share a name"),
        ("skeleton: [[1, 8]]", "8"),
        ("skeleton: [head]", "no pair"),
        ("skelton: []", "only the fields"),
        ("sigmas: 3", "must be a list"),
        ("a: [", "is not yaml"),
    ],
)
def test_side_file_errors(people, text, message):
    side = people[0] / "side.yaml"
    side.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        KeypointSet.read(people[0] / "people.json", side)
    assert "\n" not in str(error.value)


def test_keypoint_json_errors(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        KeypointSet.read(tmp_path / "none.json")
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"categories": [{"id": 1, "name": "person"}]}))
    with pytest.raises(InputError, match="no category with `keypoints`"):
        KeypointSet.read(path)


@HEADS
def test_items(people, model):
    item = dataset(people[0], model, augment=AugmentConfig(), train=True)[0]
    targets = {"target_x": (7, 192), "target_y": (7, 256)}
    targets = targets if model is SIMCC else {"heatmap": (7, 32, 24)}
    shapes = {name: tuple(value.shape) for name, value in item.items()}
    assert shapes == {"image": (3, 128, 96), "weight": (7,), **targets}
    assert item["image"].dtype == torch.uint8
    assert all(item[name].dtype == torch.float32 for name in targets)
    batch = default_collate([dataset(people[0], model)[i] for i in range(3)])
    assert batch["annotation"].tolist() == [10, 11, 12]
    assert batch["image_id"].tolist() == [0, 1, 2]
    assert batch["box_score"].tolist() == [1, 1, 1]
    assert torch.allclose(batch["scale"][0, 1] * 96 / 128, batch["scale"][0, 0])


@HEADS
def test_crop_box_is_the_evaluation_item(people, model):
    folder, content = people
    item, box = dataset(folder, model)[0], content["annotations"][0]["bbox"]
    crop = crop_box(read_image(folder / "images" / "0.jpg"), box, model)
    assert all(torch.equal(value, item[name]) for name, value in crop.items())


@HEADS
def test_training_items_are_a_function_of_the_global_generators(people, model):
    data = dataset(people[0], model, augment=AugmentConfig(), train=True)
    copy = pickle.loads(pickle.dumps(data))  # as a spawned worker gets it

    def item(source, *key):
        seed_everything(*key)
        return source[1]

    first, again, other = item(data, 3, 0), item(copy, 3, 0), item(data, 3, 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["image"], other["image"])


@HEADS
def test_augmented_targets_stay_on_the_keypoints(people, model):
    """The crop has the keypoint's colour where the target has its peak; mirrored, the partner's."""
    keypoints, mirrored = KeypointSet.of(NAMES), 0
    augment = AugmentConfig(scale=(0.8, 1.2), half_body=0)
    data = dataset(people[0], model, augment=augment, train=True)
    for seed in range(24):
        seed_everything(seed)
        item = data[seed % len(data)]
        points = decode(model, as_outputs({k: v[None] for k, v in item.items()}))[0][0]
        columns, rows = points.round().astype(int).T
        seen = item["weight"].bool().numpy() & (columns > 1) & (columns < 94)
        seen &= (rows > 1) & (rows < 126)
        found = item["image"].permute(1, 2, 0).numpy()[rows.clip(0, 127), columns.clip(0, 95)]

        def differs(order, found=found, seen=seen):
            return np.abs(found - np.array(COLORS, dtype=int)[order])[seen].max(initial=0)

        plain, swapped = differs(list(range(7))), differs(list(keypoints.swap))
        assert min(plain, swapped) < 100, seed
        mirrored += swapped < plain
    assert 4 < mirrored < 20


STILL = {"flip": 0.0, "half_body": 0.0, "scale": (1.0, 1.0), "rotation": 0.0, "shift": 0.0}


def augmented_points(folder, **changes):
    """The nose and the keypoints around it, in pixels of the crop, of 40 draws: (40, 7, 2)."""
    model = replace(SIMCC, simcc_split=4.0)
    augment = AugmentConfig(**{**STILL, **changes})
    data, draws = dataset(folder, model, augment=augment, train=True), []
    for seed in range(40):
        seed_everything(seed)
        item = data[0]
        points = decode(model, as_outputs({k: v[None] for k, v in item.items()}))[0][0]
        draws.append(np.where(item["weight"].numpy()[:, None] > 0, points, np.nan))
    return np.stack(draws)


def shape_of(points):
    """Length and angle of each line from the first keypoint, of each draw: (40, 6) each."""
    lines = points[:, 1:] - points[:, :1]
    return np.linalg.norm(lines, axis=-1), np.arctan2(lines[..., 1], lines[..., 0])


@pytest.mark.parametrize(
    ("setting", "value", "moves"),
    [
        ("rotation", 30.0, {"angle"}),
        ("scale", (0.8, 1.25), {"length"}),
        ("shift", 0.1, {"place"}),
        ("turn", 1.0, {"angle"}),
    ],
)
def test_each_augmentation_does_what_it_is_called(people, setting, value, moves):
    """And nothing else; without any of them every draw is the same."""
    still = augmented_points(people[0])
    assert np.nanmax(np.ptp(still, axis=0)) == 0
    points = augmented_points(people[0], **{setting: value})
    (length, angle), (length_before, angle_before) = shape_of(points), shape_of(still)
    turned = (angle - angle_before + np.pi) % (2 * np.pi) - np.pi
    changes = {
        "length": np.nanmax(np.abs(length / length_before - 1)) > 0.1,
        "angle": np.nanmax(np.abs(turned)) > 0.1,
        "place": np.nanmax(np.abs(np.nanmean(points - still, 1))) > 2,
    }
    assert moves <= {name for name, changed in changes.items() if changed}
    for name in {"length", "angle"} - moves:
        assert not changes[name], name


def test_a_share_is_turned_by_any_angle(people):
    """All angles are as likely; the others keep theirs."""
    before = shape_of(augmented_points(people[0]))[1]
    turned = np.degrees(shape_of(augmented_points(people[0], turn=0.5))[1] - before)
    angles = (np.nanmedian(turned, 1) + 180) % 360 - 180  # (40,)
    assert 10 < (np.abs(angles) > 1).sum() < 30
    assert angles.min() < -90
    assert angles.max() > 90


def test_colours_change_as_told():
    image = np.random.default_rng(0).integers(60, 180, (8, 6, 3), dtype=np.uint8)
    grey = image @ augmenting.LUMA

    def near(values, expected):
        np.testing.assert_allclose(values, expected, atol=1.01)

    near(augmenting.recolour(image, 1.0, 1.0, 1.0), image)
    near(augmenting.recolour(image, 1.2, 1.0, 1.0), 1.2 * image)
    near(augmenting.recolour(image, 1.0, 0.5, 1.0), (image + grey.mean()) / 2)
    near(augmenting.recolour(image, 1.0, 1.0, 0.0), np.repeat(grey[..., None], 3, 2))
    assert augmenting.recolour(image, 9.0, 1.0, 1.0).max() == 255


def test_a_part_is_hidden_and_the_rest_is_as_it_was():
    image, hidden = np.full((80, 60, 3), 7, np.uint8), []
    for seed in range(60):
        seed_everything(seed)
        changed = (augmenting.Hide(0.5)({"img": image})["img"] != image).any(2)
        hidden.append(changed.mean())
        rows, columns = changed.any(1), changed.any(0)
        assert (changed == np.outer(rows, columns)).all(), "a rectangle"
        assert (rows.sum() <= 41) & (columns.sum() <= 31)
    assert 15 < np.count_nonzero(hidden) < 45
    assert image.max() == 7, "the person's own picture stays"


def test_pixels_change_and_targets_do_not(people):
    items = []
    for changes in ({}, {"colour": 0.5, "occlusion": 1.0}):
        augment = AugmentConfig(**{**STILL, **changes})
        seed_everything(3)
        items.append(dataset(people[0], augment=augment, train=True)[0])
    plain, other = items
    assert torch.equal(plain["target_x"], other["target_x"])
    assert torch.equal(plain["weight"], other["weight"])
    assert (plain["image"] != other["image"]).float().mean() > 0.3


@pytest.mark.parametrize(
    "wrong",
    [{"turn": 1.5}, {"colour": -0.1}, {"occlusion": 2}, {"scale": (1.2, 0.8)}, {"rotation": -1}],
)
def test_wrong_settings_are_named(people, wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=rf"augment\.{name} is .*(choose|two factors)"):
        dataset(people[0], augment=AugmentConfig(**wrong), train=True)


@pytest.mark.parametrize("probability", [0.0, 0.7])
def test_half_bodies_are_as_frequent_as_told(people, probability):
    """mmpose takes half of a person with nine labelled keypoints or more; these have seven."""
    augment = AugmentConfig(half_body=probability)
    transforms = dataset(people[0], augment=augment, train=True).transforms
    (half_body,) = [t for t in transforms if isinstance(t, mmpose_compat.RandomHalfBody)]
    assert half_body.prob == probability


@HEADS
def test_targets_decode_to_the_keypoints(people, model):
    folder, content = people
    data, still = dataset(folder, model, train=True), dataset(folder, model)
    batch = default_collate([{**still[i], **data[i]} for i in range(len(data))])
    points, scores = create_decoder(model)(as_outputs(batch))
    found = to_image(points, batch["center"], batch["scale"], model.image_size).numpy()
    truth, _ = ground_truth(content, batch["annotation"], len(NAMES))
    pixels = batch["scale"][:, :1, None].numpy() / model.image_size[1]  # image per crop pixel
    assert np.abs((found - truth[..., :2]) / pixels).max() < 0.5
    assert (scores > 0.9).all()
    assert (scores <= 1).all()


@pytest.mark.parametrize("udp", [False, True])
def test_to_image_inverts_the_affine(udp):
    from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

    model = HEATMAP if udp else SIMCC
    rng = np.random.default_rng(0)
    center, scale = rng.uniform(50, 100, (4, 2)), rng.uniform(80, 200, 4)[:, None] * [0.75, 1.0]
    points = rng.uniform(0, 200, (4, 5, 2))
    warp = get_udp_warp_matrix if udp else get_warp_matrix
    matrices = np.stack([warp(c, s, 0, (96, 128)) for c, s in zip(center, scale, strict=True)])
    crop = points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    if udp:  # UDPHeatmap.decode gives points in units of W/(W-1) crop pixels
        crop = crop / [95, 127] * [96, 128]
    tensors = (torch.from_numpy(values).float() for values in (crop, center, scale))
    found = to_image(*tensors, model.image_size).numpy()
    assert np.abs(found - points).max() < 1e-3


@HEADS
def test_flip_test_of_a_mirrored_target_is_the_target(model):
    keypoints = KeypointSet.of(NAMES)
    codec = mmpose_codec(model)
    # Away from the right border, whose last bin nothing can be moved into.
    points = np.random.default_rng(2).integers(40, 140, (1, 7, 2)).astype(np.float32) / 2
    flipped = points[:, list(keypoints.swap)].copy()
    flipped[..., 0] = 95 - flipped[..., 0]

    def encode(points):
        target = codec.encode(points, np.ones((1, 7), dtype=np.float32))
        if model is HEATMAP:
            return {"heatmap": torch.from_numpy(target["heatmaps"])[None]}
        return {axis: torch.from_numpy(target[f"keypoint_{axis}_labels"]) for axis in "xy"}

    expected = encode(points)
    mean = flip_average(encode(points), encode(flipped), model, keypoints.swap)
    for name, value in expected.items():
        # UDP rounds a keypoint to a heatmap pixel, the other way for some mirrored ones.
        assert torch.allclose(mean[name], value, atol=1e-6 if model is SIMCC else 1e-4)


def test_untrained_outputs_decode_to_finite_numbers():
    for model, shapes in [
        (SIMCC, {"x": (2, 7, 192), "y": (2, 7, 256)}),
        (HEATMAP, {"heatmap": (2, 7, 32, 24)}),
    ]:
        for fill in (torch.zeros, torch.randn, lambda *s: -torch.ones(*s)):
            outputs = {name: fill(*shape).bfloat16() for name, shape in shapes.items()}
            found, scores = decode(model, outputs)
            assert np.isfinite(found).all()
            assert np.isfinite(scores).all()


def test_heatmaps_need_multiples_of_four(people):
    with pytest.raises(InputError, match=r"model\.image_size 130 x 96"):
        dataset(people[0], ModelConfig(image_size=(130, 96), head="heatmap"), train=True)


@pytest.mark.parametrize("kind", ["missing", "truncated", "no image", "other size"])
def test_bad_images_are_named(people, kind):
    folder, _ = people
    path = folder / "images" / "2.jpg"
    whole = path.read_bytes()
    damage = {
        "missing": path.unlink,
        "truncated": lambda: path.write_bytes(whole[: len(whole) * 2 // 3]),
        "no image": lambda: path.write_bytes(b"text"),
        "other size": lambda: Image.new("RGB", (240, 320)).save(path),
    }
    data = dataset(folder, augment=AugmentConfig(), train=True)
    damage[kind]()
    with pytest.raises(BadSample) as error:
        data[2]
    assert error.value.path == str(path)
    assert data[1]["image"].shape == (3, 128, 96)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_header_is_enough_to_refuse_an_image(people, monkeypatch, kind):
    """OpenCV, which Pillow's limit does not bind, gets no JPEG above ours."""
    folder, _ = people
    data = dataset(folder, limit=DataConfig(max_pixels=320 * 240 - 1).limit)
    path = folder / "images" / "2.jpg"
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    said = "320 x 240 pixels are more than 76,799: raise --data.max-pixels"
    with pytest.raises(BadSample, match=rf"2.jpg: {said}$"):
        data[2]
    path.write_bytes(huge(kind))
    for limit, most in ((PixelLimit(), "178,956,970"), (DataConfig().limit, "50,000,000")):
        with pytest.raises(BadSample, match=f"60000 x 60000 pixels are more than {most}: "):
            read_image(path, limit)


def test_the_limit_itself_is_read(people):
    folder, _ = people
    data = dataset(folder, limit=DataConfig(max_pixels=320 * 240).limit)
    assert data[2]["image"].shape == (3, 128, 96)


def test_read_image_is_upright_rgb(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("L", (20, 10), 7).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (20, 10, 3)


def _drop(content, name):
    del content[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: _drop(c, "annotations"), "`annotations` is missing"),
        (lambda c: _drop(c["images"][1], "width"), r"image 1 \(1.jpg\) has no width"),
        (lambda c: _drop(c["annotations"][1], "category_id"), "has no category_id"),
        (lambda c: c["annotations"][1].update(image_id=99), "annotation 11 is of image 99"),
        (lambda c: c["annotations"][1].update(id=10), "two annotations have the id 10"),
        (lambda c: [_drop(a, "keypoints") for a in c["annotations"]], "no annotation has key"),
        (lambda c: c["annotations"][1].update(keypoints=[1, 2, 2]), "annotation 11 has 3 keyp"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), "annotation 11 has bbox"),
        (lambda c: c["annotations"][1]["keypoints"].__setitem__(2, 3), "visibility"),
        (lambda c: c["annotations"][1]["keypoints"].__setitem__(3, 321), "data.outside=ignore"),
        (lambda c: c["annotations"][1]["keypoints"].__setitem__(3, -1), r"\(-1, \d+\), outside"),
        (lambda c: c["categories"][0].update(keypoints=["a"]), "has 1 keypoints"),
        (lambda c: [a.update(iscrowd=1) for a in c["annotations"]], "no usable person"),
        (lambda c: [i.update(file_name="x") for i in c["images"]], "none of the first 6 images"),
    ],
)
def test_json_errors(people, change, message):
    folder, content = people
    change(content)
    save(folder, content)
    with pytest.raises(InputError, match=message) as error:
        dataset(folder)
    assert "\n" not in str(error.value)


def test_file_errors(people):
    folder, _ = people
    keypoints = KeypointSet.of(NAMES)
    with pytest.raises(InputError, match=r"nowhere is no folder: check data\.root"):
        PoseDataset(folder / "people.json", folder / "nowhere", keypoints, SIMCC)
    with pytest.raises(InputError, match=r"other\.json.*check the path"):
        PoseDataset(folder / "other.json", folder / "images", keypoints, SIMCC)
    (folder / "other.json").write_text("{")
    with pytest.raises(InputError, match="not a json file"):
        PoseDataset(folder / "other.json", folder / "images", keypoints, SIMCC)
    with pytest.raises(InputError, match="no keypoints to train on"):
        dataset(folder, train=True, boxes="boxes.json")


def test_points_outside_can_be_ignored_and_the_border_is_inside(people):
    folder, content = people
    content["annotations"][0]["keypoints"][:3] = [320, 240, 2]
    content["annotations"][1]["keypoints"][:3] = [320.5, 50, 2]
    save(folder, content)
    data = dataset(folder, outside="ignore", train=True)
    assert data.counts["outside_points"] == 1
    assert data[1]["weight"].tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert data.category_id == 1


def test_counts_and_who_is_left_out(people):
    folder, content = people
    annotations = content["annotations"]
    annotations[0]["iscrowd"] = 1
    annotations[1].update(keypoints=[0] * 21, num_keypoints=0)
    annotations[2]["bbox"] = [10, 10, 0, 20]
    del annotations[3]["keypoints"]
    save(folder, content)
    data = dataset(folder)
    assert data.counts == {
        "images": 6,
        "annotations": 6,
        "crowds": 1,
        "unlabelled": 2,
        "people": 2,
        "no_keypoints": 1,
        "outside_points": 0,
        "boxes_without_area": 1,
    }
    assert [int(data[i]["annotation"]) for i in range(2)] == [14, 15]


def test_detection_boxes(people):
    folder, _ = people
    box = {"image_id": 3, "category_id": 1, "bbox": [10.0, 20.0, 60.0, 100.0], "score": 0.75}
    path = folder / "boxes.json"
    path.write_text(json.dumps([box, {**box, "category_id": 2}, {**box, "score": 0.5}]))
    data = dataset(folder, boxes=path)
    batch = default_collate([data[i] for i in range(len(data))])
    assert batch["annotation"].tolist() == [-1, -1]
    assert batch["box_score"].tolist() == [0.75, 0.5]
    assert batch["center"][0].tolist() == [40, 70]
    assert batch["scale"][0].tolist() == [93.75, 125]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no list of detections"),
        ([], "no detection of a person"),
        ([{"image_id": 0, "category_id": 1, "bbox": [0, 0, 5, 5]}], "has no score"),
        ([{"image_id": 99, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}], "image 99"),
        ([{"image_id": 0, "category_id": 1, "bbox": [0, 0, 0, 5], "score": 1}], "no area"),
    ],
)
def test_detection_errors(people, content, message):
    path = people[0] / "boxes.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        dataset(people[0], boxes=path)


def test_drawing(people):
    folder, _ = people
    keypoints = KeypointSet.read(folder / "people.json")
    truth, _ = ground_truth(read_json(folder / "people.json"), [10], 7)
    grey = np.full((240, 320, 3), 50, dtype=np.uint8)
    drawn = draw_people(grey, truth[..., :2], truth[..., 2], keypoints)
    _, left, right = truth[0, :3, :2].astype(int)
    assert drawn[left[1], left[0]].tolist() == [0, 255, 0]
    assert drawn[right[1], right[0]].tolist() == [255, 128, 0]
    assert (grey == 50).all()
    assert (draw_people(grey, truth[..., :2], 0 * truth[..., 2], keypoints) == 50).all()
    assert (draw_people(grey, truth[:0, :, :2], truth[:0, :, 2], keypoints) == 50).all()
