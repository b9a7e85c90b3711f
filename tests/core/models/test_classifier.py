"""The classifier: official logits, timm's own logits, heads kept and replaced, folders of ours."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from core import InputError, create_backbone, load_backbone
from core.models.classifier import Classifier, create_classifier, load_classifier
from core.training.run import Run, RunConfig

FIXTURES = Path(__file__).parents[2] / "fixtures"
LINEN = FIXTURES / "mixer_tiny_linen.npz"
NAME, SIZE = "mixer_c16_l1_p8", (16, 24)


def tiny(num_classes=3, classes=None):
    """A small classifier with a random head: a zero one would hide mistakes."""
    classifier = Classifier(create_backbone(NAME, SIZE), num_classes, classes)
    torch.nn.init.normal_(classifier.head.weight)
    return classifier.eval()


def write_folder(folder, classifier):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(classifier.describe()))
    save_file(classifier.state_dict(), folder / "model.safetensors")
    return folder


def write_timm(path, model):
    network = timm.create_model(model).eval()
    torch.save(network.state_dict(), path)
    return network


@pytest.mark.parametrize("layout", ["linen", "old"])
def test_official_logits(layout):
    golden = np.load(FIXTURES / "mixer_tiny_io.npz")
    images = torch.from_numpy(golden["images_nhwc"]).permute(0, 3, 1, 2)
    classifier = load_classifier(FIXTURES / f"mixer_tiny_{layout}.npz").eval()
    with torch.no_grad():
        logits = classifier(images)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)


def test_a_new_head_is_zero_with_its_bias():
    classifier = create_classifier(NAME, SIZE, num_classes=5, head_bias=-6.9)
    logits = classifier(torch.randn(2, 3, *SIZE))
    torch.testing.assert_close(logits, torch.full((2, 5), -6.9), rtol=0, atol=0)
    assert not create_classifier(NAME, SIZE, num_classes=5).head.bias.any()


def test_logits_are_the_head_of_the_mean_token():
    classifier, images = tiny(), torch.randn(2, 3, *SIZE)
    tokens = classifier.backbone(images).detach().numpy()
    weight, bias = (value.detach().numpy() for value in classifier.head.parameters())
    expected = np.einsum("bsc,nc->bn", tokens / tokens.shape[1], weight) + bias
    np.testing.assert_allclose(classifier(images).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["test_vit", "test_resnet", "mobilenetv3_small_050"])
def test_models_of_timm_give_timms_logits(tmp_path, model):
    """Class token, average pooling, and a head wider than the map."""
    theirs = write_timm(tmp_path / "weights.pth", model)
    size = theirs.pretrained_cfg["input_size"][1:]
    ours = create_classifier(f"timm:{model}", size, weights=tmp_path / "weights.pth").eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-5)
    again = load_classifier(write_folder(tmp_path / "ours", ours)).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(images), theirs(images), atol=1e-5, rtol=1e-5)


def test_what_timm_downloads(monkeypatch):
    """With a stand-in for the download: the same weights each time, with and without the head."""
    asked, create = [], timm.create_model

    def created(name, pretrained=False, num_classes=1000, **options):
        asked.append((name, pretrained))
        torch.manual_seed(0)
        network = create(name, **options)
        network.reset_classifier(num_classes) if num_classes != 1000 else None
        return network

    monkeypatch.setattr(timm, "create_model", created)
    theirs, images = created("test_vit").eval(), torch.randn(1, 3, 160, 160)
    classifier = create_classifier("timm:test_vit", 160, weights="timm").eval()
    torch.testing.assert_close(classifier(images), theirs(images))
    assert asked.count(("test_vit", True)) == 1  # read once, for the backbone and the head


def test_a_stored_head_must_fit_num_classes():
    stored = np.load(LINEN)["head/bias"]
    with pytest.raises(InputError, match=rf"head for {len(stored)} classes.*is 3.*new_head"):
        create_classifier("mixer_c16_l2_p8", 40, num_classes=3, weights=LINEN)


def official(**options):
    """The official fixture by a name that fits it."""
    config = load_backbone(LINEN).config
    name = f"mixer_c{config.hidden_dim}_l{config.num_blocks}_p{config.patch_size[0]}"
    sizes = {k: getattr(config, k) for k in ("tokens_mlp_dim", "channels_mlp_dim")}
    return create_classifier(name, config.image_size, weights=LINEN, **sizes, **options)


def test_heads_are_kept_or_replaced_aloud(capsys):
    stored = torch.from_numpy(np.load(LINEN)["head/kernel"].T)
    torch.testing.assert_close(official().head.weight.detach(), stored)
    kept = official(num_classes=len(stored))
    torch.testing.assert_close(kept.head.weight.detach(), stored)
    assert not capsys.readouterr().out
    fresh = official(num_classes=3, new_head=True)
    assert not fresh.head.weight.any()
    assert fresh.head.weight.shape[0] == 3
    printed = capsys.readouterr().out
    assert f"the head for {len(stored)} classes is replaced by a zero head for 3" in printed
    assert not official(num_classes=len(stored), new_head=True).head.weight.any()
    torch.testing.assert_close(fresh.backbone.state_dict(), kept.backbone.state_dict())


def test_only_the_first_process_speaks(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    official(num_classes=3, new_head=True)
    assert not capsys.readouterr().out


def test_weights_without_a_head(tmp_path, capsys):
    arrays = {k: v for k, v in np.load(LINEN).items() if not k.startswith("head/")}
    np.savez(tmp_path / "headless.npz", **arrays)
    with pytest.raises(InputError, match=r"headless\.npz holds no classification head"):
        load_classifier(tmp_path / "headless.npz")
    folder = load_backbone(LINEN).save_pretrained(tmp_path / "backbone")
    with pytest.raises(InputError, match="holds no classification head: give num_classes"):
        create_classifier(NAME, SIZE, weights=folder)
    with pytest.raises(InputError, match="has no weights: give num_classes"):
        create_classifier(NAME, SIZE)
    with pytest.raises(InputError, match="a new head: give num_classes"):
        official(new_head=True)


def test_a_head_of_another_width_is_refused(tmp_path):
    classifier = tiny()
    folder = write_folder(tmp_path / "a", classifier)
    state = load_file(folder / "model.safetensors")
    save_file({**state, "head.weight": torch.zeros(3, 9)}, folder / "model.safetensors")
    with pytest.raises(InputError, match="takes 9 features, the backbone has 16"):
        load_classifier(folder)


def test_folders_describe_themselves(tmp_path):
    classifier, images = tiny(2), torch.randn(1, 3, *SIZE)
    named = Classifier(classifier.backbone, 2, ["cat", "dog"])
    named.head.load_state_dict(classifier.head.state_dict())
    folder = write_folder(tmp_path / "a", named.eval())
    for again in (load_classifier(folder), create_classifier(NAME, SIZE, weights=folder)):
        assert again.classes == ["cat", "dog"]
        torch.testing.assert_close(again.eval()(images), classifier(images))
    torch.testing.assert_close(load_backbone(folder)(images), classifier.backbone(images))
    info = json.loads((folder / "config.json").read_text())
    built = Classifier.from_description(info)
    assert built.describe() == named.describe()
    assert [k for k in built.state_dict() if not k.startswith("backbone.")] == [
        "head.weight",
        "head.bias",
    ]
    with pytest.raises(InputError, match=r"no head\.num_classes"):
        Classifier.from_description({"backbone": info["backbone"]}, "FILE")


def test_class_names_must_fit():
    with pytest.raises(InputError, match="num_classes is 3, for 2 class names"):
        Classifier(create_backbone(NAME, SIZE), 3, ["cat", "dog"])


def test_a_run_is_a_classifier_and_a_backbone(tmp_path):
    config = RunConfig(folder=str(tmp_path / "run"), steps=1, batch_size=2, trackers=())
    run, network = Run(config), tiny(2, ["cat", "dog"])
    data = [{"image": torch.randn(3, *SIZE), "label": i % 2} for i in range(4)]
    loader = run.loader(data)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    model, optimizer = run.prepare(model=network, optimizer=optimizer)
    for batch in run.steps(loader):
        logits = model(batch["image"])
        loss = torch.nn.functional.cross_entropy(logits, batch["label"], reduction="none")
        run.backward({"loss": loss})
        run.step(optimizer)
        run.save()
    run.finish()
    again, images = load_classifier(tmp_path / "run").eval(), torch.randn(1, 3, *SIZE)
    assert again.classes == ["cat", "dog"]
    torch.testing.assert_close(again(images), network.eval()(images))
    torch.testing.assert_close(load_backbone(tmp_path / "run")(images), network.backbone(images))
