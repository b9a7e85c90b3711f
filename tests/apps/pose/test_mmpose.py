"""mmpose's own models, configs and Runner with our parts, on people that the app draws itself."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

pytest.importorskip("mmpose")

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmpose.registry import DATASETS, METRICS, MODELS
from mmpose.utils import register_all_modules

import apps.pose.mmpose_plugin
from apps.pose.config import ModelConfig
from apps.pose.data import mmpose_compat
from apps.pose.mmpose_plugin import MixerBackbone
from apps.pose.mmpose_plugin.weights import convert, mmpose_state
from apps.pose.models.network import PoseNet
from apps.pose.people import make_people
from apps.pose.presets import PRESETS
from core import InputError, create_backbone
from core.models.sharing import save_backbone
from tests.apps.pose.toys import COCO, make_run

CONFIGS = Path(apps.pose.mmpose_plugin.__file__).parent
MIXER, MLP_POSE = "mixer_b16_coco_256x192", "mlp_pose_coco_256x192"
SMALL = {  # of each config, with networks that a core trains in no time
    MIXER: {
        "model.backbone.name": "mixer_c32_l2_p16",
        "model.backbone.init_cfg": None,
        "model.backbone.stochastic_depth": 0.0,
        "model.head.in_channels": 32,
    },
    MLP_POSE: {
        "model.backbone.name": "timm:hrnet_w18_small",
        "model.backbone.init_cfg": None,
        "model.neck.in_channels": (16, 32, 64, 128),
        "model.neck.width": 32,
        "model.head.in_channels": 16,
    },
}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return make_people(tmp_path_factory.mktemp("people") / "data", 8, 4, seed=5, workers=1)


def config(name, people=None):
    """The config as a user would change it for other data."""
    found = Config.fromfile(CONFIGS / f"{name}.py")
    found.merge_from_dict(SMALL[name])
    if people:
        for split in ("train", "val"):
            loader = found[f"{split}_dataloader"]
            loader.update(num_workers=0, persistent_workers=False, batch_size=8)
            loader.dataset.update(data_root=str(people), ann_file=f"annotations/{split}.json")
            loader.dataset.data_prefix.img = f"images/{split}"
        found.val_dataloader.dataset.bbox_file = None
        found.val_evaluator.ann_file = str(people / "annotations/val.json")
    return found


@pytest.mark.parametrize(
    ("name", "preset"),
    [(MIXER, "coco_mixer_b16_256x192"), (MLP_POSE, "coco_mlp_pose_hrnet_w32_256x192")],
)
def test_configs_are_complete_and_those_of_the_presets(name, preset):
    register_all_modules(init_default_scope=True)
    found, preset = Config.fromfile(CONFIGS / f"{name}.py"), PRESETS[preset]()
    assert found.default_scope == "mmpose"
    assert (found.dataset_type, found.data_mode) == ("CocoDataset", "topdown")
    assert found.val_dataloader.dataset.data_root == "data/coco/"
    assert found.train_cfg.max_epochs == preset.run.epochs
    assert found.auto_scale_lr.base_batch_size == preset.run.batch_size
    assert found.optim_wrapper.optimizer.lr == preset.optim.lr
    assert found.optim_wrapper.optimizer.type.lower() == preset.optim.name
    assert found.model.head.decoder == found.train_pipeline[-2].encoder == found.codec
    assert found.codec.sigma == preset.model.sigma
    assert found.model.backbone.init_cfg.checkpoint == preset.model.weights
    with torch.device("meta"):  # as large as they are, without their numbers
        ours = PoseNet(replace(preset.model, weights=""), COCO)
        theirs = MODELS.build(found.model)
    shapes = {name: value.shape for name, value in mmpose_state(ours, stock=True).items()}
    assert shapes == {name: value.shape for name, value in theirs.state_dict().items()}


@pytest.mark.parametrize(("name", "count", "lr"), [(MIXER, 8, 1e-2), (MLP_POSE, 2, 1e-3)])
def test_training_and_validation_steps(people, name, count, lr):
    """What the Runner does, by hand."""
    torch.manual_seed(0)
    register_all_modules(init_default_scope=True)
    cfg = config(name, people)
    model = MODELS.build(cfg.model)
    model.init_weights()
    train, val = (DATASETS.build(cfg[f"{s}_dataloader"].dataset) for s in ("train", "val"))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    batch, losses = pseudo_collate([train[i] for i in range(count)]), []
    for _ in range(6):
        data = model.data_preprocessor(copy.deepcopy(batch), training=True)
        loss, logged = model.parse_losses(model(**data, mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert losses[-1] < 0.9 * losses[0]
    assert 0 <= float(logged["acc_pose"]) <= 1
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = val.metainfo
    batch = pseudo_collate([val[i] for i in range(len(val))])
    model.eval()
    with torch.no_grad():
        found = model.val_step(batch)
    assert found[0].pred_instances.keypoints.shape == (1, 17, 2)
    metric.process(batch, [sample.to_dict() for sample in found])
    assert 0 <= metric.evaluate(size=len(val))["coco/AP"] <= 1


def test_the_runner_trains_resumes_and_predicts(people, tmp_path):
    """mmengine's checkpoints are read again, which torch refuses without our plug-in."""
    cfg = config(MIXER, people)
    cfg.merge_from_dict({"work_dir": str(tmp_path), "train_cfg": {"max_epochs": 1}})
    cfg.merge_from_dict({"default_hooks.checkpoint.interval": 1, "log_level": "ERROR"})
    Runner.from_cfg(copy.deepcopy(cfg)).train()
    cfg.merge_from_dict({"resume": True, "train_cfg.max_epochs": 2, "train_cfg.val_interval": 2})
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    assert runner.epoch == 2
    assert (tmp_path / "epoch_2.pth").exists()
    logged = [*tmp_path.glob("*/vis_data/scalars.json")]
    assert any("coco/AP" in path.read_text() for path in logged)
    from mmpose.apis import inference_topdown, init_model  # it needs apps.pose.mmpose_plugin before

    model = init_model(cfg, str(tmp_path / "epoch_2.pth"), device="cpu")
    (found,) = inference_topdown(model, str(next((people / "images/val").iterdir())))
    assert found.pred_instances.keypoints.shape == (1, 17, 2)


NAMES = """
import sys
import apps.pose

assert "mmpose" not in sys.modules, "importing the app took the library with it"

from mmengine.config import Config

first, second = sys.argv[1:]
parts = ["", ".backbone", ".neck", ".weights"]
modules = [name + part for name in (first, second) for part in parts]
open("config.py", "w").write(f"custom_imports = dict(imports={modules})")
Config.fromfile("config.py")

from mmpose.registry import MODELS

model = {"type": "MixerBackbone", "name": "mixer_c16_l1_p16", "input_size": (32, 32)}
for part in parts:
    assert sys.modules[first + part] is sys.modules[second + part], part
assert isinstance(MODELS.build(model), sys.modules[first].MixerBackbone)
"""
OLD, NEW = "apps.pose.mmpose", "apps.pose.mmpose_plugin"


@pytest.mark.parametrize("names", [(OLD, NEW), (NEW, OLD)], ids=["old first", "new first"])
def test_configs_import_it_by_its_name_and_by_the_old_one(names, tmp_path):
    """Either name gives the same modules: a class that is registered twice is an error."""
    done = subprocess.run(
        [sys.executable, "-c", NAMES, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_installed_is_not_replaced(monkeypatch):
    names = ["mmcv.ops", "mmdet", "mmdet.utils", "xtcocotools"]
    names += [f"xtcocotools.{name}" for name in ("coco", "cocoeval", "mask")]
    real = {name: ModuleType(name) for name in names}
    for name, module in real.items():
        monkeypatch.setitem(sys.modules, name, module)
    importlib.reload(mmpose_compat)
    assert all(sys.modules[name] is module for name, module in real.items())


def test_no_other_method_comes_out_of_a_checkpoint(tmp_path):
    torch.save({"state_dict": {}, "method": np.ndarray.tofile}, tmp_path / "a.pth")
    with pytest.raises(Exception, match="asks for 'tofile'"):
        torch.load(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("name", "levels", "shapes"),
    [
        ("mixer_c16_l4_p16", (), [(16, 6, 4)]),
        ("mixer_c16_l4_p16", (1, 3), [(16, 6, 4)] * 2),
        ("timm:resnet18", (1, 4), [(64, 24, 16), (512, 3, 2)]),
    ],
)
def test_backbones(name, levels, shapes):
    net = MODELS.build(
        {"type": "MixerBackbone", "name": name, "input_size": (64, 96), "out_indices": levels}
    )
    maps = net(torch.zeros(2, 3, 96, 64))
    assert isinstance(maps, tuple)
    assert [tuple(m.shape) for m in maps] == [(2, *shape) for shape in shapes]


def test_a_frozen_backbone():
    net = MixerBackbone("timm:resnet18", (64, 64), frozen=True)
    assert not any(p.requires_grad for p in net.parameters())
    assert net.train().training
    assert not net.net.training
    assert MixerBackbone("timm:resnet18", (64, 64)).net.training


@pytest.fixture
def pretrained(tmp_path):
    """A backbone's folder, with the GELU that is not the default."""
    torch.manual_seed(1)
    net = create_backbone("mixer_c16_l2_p16", (64, 64), gelu="exact")
    return save_backbone(net, tmp_path / "pretrained")


def test_weights_are_read_and_moved_by_init_weights(pretrained):
    wanted = create_backbone("mixer_c16_l2_p16", (96, 64), pretrained).state_dict()
    config = {"type": "Pretrained", "checkpoint": str(pretrained)}
    net = MixerBackbone("mixer_c16_l2_p16", (64, 96), init_cfg=config, gelu="exact")
    assert not torch.equal(net.net.state_dict()["stem.weight"], wanted["stem.weight"])
    net.init_weights()
    assert all(torch.equal(value, wanted[name]) for name, value in net.net.state_dict().items())


def test_the_config_says_what_is_built_not_the_weights(pretrained):
    config = {"type": "Pretrained", "checkpoint": str(pretrained)}
    net = MixerBackbone("mixer_c16_l2_p16", (64, 96), init_cfg=config)
    with pytest.raises(InputError, match=r"pretrained holds .* of gelu='exact': say so"):
        net.init_weights()


def test_a_checkpoint_of_mmpose_by_its_prefix(tmp_path):
    first, second = (MixerBackbone("mixer_c16_l2_p16", (64, 64)) for _ in range(2))
    state = {f"backbone.{name}": value for name, value in first.state_dict().items()}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "a.pth")
    path = str(tmp_path / "a.pth")
    second.init_cfg = {"type": "Pretrained", "checkpoint": path, "prefix": "backbone."}
    second.init_weights()
    assert torch.equal(second.net.stem.weight, first.net.stem.weight)


# ---- the app's runs in mmpose ------------------------------------------------------------------

POSE = ModelConfig("mixer_c32_l2_p16", (256, 192))


def randomized(model):
    """A network none of whose parts does nothing, as MLP-Pose's do at first."""
    torch.manual_seed(2)
    network = PoseNet(model, COCO).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    return network


LEVELS = {"levels": (0, 1), "fuse": True, "mixer_depth": 1, "mixer_width": 16}
NECK = {
    "type": "MLPPoseNeck",
    "in_channels": (32, 32),
    "strides": (16, 16),
    "input_size": (192, 256),
    "depth": 1,
    "width": 16,
}


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        ({}, {}),
        (LEVELS, {"backbone.out_indices": (0, 1), "neck": NECK}),
        (
            {"simcc_maps": 2, "mixer_depth": 1, "mixer_width": 16, "mixer_tokens": "keypoints"},
            {"head.type": "MLPPoseHead", "head.maps": 2, "head.depth": 1, "head.width": 16},
        ),
        ({"simcc_places": True}, {"head.type": "MLPPoseHead", "head.places": 6.0}),
        ({"head": "heatmap"}, {"head": None}),
    ],
    ids=["stock head", "levels and neck", "own head", "votes of places", "heatmaps"],
)
def test_a_run_gives_the_same_outputs_in_mmpose(tmp_path, changes, model):
    network = randomized(ModelConfig(POSE.backbone, POSE.image_size, **changes))
    run, out, path = make_run(tmp_path / "run", network), tmp_path / "out.pth", tmp_path / "c.py"
    cfg = config(MIXER)
    if changes.get("head") == "heatmap":
        cfg.model.head = {
            "type": "HeatmapHead",
            "in_channels": 32,
            "out_channels": 17,
            "deconv_out_channels": (256, 256),
            "deconv_kernel_sizes": (4, 4),
        }
    else:
        cfg.merge_from_dict({f"model.{key}": value for key, value in model.items()})
        if cfg.model.head.type == "MLPPoseHead":
            del cfg.model.head.deconv_out_channels
    cfg.dump(path)
    convert(run, path, out)
    register_all_modules(init_default_scope=True)
    built = MODELS.build(cfg.model).eval()
    built.load_state_dict(torch.load(out)["state_dict"])
    images = torch.randint(0, 256, (2, 3, 256, 192), dtype=torch.uint8)
    bgr = {"inputs": list(images.flip(1)), "data_samples": []}
    with torch.no_grad():
        ours = network(images)
        theirs = built._forward(built.data_preprocessor(bgr)["inputs"])
    theirs = (theirs,) if torch.is_tensor(theirs) else theirs
    for value, other in zip(ours.values(), theirs, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="exists already"):
        convert(run, path, out)
