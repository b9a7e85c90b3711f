"""CrossMixer: two streams of tokens, mixed apart over tokens and together over channels.

Legend: B batch, C_in channels of the maps, h w their size, p patch, S = (h/p)(w/p) tokens,
C token channels, D_S and D_C hidden sizes. Inside, tokens come first, (S, B, C), as in core.Mixer.

CrossMLP (Ren et al., BMVC 2021, arXiv 2110.10183); one block, with u the image's and v the map's
stream, against equation 1 of MLP-Mixer: only what channel mixing sees is another thing.

    u' = u + Tok1(LN u)              v' = v + Tok2(LN v)
    u'' = u' + Ch1(LN(u' + v'))      v'' = v' + Ch2(LN(v' + u'))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.models.networks.mixer import MixerBlock
from core.models.networks.mixer_config import MixerConfig


class CrossBlock(nn.Module):
    """The four equations above on two streams (S, B, C)."""

    def __init__(self, config: MixerConfig):
        super().__init__()
        self.u, self.v = MixerBlock(config), MixerBlock(config)

    def forward(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        u, v = u + self.u.token_mixing(u), v + self.v.token_mixing(v)  # each stream by itself
        both = u + v  # (S, B, C); equal weights: neither stream is the query of the other
        return u + self.u.channel_mixing(both), v + self.v.channel_mixing(both)


class CrossMixer(nn.Module):
    """Two maps (B, C_in, h, w) -> one (B, C_in, h, w) that relates them.

    share_decoder: one way back from tokens for both streams, as the released code has it; the
    other one is then there, counted, and never used.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        patch: int = 8,
        depth: int = 7,
        dims: tuple[int, int, int] = (128, 512, 1024),
        share_decoder: bool = False,
    ):
        super().__init__()
        tokens, hidden_tokens, hidden_channels = dims
        config = MixerConfig(
            image_size=size,
            patch_size=patch,
            in_channels=channels,
            hidden_dim=tokens,
            num_blocks=depth,
            tokens_mlp_dim=hidden_tokens,
            channels_mlp_dim=hidden_channels,
            gelu="exact",
        )
        self.grid = config.grid
        self.embed_u, self.embed_v = (nn.Conv2d(channels, tokens, patch, patch) for _ in "uv")
        self.blocks = nn.ModuleList(CrossBlock(config) for _ in range(depth))
        self.norm_u, self.norm_v = (nn.LayerNorm(tokens, eps=1e-6) for _ in "uv")
        self.decode_u, self.decode_v = (_decoder(tokens, patch) for _ in "uv")
        self.share_decoder = share_decoder
        if share_decoder:
            self.decode_v.requires_grad_(False)  # DDP refuses parameters without a gradient
        self.join = nn.Conv2d(2 * tokens, channels, 1)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        u, v = _tokens(self.embed_u(u)), _tokens(self.embed_v(v))  # (S, B, C) each
        first_u, first_v = u, v
        for block in self.blocks:
            u, v = block(u, v)
        u, v = first_u + self.norm_u(u), first_v + self.norm_v(v)  # a residual past all blocks
        decode_v = self.decode_u if self.share_decoder else self.decode_v
        maps = self.decode_u(self._map(u)), decode_v(self._map(v))  # (B, C, h, w) each
        return self.join(torch.cat(maps, 1))

    def _map(self, tokens: Tensor) -> Tensor:
        """(S, B, C) -> (B, C, h/p, w/p)."""
        return tokens.permute(1, 2, 0).unflatten(2, self.grid)


def _decoder(channels: int, patch: int) -> nn.Sequential:
    """Tokens back to the maps' size, in two linear steps as released: by p/2, then by 2."""
    first = patch // 2
    return nn.Sequential(
        nn.ConvTranspose2d(channels, channels, first, first),
        nn.ConvTranspose2d(channels, channels, 2, 2),
    )


def _tokens(maps: Tensor) -> Tensor:
    """(B, C, h/p, w/p) -> (S, B, C), contiguous: token mixing is then one matrix product."""
    return maps.flatten(2).permute(2, 0, 1).contiguous()
