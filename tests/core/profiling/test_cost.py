"""MACs against hand counts and the paper's sizes; peak memory of known allocations."""

import os

import pytest
import torch
from torch import nn

from core.models.backbone import create_backbone
from core.models.classifier import Classifier
from core.profiling.cost import macs, parameters, peak_memory, resident_bytes, training_macs

CPU = torch.device("cpu")
SIZES = {  # GMACs and parameters at 224 pixels, without a head
    "mixer_s32": ("1.00", 18_591_624),
    "mixer_s16": ("3.78", 18_015_264),
    "mixer_b32": ("3.24", 59_524_428),
    "mixer_b16": ("12.60", 59_111_472),
    "mixer_l32": ("11.25", 205_914_264),
    "mixer_l16": ("44.55", 207_171_168),
    "mixer_h14": ("120.99", 431_069_952),
}


@pytest.mark.parametrize("name", SIZES)
def test_macs_and_parameters_of_the_papers_sizes(name):
    with torch.device("meta"):
        mixer = create_backbone(name, 224)
        assert (f"{macs(mixer, (224, 224)) / 1e9:.2f}", parameters(mixer)) == SIZES[name]
        head = Classifier(mixer, 1000)  # it changes no printed digit
        assert f"{macs(head, (224, 224)) / 1e9:.2f}" == SIZES[name][0]


# 6 tokens of an 8x8 patch, C = 16, D_S = 8, D_C = 64; one block
STEM, BLOCK = 6 * 16 * (3 * 64), 2 * 16 * 6 * 8 + 2 * 6 * 16 * 64


def test_macs_by_hand():
    mixer = create_backbone("mixer_c16_l1_p8", (16, 24))
    assert macs(mixer, (16, 24)) == STEM + BLOCK
    assert macs(mixer, (16, 24), batch=3) == 3 * (STEM + BLOCK)


def test_training_macs_by_hand():
    """Each product once more for its input and once for its weight; images need no gradient."""
    classifier = Classifier(create_backbone("mixer_c16_l1_p8", (16, 24)), 10)
    assert training_macs(classifier, (16, 24)) == 2 * STEM + 3 * (BLOCK + 16 * 10)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_macs_count_the_products_of_which_networks_are_made():
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 3))

        def forward(self, images):  # (1, 3, 2, 4)
            x = images.flatten(2)  # (1, 3, 8)
            y = torch.baddbmm(torch.zeros(5, 1), self.weight[None], x)  # 5 * 3 * 8
            z = torch.addmm(torch.zeros(8), self.weight, x[0]) @ y[0].T  # 5 * 3 * 8 + 5 * 8 * 5
            q = z[None, None]  # (1, 1, 5, 5): two products of 5 * 5 * 5
            return nn.functional.scaled_dot_product_attention(q, q, q)

    assert macs(Products(), (2, 4)) == 2 * 120 + 200 + 250


def test_peak_memory_is_that_of_what_is_alive_together():
    def work():
        first = torch.empty(1000, 1000)
        second = torch.empty(500, 1000)
        del first, second
        return torch.empty(1000, 1100)

    assert peak_memory(work, CPU) == 6_000_000


def test_peak_memory_leaves_stderr_as_it_was(capfd):
    def work():
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        peak_memory(work, CPU)
    capfd.readouterr()
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_resident_bytes_with_the_optimizers_state():
    layer = nn.Linear(10, 10)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.zeros(1, 10)).sum().backward()
    optimizer.step()
    assert resident_bytes(layer) == 440
    assert resident_bytes(layer, optimizer) == 3 * 440 + 2 * 4  # two moments; a step count each
