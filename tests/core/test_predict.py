"""core/predict.py: classes of pictures, by runs, kept and official weights."""

import json
import sys

import pytest
import torch
from PIL import Image

from core import InputError, predict
from core.app.naming import class_names, in_words, likeliest
from core.evaluation.common import BackboneConfig
from core.models.classifier import Classifier, create_classifier
from core.models.weights.names import kept_folder
from core.pretrain import train
from core.training.session import Session
from tests.core.pretraining.test_pretrain import COLOURS, config, images  # noqa: F401


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    """The command in an empty folder: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, words)])
        try:
            predict.main()
            status = 0
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return folder


def records(folder):
    return json.loads((folder / "predictions.json").read_text())


def test_a_run_names_pictures_and_what_it_cannot_read(images, pictures, tmp_path, say):  # noqa: F811
    train(config(images, tmp_path / "run"))
    (pictures / "half.png").write_bytes((pictures / "red.png").read_bytes()[:60])
    status, out, err = say(tmp_path / "run", pictures, "--top", 1)
    assert status == 2
    assert f"left out: {pictures / 'half.png'}: " in err
    assert err.splitlines()[-1] == "error: 1 of 3 pictures could not be used"
    found = records(tmp_path / "run" / "predictions")
    assert [record["input"] for record in found] == [str(pictures / f"{c}.png") for c in COLOURS]
    assert [record["classes"][0]["class"] for record in found] == ["blue", "red"]
    assert all(len(record["classes"]) == 1 and not record["unsure"] for record in found)
    assert "2 classes, pictures at 16 x 16 pixels" in out
    assert "unsure" not in out
    status, out, _ = say(tmp_path / "run", "--count", 3)
    assert status == 0
    found = records(tmp_path / "run" / "predictions")
    assert [record["classes"][0]["class"] for record in found][:1] == ["blue"]
    assert len(found) == 3, "of its validation pictures"
    assert "3 pictures: " in out


def test_photos_is_taken_where_nothing_is_named(pictures, tmp_path, say):
    status, out, _ = say(pictures / "red.png")
    assert status == 0
    assert "photos: 200 classes" in out
    (record,) = records(tmp_path / "runs/pretrain/kept/photos/predictions")
    best = record["classes"]
    assert len(best) == 5
    assert all(one["class"].endswith(f" {one['name']}") for one in best), "words, and the synset"
    shares = [one["confidence"] for one in best]
    assert shares == sorted(shares, reverse=True)
    assert record["unsure"] is (shares[0] < 0.5)
    assert ("1 of 1 are unsure, below 50 %" in out) is record["unsure"]
    assert say("photos", pictures, "--output", tmp_path / "here")[0] == 0
    assert len(records(tmp_path / "here")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photos"], "photos is no run, and has no data of its own: name pictures"),
        (["imagenet1k", "own"], "add --network, one of mixer_b16, mixer_l16"),
        (["nowhere", "own"], "nowhere does not exist: give a run, a kept network (photos)"),
        (["fractals", "own"], "fractals does not exist"),  # which know no classes
        (["none.npz", "own"], "none.npz does not exist"),
        (["own/none.jpg"], "own/none.jpg does not exist"),
    ],
)
def test_what_cannot_be_is_one_line(words, message, pictures, say):
    status, out, err = say(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_weights_without_a_head_name_nothing(session, tmp_path):
    from core.models.sharing import save_backbone

    backbone = create_classifier("mixer_c16_l1_p8", 16, 3).backbone
    save_backbone(backbone, tmp_path / "headless")
    with pytest.raises(InputError, match="holds no classification head"):
        predict.open_named(BackboneConfig(weights=str(tmp_path / "headless")), session)


def test_likeliest_are_in_order_and_sum_to_one(session):
    torch.manual_seed(0)
    network = create_classifier("mixer_c16_l1_p8", 16, 3).eval()
    torch.nn.init.normal_(network.head.weight)
    pixels = torch.randn(3, 16, 16)
    found = likeliest(session, network, pixels, 9)
    expected = network(pixels[None]).softmax(-1)[0]
    assert [i for i, _ in found] == expected.argsort(descending=True).tolist()
    assert [share for _, share in found] == pytest.approx(
        expected.sort(descending=True)[0].tolist()
    )
    assert sum(share for _, share in found) == pytest.approx(1)


def test_names_of_classes():
    network = create_classifier("mixer_c16_l1_p8", 16, 3)
    assert class_names(network) == ["class 0", "class 1", "class 2"]
    assert class_names(Classifier(network.backbone, 2, ["a", "b"])) == ["a", "b"]
    assert in_words(["n01443537 goldfish", "Art_Nouveau", "n1", "b c"]) == [
        "goldfish",
        "Art Nouveau",
        "n1",
        "b c",
    ]
    own = json.loads((kept_folder("photos") / "config.json").read_text())["head"]["classes"]
    assert not [name for name in in_words(own) if name.startswith("n0")]


def test_imagenets_names_where_weights_have_none():
    pytest.importorskip("timm")
    thousand = class_names(create_classifier("mixer_c16_l1_p8", 16, 1000))
    assert (thousand[0], thousand[999]) == ("n01440764", "n15075141")
    assert in_words([thousand[0], thousand[999], "n99999999"]) == [
        "tench",
        "toilet tissue",
        "n99999999",
    ]
