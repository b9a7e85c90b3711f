"""From a configuration to the clouds of a run."""

from __future__ import annotations

from apps.pointcloud.config import PointCloudConfig
from apps.pointcloud.data.dataset import Reconstruction, embedded_clouds, open_clouds
from core.training.session import Session

VAL_SEED = 1  # of the validation inputs, which are the same in every run


class CloudData:
    """The training and validation items of a run; the embedded solids are written if need be."""

    def __init__(self, config: PointCloudConfig, session: Session):
        self.config, self.session = config, session

    def train(self) -> Reconstruction:
        """Inputs that are drawn anew in each epoch."""
        data = self.config.data
        return Reconstruction(
            self._open("train"), self.config.corruption, data.outputs, turn=data.turn
        )

    def val(self) -> Reconstruction:
        """The same inputs each time."""
        data = self.config.data
        return Reconstruction(self._open("val"), self.config.corruption, data.outputs, VAL_SEED)

    def _open(self, split: str):
        data = self.config.data
        if data.root:
            return open_clouds(data.root, split, data.mesh_points)
        if self.session.is_main:
            embedded_clouds(self.config.embedded, split)
        self.session.wait()
        return embedded_clouds(self.config.embedded, split)
