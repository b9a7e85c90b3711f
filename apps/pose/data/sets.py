"""Several data sets at once: which `DataConfig.sets` names, what a network learns from them.

A set is a word:

    people           the embedded people, drawn as `EmbeddedConfig` says
    lspet            LSP-extended, 14: keypoints_train_full.json, keypoints_val.json, images/
    coco             COCO, 17 keypoints, in its own layout
    NAME=FOLDER      one of these, which lies there; without it in data.root/NAME
    FILE.yaml        one's own: the fields of `SetConfig`; root and keypoints from the yaml's folder
    NAME=FILE.yaml   the same by another name

Keypoints are joined by name (joining.py). What a set does not label has weight 0 in its samples.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from torch.utils.data import ConcatDataset, Dataset

from apps.pose.config import DataConfig, PoseConfig, SetConfig
from apps.pose.data.dataset import PoseDataset
from apps.pose.data.joining import choose
from apps.pose.data.keypoints import NO_MIRROR, KeypointSet
from apps.pose.data.source import PoseData, side_path
from core.config import build, did_you_mean, read_yaml
from core.data.concatenated import Concatenated
from core.errors import InputError
from core.ranges import check_ranges
from core.training.session import Session

LAYOUTS = {
    "people": SetConfig(
        train_json="annotations/train.json",
        train_images="images/train",
        val_json="annotations/val.json",
        val_images="images/val",
    ),
    "lspet": SetConfig(
        root="lspet",
        train_json="keypoints_train_full.json",
        train_images="images",
        val_json="keypoints_val.json",
        val_images="images",
    ),
    "coco": SetConfig(root="coco"),
}


class PoseSets:
    """The data of a run: the one set of data.root, under the name "", or those of data.sets.

    ``keypoints`` are the network's. Raises InputError where sets, keypoints or shares do not fit.
    """

    def __init__(self, config: PoseConfig, session: Session, network: KeypointSet | None = None):
        """``network``: keypoints of one that is there already, to which all sets are joined."""
        self.shares = check_shares(config.data)
        self.sets = open_sets(config, session)
        theirs = {name: data.keypoints for name, data in self.sets.items()}
        if config.data.sets:
            network = network or choose(theirs, side_path(config.data))
        self.keypoints = network or theirs[""]
        if network:
            for name, data in self.sets.items():
                data.join(network, name or str(data.val_json))

    def train(self) -> Dataset:
        """People of all sets with a share above 0; without shares each person once an epoch."""
        shares = self.shares or (1.0,) * len(self.sets)
        used = [(data, share) for data, share in zip(self.sets.values(), shares, strict=True)]
        used = [(data.train(), share) for data, share in used if share]
        people, shares = (list(column) for column in zip(*used, strict=True))
        if len(people) == 1:
            return people[0]
        return Concatenated(people, shares) if self.shares else ConcatDataset(people)

    def val(self, boxes: str | Path | None = None) -> dict[str, PoseDataset]:
        """People to evaluate on, by set. InputError for ``boxes`` of several sets."""
        if boxes and len(self.sets) > 1:
            raise InputError(f"{boxes} has boxes of one set: say which, with --data.sets")
        return {name: data.val(boxes) for name, data in self.sets.items()}

    def describe(self) -> list[str]:
        """Lines on what is learnt from where (none for the one set of data.root), and what not."""
        names = self.keypoints.names
        lines = [f"{len(names)} keypoints: {', '.join(names)}"]
        for number, (name, data) in enumerate(self.sets.items()):
            lacking = [n for i, n in enumerate(names) if i not in data.shared.places]
            share = f"share {self.shares[number]:g}" if self.shares else "share by size"
            labels = f"does not label {', '.join(lacking)}" if lacking else "labels all"
            lines.append(f"{name}, {data.root}: {share}, {labels}")
        lines = lines if "" not in self.sets else []
        if not self.keypoints.can_mirror:
            lines.append(f"mirrored pictures and the flip test are off: {NO_MIRROR}")
        return lines


def open_sets(config: PoseConfig, session: Session) -> dict[str, PoseData]:
    """The sets of a configuration by name, each with its own keypoints."""
    if not config.data.sets:
        return {"": PoseData(config, session)}
    sets: dict[str, PoseData] = {}
    for word in config.data.sets:
        name, files = find_set(word, config.data)
        if name in sets:
            raise InputError(f"data.sets names {name} twice: give it once, with a larger share")
        sets[name] = PoseData(replace(config, data=files), session)
    return sets


def find_set(word: str, data: DataConfig) -> tuple[str, DataConfig]:
    """Name and files of a set, from a word of ``data.sets``. Raises InputError."""
    name, _, place = word.partition("=")
    place = place or (name if name.lower().endswith((".yaml", ".yml")) else "")
    if place.lower().endswith((".yaml", ".yml")):
        files, name = read_set(Path(place)), Path(name).stem
    elif name in LAYOUTS:
        layout = LAYOUTS[name]
        root = place or (layout.root and str(Path(data.root, layout.root)))  # "": people are drawn
        if root and not Path(root).is_dir():
            raise InputError(
                f"data.sets: {name} is looked for in {root}, which is no folder: say "
                f"{name}=FOLDER, or in --data.root where the folder {layout.root or name} is"
            )
        files = replace(layout, root=root, outside=data.outside)
    else:
        raise InputError(
            f"data.sets: no set {name!r}.{did_you_mean(name, LAYOUTS)}; of your own: FILE.yaml"
        )
    return name, replace(data, sets=(), shares=(), **asdict(files))


def read_set(path: Path) -> SetConfig:
    """One's own set, from the yaml of a `SetConfig`. Raises InputError."""
    files = build(SetConfig, read_yaml(path, "check the path in data.sets"), str(path))
    keypoints = str(path.parent / files.keypoints) if files.keypoints else ""
    return replace(files, root=str(path.parent / files.root), keypoints=keypoints)


def check_shares(data: DataConfig) -> tuple[float, ...]:
    """``data.shares``. InputError unless there is one for each set, none negative, one above 0."""
    shares = data.shares
    if shares and len(shares) != len(data.sets):
        raise InputError(
            f"data.shares has {len(shares)} numbers for {len(data.sets)} data.sets: one for each"
        )
    check_ranges(data, "data.")
    if shares and not any(shares):
        raise InputError(f"data.shares {shares}: one set at least needs a share above 0")
    return shares
