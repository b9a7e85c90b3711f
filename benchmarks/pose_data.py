"""Training people a second of one worker: the app's data set beside mmpose's own, on the same data.

python benchmarks/pose_data.py [--root FOLDER --json FILE --images FOLDER] [--rounds 9]

Without a root: embedded people. Both read the same files, draw the same augmentation with the same
probabilities, make the same targets and collate batches of 32 (mmpose: its CocoDataset with the
pipeline of its configs, from LoadImage to PackPoseInputs, and pseudo_collate). In turns, in one
process and by its CPU time: what a worker of a loader does, whatever else the machine is doing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
import warnings
from pathlib import Path

from torch.utils.data import default_collate

from apps.pose.config import AugmentConfig, ModelConfig
from apps.pose.data import mmpose_compat as mmpose
from apps.pose.data.codec import codec_config
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.keypoints import KeypointSet
from core.data.loading import seed_everything

BATCH, PEOPLE = 32, 256  # people of a batch, and of a round
MODELS = {
    "SimCC, 256x192": ModelConfig(),
    "heatmap with UDP, 256x192": ModelConfig(head="heatmap", sigma=2.0),
}


def ours(json_path: Path, images: Path, model: ModelConfig) -> PoseDataset:
    keypoints, augment = KeypointSet.read(json_path), AugmentConfig()
    return PoseDataset(json_path, images, keypoints, model, augment, train=True, outside="ignore")


def theirs(json_path: Path, images: Path, model: ModelConfig):
    """As an mmpose config builds it, the defaults of its transforms included."""
    udp, size = model.head == "heatmap", model.image_size[::-1]
    pipeline = [
        mmpose.LoadImage(),
        mmpose.GetBBoxCenterScale(),
        mmpose.RandomFlip(direction="horizontal"),
        mmpose.RandomHalfBody(),
        mmpose.RandomBBoxTransform(),
        mmpose.TopdownAffine(input_size=size, use_udp=udp),
        mmpose.GenerateTarget(encoder=codec_config(model)),
        mmpose.PackPoseInputs(),
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress
        return mmpose.CocoDataset(
            ann_file=str(json_path),
            data_prefix={"img": str(images)},
            metainfo=KeypointSet.read(json_path).metainfo(),
            pipeline=pipeline,
            data_mode="topdown",
        )


def rate(dataset, collate, seed: int) -> float:
    """People a CPU second, from the files to collated batches."""
    seed_everything(seed)
    begun = time.process_time()
    for first in range(0, PEOPLE, BATCH):
        collate([dataset[i % len(dataset)] for i in range(first, first + BATCH)])
    return PEOPLE / (time.process_time() - begun)


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:8.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})"


def compare(json_path: Path, images: Path, rounds: int) -> None:
    from mmengine.dataset import pseudo_collate

    for name, model in MODELS.items():
        sides = {
            "ours": (ours(json_path, images, model), default_collate),
            "mmpose": (theirs(json_path, images, model), pseudo_collate),
        }
        rates = {side: [] for side in sides}
        for repeat in range(rounds + 1):
            for side, (dataset, collate) in sides.items():
                people = rate(dataset, collate, repeat)
                if repeat:  # the first round warms up
                    rates[side].append(people)
        ratios = [a / b for a, b in zip(rates["ours"], rates["mmpose"], strict=True)]
        print(f"{name}: people a second, median (range) of {rounds} rounds of {PEOPLE}")
        for side, values in rates.items():
            print(f"  {side:14}{spread(values, 0)}")
        print(f"  {'ours / mmpose':14}{spread(ratios, 2)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of a COCO-style data set")
    parser.add_argument("--json", default="annotations/person_keypoints_train2017.json")
    parser.add_argument("--images", default="train2017", help="folder of images, below the root")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.root:
        paths = options.root / options.json, options.root / options.images
        return compare(*paths, options.rounds)
    from apps.pose.people import make_people

    with tempfile.TemporaryDirectory() as folder:
        root = make_people(Path(folder) / "people", 200, 1, seed=0)
        paths = root / "annotations/train.json", root / "images/train"
        return compare(*paths, options.rounds)


if __name__ == "__main__":
    main()
