"""Networks in other people's hands: hooks, adapters, int8, pruning, graphs, timm's words."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim
from torch.nn.utils import parametrizations, prune

from core import InputError, Mixer, create_backbone
from core.models.classifier import Classifier
from core.models.networks import mlp
from core.models.networks.convmlp import ConvMLP, convmlp_config
from core.models.networks.mlp import is_plain
from core.models.networks.s2mlp import S2MLP, s2mlp_config

SIZE = (32, 48)


def mixer(**options) -> Mixer:
    torch.manual_seed(0)
    network = create_backbone("mixer_c32_l2_p8", SIZE, **options)
    for parameter in network.parameters():  # biases and norms too: zeros would hide mistakes
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def s2mlp() -> S2MLP:
    return S2MLP(s2mlp_config("s2mlp_wide", image_size=SIZE, hidden_dim=16, num_blocks=2)).eval()


def convmlp() -> ConvMLP:
    sizes = {"tokenizer_dim": 4, "num_blocks": (1, 1, 1), "dims": (8, 8, 8)}
    return ConvMLP(convmlp_config("convmlp_s", image_size=SIZE, **sizes)).eval()


NETWORKS = {
    "mixer": mixer,
    "any_size": lambda: mixer(any_size=True),
    "s2mlp": s2mlp,
    "convmlp": convmlp,
}


def images_for(network, batch: int = 2, size=SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, network.in_channels, *size, generator=generator)


def linears(network: nn.Module) -> dict[str, nn.Linear]:
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Linear)}


# ---- hooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE, (16, 64)])
@pytest.mark.parametrize("name", NETWORKS)
def test_forward_and_backward_hooks_fire_on_every_layer(name, size):
    network = NETWORKS[name]()
    if size != network.image_size and name != "any_size":
        network.set_image_size(size)
    images, calls = images_for(network, size=size), {}
    expected = network(images)

    def forward(layer, inputs, output):
        assert inputs[0].shape[-1] == layer.in_features
        assert output.shape[-1] == layer.out_features
        calls.setdefault(layer, []).append("forward")

    def backward(layer, given, received):
        calls[layer].append("backward")

    for layer in linears(network).values():
        layer.register_forward_hook(forward)
        layer.register_full_backward_hook(backward)
    tokens = network(images)
    tokens.sum().backward()
    assert set(calls) == set(linears(network).values())
    assert {tuple(events) for events in calls.values()} == {("forward", "backward")}
    torch.testing.assert_close(tokens, expected)


def test_what_a_forward_hook_returns_counts():
    network = mixer()
    images = images_for(network)
    network.blocks[0].mlp_tokens.fc1.register_forward_hook(lambda *args: torch.zeros_like(args[2]))
    hooked = network(images)
    plain = mixer()
    with torch.no_grad():
        plain.blocks[0].mlp_tokens.fc1.weight.zero_()
        plain.blocks[0].mlp_tokens.fc1.bias.zero_()
    torch.testing.assert_close(hooked, plain(images))


def hooked(layer):
    layer.register_forward_hook(lambda *args: None)


def with_a_forward_of_its_own(layer):
    """As accelerate puts its offloading on a layer."""
    layer.forward = lambda x: F.linear(x, layer.weight, layer.bias)


CHANGES = {
    "hook": hooked,
    "pre-hook": lambda layer: layer.register_forward_pre_hook(lambda *args: None),
    "backward hook": lambda layer: layer.register_full_backward_hook(lambda *args: None),
    "backward pre-hook": lambda layer: layer.register_full_backward_pre_hook(lambda *args: None),
    "forward": with_a_forward_of_its_own,
    "parametrized": parametrizations.weight_norm,
    "pruned": lambda layer: prune.identity(layer, "weight"),
    "pruned bias": lambda layer: prune.identity(layer, "bias"),
}


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
@pytest.mark.parametrize("change", CHANGES)
def test_layers_that_are_changed_are_called_and_give_the_same(change, layer):
    network = mixer()
    images, tokens = images_for(network), network.blocks[0].mlp_tokens
    expected = network(images)
    expected.square().sum().backward()
    gradient = network.stem.weight.grad.clone()
    x = torch.randn(24, 2, 32)
    assert is_plain(tokens.fc1, tokens.fc2, x)
    CHANGES[change](getattr(tokens, layer))
    assert not is_plain(tokens.fc1, tokens.fc2, x)
    network.zero_grad()
    output = network(images)
    output.square().sum().backward()
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(network.stem.weight.grad, gradient, rtol=1e-3, atol=1e-3)


def test_hooks_on_all_modules_fire():
    network, calls = mixer(), []
    handle = nn.modules.module.register_module_forward_hook(lambda m, *args: calls.append(m))
    try:
        network(images_for(network))
    finally:
        handle.remove()
    assert set(linears(network).values()) < set(calls)


def test_plain_layers_are_multiplied_directly(monkeypatch):
    """The fast way is taken, and only where nothing is on the layers."""
    counts, direct = [], mlp.multiply_first_axis
    monkeypatch.setattr(mlp, "multiply_first_axis", lambda *args: counts.append(1) or direct(*args))
    network = mixer()
    network(images_for(network))
    assert len(counts) == 4  # two layers of two blocks
    hooked(network.blocks[1].mlp_tokens.fc2)
    network(images_for(network))
    assert len(counts) == 4 + 2


def test_a_layer_without_bias_is_called():
    network = mixer()
    mixing = network.blocks[0].mlp_tokens
    with torch.no_grad():
        mixing.fc1.bias.zero_()
    expected = network(images_for(network))
    mixing.fc1.bias = None
    torch.testing.assert_close(network(images_for(network)), expected)


# ---- adapters, quantisation, pruning ---------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_lora_on_both_mlps_trains(name):
    from peft import LoraConfig, get_peft_model

    network = Classifier(NETWORKS[name](), 5)
    layers = [n for n in linears(network.backbone) if n.endswith(("fc1", "fc2"))]
    config = LoraConfig(r=4, target_modules=r".*\.fc\d", modules_to_save=["head"])
    adapted = get_peft_model(network, config).train()
    images, labels = images_for(network.backbone, 8), torch.arange(8) % 5
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(trained, 1e-2), []
    for _ in range(6):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(adapted(images), labels))
        losses[-1].backward()
        optimizer.step()
    adapters = {n: p for n, p in adapted.named_parameters() if "lora_" in n}
    assert len(adapters) == 2 * len(layers)
    assert not [n for n, p in adapters.items() if p.grad is None or not p.grad.any()]
    assert losses[-1] < losses[0]
    unmerged = adapted.eval()(images)
    merged = adapted.merge_and_unload()
    assert linears(merged.backbone).keys() == linears(network.backbone).keys()
    torch.testing.assert_close(merged(images), unmerged, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_torchao_int8_weights(name):
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    network = NETWORKS[name]()
    images, quantized = images_for(network), copy.deepcopy(network)
    quantize_(quantized, Int8WeightOnlyConfig())
    for layer in linears(quantized).values():
        assert type(layer.weight) is not nn.Parameter
    with torch.no_grad():
        output, expected = quantized(images), network(images)
    assert not torch.equal(output, expected)
    assert F.cosine_similarity(output.flatten(), expected.flatten(), dim=0) > 0.995


@pytest.mark.parametrize("name", NETWORKS)
def test_dynamic_quantisation(name):
    network = NETWORKS[name]()
    images = images_for(network)
    quantized = torch.ao.quantization.quantize_dynamic(
        copy.deepcopy(network), {nn.Linear}, dtype=torch.qint8
    )
    assert not linears(quantized)
    with torch.no_grad():
        output, expected = quantized(images), network(images)
    assert not torch.equal(output, expected)
    assert F.cosine_similarity(output.flatten(), expected.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("name", NETWORKS)
def test_pruning_trains_and_can_be_made_permanent(name):
    network = NETWORKS[name]().train()
    images = images_for(network, 4)
    for layer in linears(network).values():
        prune.l1_unstructured(layer, "weight", 0.5)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
    pruned = network.eval()(images)
    for layer in linears(network).values():
        prune.remove(layer, "weight")
        assert (layer.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)
    torch.testing.assert_close(network(images), pruned)


# ---- graphs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_fx_finds_the_layers(name):
    network = NETWORKS[name]()
    graph = torch.fx.symbolic_trace(network)
    called = {node.target for node in graph.graph.nodes if node.op == "call_module"}
    assert set(linears(network)) <= called
    for batch in (2, 3):
        images = images_for(network, batch)
        torch.testing.assert_close(graph(images), network(images))
    with pytest.raises(InputError, match="images have shape"):
        graph(images_for(network)[:, 1:])
    if name == "any_size":
        images = images_for(network, 1, (16, 64))
        torch.testing.assert_close(graph(images), network(images))


@pytest.mark.parametrize("name", ["mixer", "any_size"])
def test_fx_of_a_network_in_training(name):
    network = NETWORKS[name]()
    network.blocks[1].drop_rate = 0.5
    graph = torch.fx.symbolic_trace(network.train())
    torch.manual_seed(1)
    dropped = graph(images_for(network, 4))
    torch.manual_seed(1)
    torch.testing.assert_close(network(images_for(network, 4)), dropped)


def test_torchvision_extracts_features():
    from torchvision.models.feature_extraction import create_feature_extractor

    network = mixer()
    images = images_for(network)
    features = create_feature_extractor(network, ["blocks.0", "blocks.0.mlp_tokens.fc1"])(images)
    first = network.forward_intermediates(images, [1], output="tokens", norm=False)["block_1"]
    torch.testing.assert_close(features["blocks.0"].transpose(0, 1), first)
    assert features["blocks.0.mlp_tokens.fc1"].shape == (2, 32, 16)  # (B, C, D_S)


@pytest.mark.parametrize("make", [torch.jit.script, torch.jit.trace])
def test_jit(make, tmp_path):
    network = mixer()
    images = images_for(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that jit is deprecated
        graph = make(network) if make is torch.jit.script else make(network, images)
        torch.jit.save(graph, tmp_path / "graph.pt")
        again = torch.jit.load(tmp_path / "graph.pt")
    for batch in (2, 3):
        images = images_for(network, batch)
        torch.testing.assert_close(again(images), network(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_export_with_a_free_batch(name):
    network = NETWORKS[name]()
    program = torch.export.export(
        network, (images_for(network),), dynamic_shapes=({0: Dim("batch")},)
    )
    for batch in (1, 2, 5):
        images = images_for(network, batch)
        torch.testing.assert_close(program.module()(images), network(images))


@pytest.mark.parametrize("size", [SIZE, (72, 24)])
def test_export_of_any_size_with_free_height_and_width(size):
    network = mixer(any_size=True)
    axes = {
        0: Dim("batch"),
        2: 8 * Dim("h", min=2, max=99),
        3: 8 * Dim("w", min=2, max=99),
    }
    program = torch.export.export(
        network, (images_for(network, size=size),), dynamic_shapes=(axes,)
    ).module()
    outputs = []
    for batch, other in ((1, SIZE), (2, (32, 64)), (3, (16, 48)), (1, (16, 16)), (2, (80, 24))):
        images = images_for(network, batch, other)
        outputs.append(program(images))
        torch.testing.assert_close(outputs[-1], network(images), atol=1e-4, rtol=1e-4)
    assert len({output.shape for output in outputs}) == 5


def test_the_layers_are_found_again_in_an_exported_program():
    network = mixer()
    program = torch.export.export(network, (images_for(network),))
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count("aten.linear.default") == len(linears(network)) == 8


# ---- timm's words ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_features_are_the_tokens(name):
    network = NETWORKS[name]()
    images = images_for(network)
    torch.testing.assert_close(network.forward_features(images), network(images))


def test_timms_words_for_the_same():
    options = {"image_size": 64, "num_blocks": 1}
    network = Mixer.from_spec("S/32", in_chans=5, num_classes=0, **options)
    assert network.stem.in_channels == network.config.in_channels == 5
    with pytest.raises(InputError, match=r"num_classes: a backbone has no head; .*create_classif"):
        Mixer.from_spec("S/32", num_classes=10, **options)
    with pytest.raises(InputError, match="in_channels and in_chans are one thing here, and differ"):
        Mixer.from_spec("S/32", in_chans=5, in_channels=3, **options)
    for theirs, ours in (("img_size", "image_size"), ("embed_dim", "hidden_dim")):
        with pytest.raises(InputError, match=f"'{theirs}': timm's word; here it is {ours}.*; the fields"):
            Mixer.from_spec("S/32", **{theirs: 64}, **options)


def test_names_of_parameters_are_timms():
    from timm.models.mlp_mixer import MlpMixer

    theirs = MlpMixer(img_size=32, patch_size=8, embed_dim=32, num_blocks=2, num_classes=0)
    ours = create_backbone("mixer_c32_l2_p8", 32).state_dict()
    renamed = {name.replace("stem.proj.", "stem."): v for name, v in theirs.state_dict().items()}
    assert list(ours) == list(renamed)
    assert [v.shape for v in ours.values()] == [v.shape for v in renamed.values()]
