"""Bytes saved for the backward pass: formulas against torch's hooks, also by the rules of a GPU."""

from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from core.models.classifier import create_classifier
from core.profiling.activations import block_bytes, cast_bytes, peak_bytes, saved_bytes
from core.profiling.cost import peak_memory
from core.training.losses import softmax_loss

SHAPES = [  # name, image size, images, classes
    ("mixer_c32_l3_p8", (32, 40), 5, 10),
    ("mixer_c48_l1_p4", (16, 12), 1, 7),
    ("mixer_c16_l2_p16", (64, 64), 3, 100),
]


def hooked_bytes(network, images, labels, bf16, device):
    """Bytes of the distinct storages that a forward pass saves, parameters left out."""
    parameters = {p.untyped_storage()._cdata for p in network.parameters()}
    seen = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            seen[storage._cdata] = (storage.nbytes(), tensor)  # kept alive: no address comes twice
        return tensor

    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.set_autocast_enabled(device, bf16)  # torch.autocast would want a GPU to be there
    try:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            softmax_loss(network(images), labels).mean()
    finally:
        torch.set_autocast_enabled(device, False)
        torch.clear_autocast_cache()
    return sum(size for size, _ in seen.values())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[0])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("bf16", [False, True])
def test_saved_bytes_are_those_that_autograd_saves(shape, checkpointing, device, bf16):
    """Exactly. "cuda" is a fake one: the shapes and types of a GPU, without a GPU."""
    name, size, batch, classes = shape
    with torch.device("meta"):
        network = create_classifier(name, size, classes, grad_checkpointing=checkpointing)
    with FakeTensorMode(allow_non_fake_inputs=True) if device == "cuda" else nullcontext():
        network.to_empty(device=device)
        images = torch.zeros(batch, 3, *size, device=device)
        labels = torch.zeros(batch, dtype=torch.long, device=device)
        measured = hooked_bytes(network, images, labels, bf16, device)
    config, product = network.backbone.config, 2 if bf16 else 4
    norm = 4 if device == "cuda" else product  # only CUDA's autocast normalises in float32
    expected = saved_bytes(config, classes, batch, product, norm)
    assert measured == expected + (cast_bytes(config, classes) if bf16 else 0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_peak_of_a_step_is_within_its_formula(checkpointing):
    """Of a whole step in float32 on the CPU: gradients of weights come on top, and are small."""
    name, size, batch, classes = "mixer_c64_l4_p4", (32, 32), 32, 10
    network = create_classifier(name, size, classes, grad_checkpointing=checkpointing)
    labels = torch.zeros(batch, dtype=torch.long)

    def step():
        images = torch.zeros(batch, 3, *size)
        softmax_loss(network(images), labels).mean().backward()

    step()  # what torch keeps after a first step
    network.zero_grad(set_to_none=True)
    config = network.backbone.config
    peak, formula = peak_memory(step, torch.device("cpu")), peak_bytes(config, classes, batch)
    weights = 4 * sum(p.numel() for p in network.parameters())
    assert 0.9 * formula <= peak <= formula + weights
    assert saved_bytes(config, classes, batch) < formula
    assert block_bytes(config, batch) < formula
