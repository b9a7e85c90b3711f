"""Small things that the tests of the pose app's prediction share."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

from apps.pose.config import ModelConfig
from apps.pose.data.keypoints import COCO_NAMES, KeypointSet
from apps.pose.models.network import PoseNet
from apps.pose.people.film import draw_film
from apps.pose.people.skeleton import BONES
from apps.pose.prediction.video import VideoWriter
from apps.pose.presets import debug
from core.config import save_config, to_plain
from core.training.files.checkpoint import link, write_checkpoint

COCO = KeypointSet.of(list(COCO_NAMES), [(a - 1, b - 1) for a, b in BONES])
SIMCC = ModelConfig("mixer_c16_l1_p16", (64, 48), sigma=3.0)
HEATMAP = ModelConfig("mixer_c16_l1_p16", (64, 48), head="heatmap", sigma=2.0)


def network(model=SIMCC, keypoints=COCO):
    torch.manual_seed(0)
    return PoseNet(model, keypoints).eval()


def make_run(folder, net):
    """A run's folder as training would leave it."""
    folder.mkdir(parents=True)
    save_config(debug(), folder / "config.yaml")
    info = {"step": 1, "metrics": {}, **to_plain(net.describe())}

    def write(draft):
        (draft / "config.json").write_text(json.dumps(info))
        save_file(net.state_dict(), draft / "model.safetensors")

    link(folder, "last", write_checkpoint(folder, 1, write))
    return folder


def make_film(path, frames, people=2, size=(160, 120)):
    """A video of drawn people; the boxes of each of its frames, as a --boxes json has them."""
    boxes = []
    with VideoWriter(path, 25) as writer:
        for number, (image, labels) in enumerate(draw_film(3, frames, *size, people=people)):
            writer.write(number, image)
            boxes += [{"frame": number, "bbox": a["bbox"], "score": 0.9} for a in labels]
    return boxes


def cut(path, target, share=0.5):
    """The first part of a file's bytes."""
    content = path.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def centres(batch):
    """In place of a network: every keypoint of a person is the middle of the box."""
    center = batch["center"].numpy()
    return np.repeat(center[:, None], len(COCO), 1), np.ones((len(center), len(COCO)))
