"""From a configuration to the clouds of a run."""

from __future__ import annotations

from apps.pointcloud.config import EmbeddedConfig, PointCloudConfig
from apps.pointcloud.data.cloud_set import CloudSet
from apps.pointcloud.data.dataset import Reconstruction, open_clouds
from apps.pointcloud.solids import write_solids
from core.app.embedded import embedded_folder
from core.data.samples import tuning_split
from core.training.session import Session

VAL_SEED = 1  # of the validation inputs, which are the same in every run


class CloudData:
    """The training and validation items of a run; the embedded solids are written if need be."""

    def __init__(self, config: PointCloudConfig, session: Session):
        self.config, self.session = config, session

    def train(self) -> Reconstruction:
        """Inputs that are drawn anew in each epoch."""
        data = self.config.data
        clouds = self._open("train")
        how = {"turn": data.turn, "scan": self.config.scan, "vary": self.config.vary}
        return Reconstruction(clouds, self.config.corruption, data.outputs, **how)

    def val(self) -> Reconstruction:
        """The same inputs each time."""
        data = self.config.data
        return Reconstruction(self._open("val"), self.config.corruption, data.outputs, VAL_SEED)

    def _open(self, split: str) -> CloudSet:
        share = self.config.data.tune_share
        if not share:
            return self._clouds(split)
        clouds = self._clouds("train")
        places = tuning_split([0] * len(clouds), share)[split == "val"]
        return clouds.some(places, f"{clouds}, {split} of it with tune_share {share:g}")

    def _clouds(self, split: str) -> CloudSet:
        data = self.config.data
        if data.root:
            return open_clouds(data.root, split, data.mesh_points)
        return embedded_clouds(self.session, self.config.embedded, split)


def embedded_clouds(session: Session, config: EmbeddedConfig, split: str) -> CloudSet:
    """The embedded solids, written below data/ if they are not there; all processes call it."""
    counts = (config.train, config.val, 1)  # the test suite makes its own
    name = f"pointcloud-solids-{config.train}-{config.val}-seed{config.seed}"
    root = embedded_folder(session, name, lambda folder: write_solids(folder, *counts, config.seed))
    return open_clouds(root, split)
