"""permuted:WEIGHTS: the numbers of each tensor in another order, wherever weights are named."""

import hashlib

import pytest
import torch

from core import InputError, create_backbone, load_backbone
from core.app.starting import check_start
from core.evaluation.shuffle import model_config
from core.models.classifier import load_classifier
from core.models.sharing import save_backbone

NETWORK, SIZE = "mixer_c16_l2_p8", 24


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = create_backbone(NETWORK, SIZE)
    for parameter in network.parameters():  # norms and biases too begin with different numbers
        torch.nn.init.normal_(parameter)
    save_backbone(network, tmp_path / "saved")
    return tmp_path / "saved"


def moved(one, other):
    """Whether each tensor has the same numbers, by name, and whether in the same places."""
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value.flatten().sort()[0], theirs[name].flatten().sort()[0]), name
    return {name: not torch.equal(value, theirs[name]) for name, value in ours.items()}


def test_entries_change_places_within_their_tensors(folder):
    plain = load_backbone(folder)
    permuted = load_backbone(f"permuted:{folder}")
    assert all(moved(permuted, plain).values())
    again = create_backbone(NETWORK, SIZE, weights=f"permuted-0:{folder}")
    assert not any(moved(again, permuted).values())
    other = load_backbone(f"permuted-3:{folder}")
    assert all(moved(other, permuted).values())
    assert (permuted.origin, other.origin) == (f"permuted:{folder}", f"permuted-3:{folder}")


def test_the_order_is_the_same_on_all_machines(folder):
    """And tensors of one size have orders of their own."""
    network = load_backbone(folder)
    for parameter in network.parameters():
        parameter.data = torch.arange(parameter.numel(), dtype=torch.float32).view(parameter.shape)
    save_backbone(network, folder.with_name("counted"))
    state = load_backbone(f"permuted-3:{folder.with_name('counted')}").state_dict()
    assert not torch.equal(state["blocks.0.norm1.weight"], state["blocks.1.norm1.weight"])
    values = torch.cat([value.flatten() for _, value in sorted(state.items())])
    digest = hashlib.sha256(values.numpy().astype("<f4").tobytes()).hexdigest()
    assert digest[:16] == "22d8f19f742981ce"


def test_they_change_places_at_the_size_that_is_asked_for(folder):
    """Resized token mixing is permuted: interpolating what was permuted would make it smaller."""
    plain = create_backbone(NETWORK, 40, weights=folder)
    assert all(moved(create_backbone(NETWORK, 40, weights=f"permuted:{folder}"), plain).values())


def test_kept_names_are_permuted_and_heads_left_out():
    with pytest.raises(InputError, match="not of mixer_c16_l2_p8"):
        create_backbone(NETWORK, SIZE, weights="permuted:photos")
    with pytest.raises(InputError, match="permuted:photos holds no classification head"):
        load_classifier("permuted:photos")


def test_figure_4_takes_them(folder):
    word = f"permuted:{folder}"
    assert model_config(word).weights == word
    assert model_config(f"{NETWORK}={word}").weights == word


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("permuted:", "say which are permuted"),
        ("permuted:permuted-1:photos", "and once"),
        (f"permuted-{2**32}:photos", "below 4,294,967,296"),
        ("permuted:fotos", "fotos does not exist"),
        ("permuted-x:photos", "with seed 3"),
        ("permuted--1:photos", "with seed 3"),
    ],
)
def test_what_cannot_be_permuted(weights, expected):
    with pytest.raises(InputError, match=expected):
        create_backbone(NETWORK, SIZE, weights=weights)
    with pytest.raises(InputError, match=expected):
        load_backbone(weights)
    with pytest.raises(InputError, match=expected):
        check_start(torch.nn.Identity, weights=weights)


def test_a_start_with_permuted_weights_is_looked_for_alone(folder):
    check_start(torch.nn.Identity, weights=f"permuted-2:{folder}")
