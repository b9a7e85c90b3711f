"""The network with everything around it as one graph: uint8 crops in, keypoints and scores out."""

from __future__ import annotations

from torch import Tensor, nn

from apps.pose.models.decoding import create_decoder
from apps.pose.models.network import PoseNet


class PoseGraph(nn.Module):
    """crops (B, H, W, 3) uint8 RGB -> keypoints (B, K, 2) in pixels of the crop, scores (B, K).

    B people, K keypoints, (H, W) the crop; points are (x, y).
    """

    def __init__(self, network: PoseNet):
        super().__init__()
        self.network = network.eval()
        self.decode = create_decoder(network.config)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        images = crops.permute(0, 3, 1, 2)  # (B, 3, H, W), as the network takes them
        return self.decode(self.network(images))
