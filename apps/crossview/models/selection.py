"""Multi-channel attention selection: the second stage of SelectionGAN and CrossMLP.

Legend: B batch, H W image, F channels of the first stage's feature (at half size), N candidates.
Tang et al., CVPR 2019 (arXiv 1904.06807), section 3.2; sizes are those of the released code.

    X = [ReLU(dropout(up(feature))), source, coarse]                     (B, F', H, W)
    Y = conv3([X * up(pool_1 X), X * up(pool_4 X), X * up(pool_9 X), X])
    A = softmax_N(conv1(Y)),  C_n = tanh(conv3(Y)_n),  I = sum_n A_n C_n,  U = sigmoid(conv1(A))
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POOLS = (1, 4, 9)  # sides of the averages


class Selection(nn.Module):
    """Chooses, pixel by pixel, among candidate images.

    feature (B, feature, H/2, W/2), source and coarse (B, 3, H, W) -> "image" (B, 3, H, W),
    "candidates" (B, N, 3, H, W), "attention" (B, N, H, W), "uncertainty" (B, 1, H, W).
    """

    def __init__(
        self, feature: int = 128, width: int = 104, candidates: int = 10, dropout: float = 0.5
    ):
        super().__init__()
        channels = width + 6  # F' of the formulas: source and coarse image beside the feature
        self.up = nn.ConvTranspose2d(feature, width, 2, 2)
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Conv2d((len(POOLS) + 1) * channels, channels, 3, padding=1)
        self.attend = nn.Conv2d(channels, candidates, 1)
        self.propose = nn.Conv2d(channels, 3 * candidates, 3, padding=1)
        self.doubt = nn.Conv2d(candidates, 1, 1)

    def forward(self, feature: Tensor, source: Tensor, coarse: Tensor) -> dict[str, Tensor]:
        feature = F.relu(self.dropout(self.up(feature)))  # (B, width, H, W)
        x = torch.cat([feature, source, coarse], 1)  # (B, F', H, W)
        # each pixel times the mean of its surroundings, at three sizes, and as it is
        pooled = [x * _spread(F.avg_pool2d(x, side), x) for side in POOLS]
        y = self.mix(torch.cat([*pooled, x], 1))  # (B, F', H, W)
        attention = self.attend(y).softmax(1)  # (B, N, H, W), a sum of 1 over the candidates
        candidates = self.propose(y).tanh().unflatten(1, (-1, 3))  # (B, N, 3, H, W)
        return {
            "image": (attention[:, :, None] * candidates).sum(1),
            "candidates": candidates,
            "attention": attention,
            "uncertainty": self.doubt(attention).sigmoid(),
        }


def _spread(small: Tensor, like: Tensor) -> Tensor:
    """Means (B, F', h, w) at the size of `like`; corners on corners, as released."""
    return F.interpolate(small, like.shape[2:], mode="bilinear", align_corners=True)
