"""Exported files: equal to eager at free batch sizes, int8 near it, refusals that leave nothing."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from core.data.images.labelled import ImagesConfig
from core.errors import InputError
from core.evaluation.common import BackboneConfig
from core.evaluation.export import Config, check_images, open_network, run
from core.evaluation.exporting import exporters
from core.evaluation.exporting.exporters import export_int8, export_onnx, export_program
from core.evaluation.exporting.graph import as_tuple, backbone_of, noise
from core.evaluation.features import agreement
from core.models.backbone import create_backbone
from core.models.building import backbone_from_description
from core.models.classifier import Classifier
from core.models.sharing import save_backbone
from core.training.session import Session

NETWORKS = {  # a square Mixer; two classifiers: of a wide Mixer with an oblong patch, which pools
    "square": ("mixer_c16_l2_p8", 32, None),  # its tokens, and of a ViT of timm, which does not
    "wide": ("mixer_c24_l1_p4x8", (12, 40), ["cat", "dog", "owl"]),
    "vit": ("timm:test_vit", 32, ["ink", "oil"]),
}


def network(name: str) -> nn.Module:
    torch.manual_seed(1)
    backbone, size, classes = NETWORKS[name]
    made = create_backbone(backbone, size)
    made = Classifier(made, len(classes), classes) if classes else made
    with torch.no_grad():
        for parameter in made.parameters():  # no bias and no scale is left at 0 or 1
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def outputs(path, images):
    """{name: values} of an ONNX file."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images.numpy()}), strict=True))


def about(path):
    return {p.key: p.value for p in onnx.load(path).metadata_props}


def expected(made: nn.Module, images) -> dict[str, torch.Tensor]:
    """What a file of the network has to give, by the network's own calls."""
    with torch.no_grad():
        found = {"tokens": backbone_of(made)(images)}
        return found | ({"logits": made(images)} if isinstance(made, Classifier) else {})


@pytest.fixture(scope="module")
def onnx_files(tmp_path_factory):
    """The three networks as ONNX; an export takes seconds."""
    folder = tmp_path_factory.mktemp("onnx")
    for name in NETWORKS:
        assert export_onnx(network(name), folder / f"{name}.onnx") < 1e-4
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{n}.onnx" for n in NETWORKS)
    return folder


@pytest.fixture
def copied(onnx_files, monkeypatch):
    """A network by name, whose ONNX is copied where it would be exported anew."""

    def of(name):
        content = (onnx_files / f"{name}.onnx").read_bytes()
        monkeypatch.setattr(exporters, "_write_network", lambda _, path: path.write_bytes(content))
        return network(name)

    return of


@pytest.fixture
def square(copied):
    return copied("square")


@pytest.mark.parametrize("name", NETWORKS)
def test_files_give_what_eager_gives_at_any_batch(onnx_files, tmp_path, name):
    made = network(name)
    assert export_program(made, tmp_path / "a.pt2") < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt2"]
    program = torch.export.load(tmp_path / "a.pt2").module()
    for batch in (1, 5):
        images = torch.randn(batch, 3, *backbone_of(made).image_size)
        right, theirs = expected(made, images), outputs(onnx_files / f"{name}.onnx", images)
        assert list(theirs) == list(right)
        with torch.no_grad():
            values = as_tuple(program(images))
        for value, (output, wanted) in zip(values, right.items(), strict=True):
            torch.testing.assert_close(value, wanted, atol=1e-4, rtol=0)
            np.testing.assert_allclose(theirs[output], wanted, atol=1e-4)


def test_int8_of_a_classifier_has_its_logits_and_its_classes(copied, tmp_path):
    made = copied("wide")
    images = noise(made, 16)
    found = export_int8(made, tmp_path / "a.onnx", images, min_agreement=0.9, batch_size=5)
    right, theirs = expected(made, images), outputs(tmp_path / "a.onnx", images)
    assert list(theirs) == ["tokens", "logits"]
    np.testing.assert_allclose(theirs["logits"], right["logits"], atol=0.1)
    same = theirs["logits"].argmax(1) == right["logits"].argmax(1).numpy()
    assert found["same_class"] == pytest.approx(same.mean(), abs=0.1)  # other batches, other scales
    assert json.loads(about(tmp_path / "a.onnx")["classes"]) == ["cat", "dog", "owl"]


def test_a_program_of_a_classifier_names_its_classes(tmp_path):
    export_program(network("wide"), tmp_path / "a.pt2")
    extra = {"metadata.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    values = json.loads(extra["metadata.json"])
    assert json.loads(values["classes"]) == ["cat", "dog", "owl"]
    assert json.loads(values["description"])["name"] == "mixer"


def test_the_head_that_the_weights_hold_is_exported_unless_told_not_to(tmp_path):
    made = network("wide")
    trained, alone = tmp_path / "trained", str(tmp_path / "alone")
    trained.mkdir()
    (trained / "config.json").write_text(json.dumps(made.describe()))
    save_file(made.state_dict(), trained / "model.safetensors")
    save_backbone(made.backbone, alone)
    name = NETWORKS["wide"][0]
    for named in ({}, {"backbone": name, "image_size": (12, 40)}):
        model = BackboneConfig(weights=str(trained), **named)
        opened = open_network(model, head=True)
        assert opened.classes == ["cat", "dog", "owl"]
        torch.testing.assert_close(opened.head.weight, made.head.weight)
        assert not isinstance(open_network(model, head=False), Classifier)
    for weights in (alone, ""):
        opened = open_network(BackboneConfig(name, (12, 40), weights), head=True)
        assert not isinstance(opened, Classifier)


def test_a_program_of_any_size_takes_other_heights_and_widths(tmp_path):
    backbone = create_backbone("mixer_c16_l2_p8", (32, 40), any_size=True).eval()
    assert export_program(backbone, tmp_path / "a.pt2") < 1e-4
    program = torch.export.load(tmp_path / "a.pt2").module()
    for batch, size in ((1, (32, 40)), (3, (48, 24)), (1, (16, 96))):
        images = torch.randn(batch, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(images), backbone(images), atol=1e-4, rtol=0)


def test_a_program_that_differs_at_another_size_is_not_kept(tmp_path, monkeypatch):
    """As one in which the maps between the grids were constants."""
    backbone = create_backbone("mixer_c16_l1_p8", 32, any_size=True).eval()
    load = torch.export.load

    class Wrong:
        def __init__(self, path):
            self.right = load(path).module()

        def module(self):
            return lambda images: self.right(images) + (images.shape[2:] != (32, 32))

    monkeypatch.setattr(torch.export, "load", Wrong)
    with pytest.raises(InputError, match=r"differs from the network by 0\.\d+"):
        export_program(backbone, tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_metadata_rebuilds_the_network_and_its_preprocessing(onnx_files, square, tmp_path):
    export_program(square, tmp_path / "a.pt2")
    export_int8(square, tmp_path / "a.int8.onnx", noise(square, 8), min_agreement=0.9)
    extra = {"metadata.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    found = [json.loads(extra["metadata.json"])]
    for path in (onnx_files / "square.onnx", tmp_path / "a.int8.onnx"):
        found.append(about(path))
    for properties in found:
        values = {key: json.loads(properties[key]) for key in ("image_size", "grid", "mean", "std")}
        constants = {"mean": [0.5] * 3, "std": [0.5] * 3}
        assert values == {"image_size": [32, 32], "grid": [4, 4], **constants}
        rebuilt = backbone_from_description(json.loads(properties["description"]))
        rebuilt.load_state_dict(square.state_dict())


def test_int8_holds_the_features(square, tmp_path):
    images = noise(square, 16)
    found = export_int8(square, tmp_path / "a.onnx", images, min_agreement=0.97, batch_size=5)
    assert found["agreement"] >= 0.97
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    kinds = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert "MatMulInteger" in kinds
    assert "ConvInteger" not in kinds
    right = expected(square, images)["tokens"].mean(1)
    features = torch.from_numpy(outputs(tmp_path / "a.onnx", images)["tokens"].mean(1))
    assert not torch.equal(features, right)
    again = agreement(right, features)
    assert float(again.mean()) == pytest.approx(found["agreement"], abs=1e-2)


def test_int8_below_the_threshold_is_not_kept(square, tmp_path):
    with pytest.raises(InputError, match=r"not kept.*below --min-agreement 1\.1"):
        export_int8(square, tmp_path / "a.onnx", noise(square, 4), min_agreement=1.1)
    assert not list(tmp_path.iterdir())


def test_int8_of_a_network_without_matrix_products(tmp_path):
    class Stem(nn.Conv2d):
        image_size, grid, normalization = (8, 8), (1, 1), ((0.5,) * 3, (0.5,) * 3)

        def describe(self):
            return {"name": "stem"}

        def forward(self, images):
            return super().forward(images).flatten(2).transpose(1, 2)

    stem = Stem(3, 4, 8)
    with pytest.raises(
        InputError, match=r"no matrix product with fixed weights.*use the onnx format"
    ):
        export_int8(stem, tmp_path / "a.onnx", noise(stem, 4))
    assert not list(tmp_path.iterdir())


def test_agreement_by_hand():
    reference = torch.tensor([[10.0, 1.0], [10.0, -1.0]])  # centre (10, 0)
    features = torch.tensor([[11.0, 1.0], [10.0, -3.0]])  # (1, 1) against (0, 1): cosine 1 / sqrt 2
    assert agreement(reference, features).tolist() == pytest.approx([0.5**0.5, 1])


def test_a_file_that_differs_is_not_kept(square, tmp_path, monkeypatch):
    right = exporters.onnx_network
    monkeypatch.setattr(exporters, "onnx_network", lambda path: lambda x: right(path)(x)[0] + 1e-2)
    with pytest.raises(InputError, match=r"differs from the network by 0\.0\d+, more than 1e-04"):
        export_onnx(square, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_beside_a_file_that_would_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(exporters, "LARGEST_PROTOBUF", 100)
    backbone = network("square")
    export_onnx(backbone, tmp_path / "a.onnx")
    export_int8(backbone, tmp_path / "b.onnx", noise(backbone, 16), min_agreement=0.9)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.onnx", "a.onnx.data", "b.onnx", "b.onnx.data"]
    images = noise(backbone, 3)
    tokens = outputs(tmp_path / "a.onnx", images)["tokens"]
    np.testing.assert_allclose(tokens, expected(backbone, images)["tokens"], atol=1e-4)
    assert outputs(tmp_path / "b.onnx", images)["tokens"].shape == (3, 16, 16)


@pytest.mark.parametrize("write", [export_program, export_onnx])
def test_nothing_is_overwritten(tmp_path, write):
    path = tmp_path / "a.onnx"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write(network("square"), path)
    assert path.read_text() == "mine"


def test_a_full_disk_is_a_line_and_leaves_nothing(tmp_path, monkeypatch):
    """torch's own writer aborts the process there, so that the bytes are written by Python."""

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        InputError, match=r"a\.pt2 could not be written \(No space left.* GB are free"
    ):
        export_program(network("square"), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_missing_packages_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript: pip install -e '\.\[export\]'"):
        export_onnx(network("square"), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_command_on_images(tmp_path):
    (tmp_path / "data" / "things").mkdir(parents=True)
    levels = np.random.default_rng(0).integers(0, 256, (6, 30, 50, 3), dtype=np.uint8)
    for i, picture in enumerate(levels):
        Image.fromarray(picture).save(tmp_path / "data" / "things" / f"{i}.png")
    config = Config(
        model=BackboneConfig(backbone="mixer_c16_l1_p8", image_size=(16, 24)),
        formats=("onnx", "int8"),
        data=ImagesConfig(root=str(tmp_path / "data"), split=""),
        min_agreement=0.9,
        out=str(tmp_path / "out"),
    )
    record = run(config, Session())
    stem = "mixer_c16_l1_p8-16x24"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {f"{stem}.onnx", f"{stem}.int8.onnx", f"{stem}.json"}
    stored = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
    assert stored["files"] == record["files"]
    assert 0.9 <= stored["files"][f"{stem}.int8.onnx"]["agreement"] <= 1
    with pytest.raises(InputError, match=rf"{stem}\.onnx exists already"):
        run(config, Session())


def test_unreadable_images_are_named_or_left_out(tmp_path):
    (tmp_path / "things").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "things" / "good.png")
    (tmp_path / "things" / "bad.png").write_text("no picture")
    config = Config(data=ImagesConfig(root=str(tmp_path), split="", skip_bad=1))
    assert check_images(config, network("wide")).shape == (1, 3, 12, 40)
    config = replace(config, data=replace(config.data, skip_bad=0))
    with pytest.raises(InputError, match=r"bad\.png.*--data\.skip-bad"):
        check_images(config, network("wide"))
