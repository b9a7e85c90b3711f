"""The table of image sizes and resizing methods."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core import InputError
from core.data.images.labelled import ImagesConfig
from core.data.sources import open_images
from core.evaluation.classification import matched_classes
from core.evaluation.common import BackboneConfig, EvalConfig
from core.evaluation.features import agreement
from core.evaluation.grids import Config, run, size_rows
from core.models.classifier import Classifier
from core.models.sharing import save_backbone
from core.training.session import Session
from tests.core.models.test_classifier import write_folder
from tests.core.models.test_resize import tiny


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(5):
            blocks = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
            picture = Image.fromarray(blocks).resize((48, 48), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def measured(weights, images, tmp_path, **options):
    config = Config(
        BackboneConfig(weights=str(weights)),
        ImagesConfig(str(images), workers=0),
        EvalConfig(batch_size=4),
        protocol="direct",
        out=str(tmp_path / "results"),
        **options,
    )
    return run(config, Session())["rows"]


def test_agreement_by_hand():
    reference = torch.tensor([[1.0, 10.0], [3.0, 10.0]])  # 1 and -1 about the mean (2, 10)
    assert agreement(reference, reference).tolist() == pytest.approx([1, 1])
    moved = torch.tensor([[2.0, 11.0], [4.0, 10.0]])  # right angle, opposite of (-1, 0) .. (2, 0)
    assert agreement(reference, moved).tolist() == pytest.approx([0, 1])


def test_rows_of_a_backbone(images, tmp_path):
    mixer = tiny(image_size=16, patch_size=4)
    found = measured(save_backbone(mixer, tmp_path / "m"), images, tmp_path, sizes=(16, 24, 32))
    assert [(row["size"], row["method"]) for row in found] == [
        (16, "own"),
        *((24, method) for method in ("pi", "area", "bilinear")),
        *((32, method) for method in ("exact", "pi", "area", "bilinear")),
    ]
    assert found[0]["agreement"] == pytest.approx(1)
    assert all(-1 <= row["agreement"] <= 1 and "top1" not in row for row in found)
    by = {(row["size"], row["method"]): row["agreement"] for row in found}
    assert by[24, "pi"] != by[24, "area"] != by[24, "bilinear"]
    record = json.loads((tmp_path / "results" / "grids.json").read_text())
    assert record["own_size"] == [16, 16]
    assert (tmp_path / "results" / "grids.png").stat().st_size > 1000


def test_a_classifier_has_accuracies_and_any_size_needs_no_resizing(images, tmp_path):
    classifier = Classifier(tiny(image_size=16, patch_size=4, any_size=True), 3)
    with torch.no_grad():
        classifier.head.bias[1] = 1.0  # a zero kernel: all images are of the second class
    folder = tmp_path / "run" / "checkpoints" / "last"
    folder.mkdir(parents=True)
    from safetensors.torch import save_file

    save_file(classifier.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(classifier.describe()))
    found = measured(tmp_path / "run", images, tmp_path, sizes=(16, 24), limit=7)
    assert [row["method"] for row in found] == ["own", "own"]
    # 7 of 15 images, evenly spaced: 0 2 5 7 9 12 14, of which 5 7 9 are of the second class
    assert [row["top1"] for row in found] == pytest.approx([3 / 7, 3 / 7])
    assert found[0]["agreement"] == pytest.approx(1)
    assert found[1]["agreement"] < 0.999  # of other pixels


def test_rows_begin_with_the_weights_own_grid_whatever_came_before(images, tmp_path):
    weights = save_backbone(tiny(image_size=16, patch_size=4), tmp_path / "m")
    both = measured(weights, images, tmp_path, sizes=(32, 24), methods=("pi",))
    alone = measured(weights, images, tmp_path, sizes=(24,), methods=("pi",))
    assert both[1] == alone[0]


def test_classes_are_those_of_the_classifier_and_bad_images_are_left_out(images, tmp_path):
    classifier = Classifier(tiny(image_size=16, patch_size=4), 3, ["c", "b", "a"])
    with torch.no_grad():
        classifier.head.bias[0] = 1.0  # says "c" of every image
    (images / "a" / "0.png").write_bytes(b"broken")
    data = ImagesConfig(str(images), workers=0, skip_bad=1)
    config = Config(data=data, protocol="direct", sizes=(16,), out=str(tmp_path / "results"))
    dataset = matched_classes(open_images(str(images), ""), classifier)
    (row,) = size_rows(config, Session(), classifier, dataset)
    assert row["top1"] == pytest.approx(5 / 14)
    write_folder(tmp_path / "run", classifier)
    config = replace(config, model=BackboneConfig(weights=str(tmp_path / "run")))
    assert run(config, Session())["rows"] == [row]


def test_others_have_nothing_to_resize(images, tmp_path):
    config = Config(BackboneConfig("convmlp_s", (32,)), ImagesConfig(str(images)))
    with pytest.raises(InputError, match="convmlp_s 32 is no Mixer"):
        run(config, Session())
