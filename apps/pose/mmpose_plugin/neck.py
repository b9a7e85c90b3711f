"""MLP-Pose in an mmpose model: what it puts between a backbone and a SimCC head, and its head."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmpose.models.heads import SimCCHead
from mmpose.registry import MODELS
from torch import Tensor

from apps.pose.models import mlp_pose
from apps.pose.models import network as model
from apps.pose.models.places import PlacesHead


@MODELS.register_module()
class MLPPoseNeck(BaseModule):
    """`apps.pose.models.mlp_pose.MLPPoseNeck`: levels in, fine to coarse, a tuple with one map out.

    ``in_channels`` and ``strides`` (input pixels per position) are the levels', ``input_size`` is
    (width, height). The map has the first level's channels and size. ``fuse`` turns the intra-level
    fuse module on, ``depth`` and ``width`` are those of the MLP-Mixer over its places (0: none).
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        strides: tuple[int, ...],
        input_size: tuple[int, int],
        fuse: bool = True,
        depth: int = 0,
        width: int = 256,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        shapes = [
            (channels, input_size[1] // stride, input_size[0] // stride)
            for channels, stride in zip(in_channels, strides, strict=True)
        ]
        patch = mlp_pose.patch_of((strides[0],) * 2, shapes[0][1:]) if depth else 1
        self.net = mlp_pose.MLPPoseNeck(shapes, fuse, depth, width, patch)

    def forward(self, levels: tuple[Tensor, ...]) -> tuple[Tensor]:
        """[(B, C_i, h_i, w_i), ...] -> ((B, C_1, h_1, w_1),)."""
        return (self.net(levels),)


@MODELS.register_module()
class MLPPoseHead(SimCCHead):
    """mmpose's SimCCHead around `apps.pose.models.network.SimCCHead`, or `PlacesHead`.

    ``maps`` of each keypoint before the axes, where SimCC has one; ``depth`` and ``width`` of an
    MLP-Mixer over the keypoints (0: none). ``places`` is the sigma (bins) of a `PlacesHead`, which
    0 is not. Its initial weights are its own, init_cfg is not used.
    """

    def __init__(
        self, maps: int = 1, depth: int = 0, width: int = 256, places: float = 0.0, **options
    ):
        super().__init__(deconv_out_channels=None, final_layer=None, **options)
        self.init_cfg = None
        bins = self.mlp_head_x.out_features, self.mlp_head_y.out_features
        del self.mlp_head_x, self.mlp_head_y
        grid = tuple(self.in_featuremap_size)[::-1]
        shapes = self.in_channels, grid, self.out_channels, bins
        self.net = (
            PlacesHead(*shapes, places) if places else model.SimCCHead(*shapes, maps, depth, width)
        )

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """((B, C, h, w),) -> logits (B, K, W*split) and (B, K, H*split)."""
        outputs = self.net(feats[-1])
        if "mixture" in outputs:  # in training: mmpose's loss is of the axes
            outputs = self.net.axes(outputs["mixture"])
        return outputs["x"], outputs["y"]
