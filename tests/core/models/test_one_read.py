"""A file of weights is read once, whoever asks, and whatever for."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import load_state_dict
from timm.models.mlp_mixer import MlpMixer

from core import create_backbone, load_backbone
from core.evaluation.common import BackboneConfig
from core.evaluation.grids import open_network
from core.models.backbone import open_weights
from core.models.classifier import Classifier, create_classifier, load_classifier
from core.models.networks.convmlp import CONVMLPS
from core.models.weights.formats import from_convmlp
from core.models.weights.reading import find_weights, read_stored
from core.models.weights.stored import StoredModel
from tests.core.models.test_convmlp import official_state
from tests.core.models.test_sharing import MyNet

LINEN = Path(__file__).parents[2] / "fixtures" / "mixer_tiny_linen.npz"
NAME, SIZE = "mixer_c16_l2_p8", (32, 32)


@pytest.fixture
def reads(monkeypatch):
    """The files that were opened for their tensors, in order."""
    reads = []

    def count(place, read):
        def counted(file, *args, **options):
            reads.append(str(file))
            return read(file, *args, **options)

        monkeypatch.setattr(place, counted)

    count("core.models.weights.reading.load_file", load_file)
    count("core.models.weights.formats.np.load", np.load)
    count("timm.models.load_state_dict", load_state_dict)
    return reads


def a_folder(tmp_path) -> Path:
    classifier = Classifier(create_backbone(NAME, SIZE), 3, ["cat", "dog", "owl"])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text(json.dumps(classifier.describe()))
    save_file(classifier.state_dict(), tmp_path / "a" / "model.safetensors")
    return tmp_path / "a"


def a_timm_mixer(tmp_path) -> Path:
    theirs = MlpMixer(img_size=32, patch_size=8, embed_dim=16, num_blocks=2, num_classes=3)
    torch.save(theirs.state_dict(), tmp_path / "mixer.pth")
    return tmp_path / "mixer.pth"


def test_classifiers_read_once(tmp_path, reads):
    for weights in (a_folder(tmp_path), a_timm_mixer(tmp_path)):
        for open_it in (
            lambda w=weights: load_classifier(w),
            lambda w=weights: create_classifier(NAME, SIZE, weights=w),
            lambda w=weights: create_classifier(NAME, SIZE, 5, weights=w, new_head=True),
            lambda w=weights: open_network(BackboneConfig(weights=str(w))),
        ):
            reads.clear()
            open_it()
            assert len(reads) == 1, reads
    reads.clear()
    load_classifier(LINEN)
    assert reads == [str(LINEN)]


def test_backbones_read_once(tmp_path, reads):
    for weights in (a_folder(tmp_path), a_timm_mixer(tmp_path)):
        for open_it in (load_backbone, lambda w: create_backbone(NAME, SIZE, w)):
            reads.clear()
            open_it(weights)
            assert len(reads) == 1, reads


def test_a_file_of_timm_is_read_once_with_its_head(tmp_path, reads):
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    classifier = create_classifier("timm:test_vit", 160, weights=tmp_path / "vit.pth")
    assert reads == [str(tmp_path / "vit.pth")]
    assert classifier.num_classes == 1000


def test_what_was_read_goes_wherever_weights_are_asked_for(tmp_path, reads):
    stored = open_weights(NAME, a_folder(tmp_path), SIZE)
    assert isinstance(stored, StoredModel)
    assert (stored.classes, len(stored.head["bias"])) == (["cat", "dog", "owl"], 3)
    first, second = create_backbone(NAME, SIZE, stored), load_backbone(stored)
    assert torch.equal(first.stem.weight, second.stem.weight)
    with torch.no_grad():
        first.stem.weight.zero_()  # a network of its own: the stored one stays
    assert second.stem.weight.any()
    assert stored.state["stem.weight"].any()
    assert load_classifier(stored).classes == ["cat", "dog", "owl"]
    assert len(reads) == 1


def test_where_it_came_from(tmp_path):
    folder = a_folder(tmp_path)
    assert read_stored(folder).origin == str(folder)
    assert read_stored(LINEN).origin == str(LINEN)
    assert find_weights(NAME, folder) == folder
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    folder.rename(tmp_path / "run" / "checkpoints" / "step-00000007")
    stored = read_stored(tmp_path / "run")
    assert stored.origin == str(tmp_path / "run" / "checkpoints" / "step-00000007")


def test_a_head_is_a_classifiers(tmp_path):
    """A layer that is called head in a network that is no classifier is that network's affair."""
    net = MyNet(create_backbone(NAME, SIZE).config)
    net.save_pretrained(tmp_path / "mine")
    assert read_stored(tmp_path / "mine").head is None
    assert "head.weight" in read_stored(tmp_path / "mine").state


def test_two_heads_are_no_classifiers(tmp_path):
    """A distilled network has two classifiers, of which neither alone gives its logits."""
    theirs = timm.create_model("deit_tiny_distilled_patch16_224")
    torch.save(theirs.state_dict(), tmp_path / "deit.pth")
    name = "timm:deit_tiny_distilled_patch16_224"
    stored = open_weights(name, tmp_path / "deit.pth")
    assert stored.head is None
    assert not [key for key in stored.state if "head" in key]
    tokens = create_backbone(name, weights=stored).eval()(torch.zeros(1, 3, 224, 224))
    assert tokens.shape == (1, 196, 192)


def test_an_hrnet_without_what_follows_its_branches(tmp_path):
    torch.save(timm.create_model("hrnet_w18_small").state_dict(), tmp_path / "hrnet.pth")
    backbone = create_backbone("timm:hrnet_w18_small", 64, weights=tmp_path / "hrnet.pth", head="")
    assert (backbone.stride, backbone.grid) == ((4, 4), (16, 16))
    assert not [key for key in backbone.state_dict() if "incre_modules" in key]


def test_where_a_repository_came_from(tmp_path, monkeypatch):
    """By its name, not by the folder of the cache."""
    folder = a_folder(tmp_path)
    monkeypatch.setattr("core.models.weights.reading.hub_folder", lambda _: folder)
    assert load_backbone("hub:user/name").origin == "hub:user/name"


def test_sizes_of_what_is_read(tmp_path):
    """Where the shapes leave it open, the size is what is asked for, else a square or 224."""
    theirs = MlpMixer(img_size=(16, 48), patch_size=8, embed_dim=16, num_blocks=1, num_classes=3)
    torch.save(theirs.state_dict(), tmp_path / "wide.pth")
    assert load_classifier(tmp_path / "wide.pth", (16, 48)).backbone.grid == (2, 6)
    moved = load_classifier(a_timm_mixer(tmp_path), 64)
    assert moved.backbone.image_size == (64, 64)
    own = create_classifier(NAME, None, weights=a_timm_mixer(tmp_path))
    assert own.backbone.image_size == (32, 32)
    state = official_state(*CONVMLPS["convmlp_s"])
    assert from_convmlp(state).description["image_size"] == (224, 224)
    assert from_convmlp(state, (40, 64)).description["image_size"] == (40, 64)


def test_weights_of_a_patch_that_does_not_divide_224(tmp_path):
    folder = create_backbone("mixer_c16_l2_p12", (24, 36)).save_pretrained(tmp_path / "p12")
    assert create_backbone("mixer_c16_l2_p12", weights=folder).image_size == (24, 36)


def test_given_names_of_classes_come_before_the_stored_ones(tmp_path):
    folder, names = a_folder(tmp_path), ["Katze", "Hund", "Eule"]
    assert create_classifier(NAME, SIZE, weights=folder, classes=names).classes == names
    assert create_classifier(NAME, SIZE, weights=folder).classes == ["cat", "dog", "owl"]
