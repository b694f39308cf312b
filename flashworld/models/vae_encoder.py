"""The still-frame VAE encoder: images to the mean and log variance of their latents.

Each frame is encoded as a one-frame video, so frames are independent and the network is 2D (see `vae_blocks.py`).
Numerics: dtype of the weights (bfloat16 on CUDA, float32 on CPU); mean and log variance are returned in float32.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import silu

from flashworld.config import VaeConfig
from flashworld.models.residual_blocks import ChannelNorm
from flashworld.models.vae_blocks import DownBlock, MidBlock
from flashworld.types import Images

PATCH = 2
"""The input is divided into 2x2 patches: 3 x 4 = 12 channels."""
DOWNSAMPLES_TIME = (False, True, True, False)
"""Which stages downsample time in a video; for one frame this affects only the shortcut's channels."""
LOGVAR_RANGE = (-30.0, 20.0)


class _Encoder(nn.Module):
    """Everything between patches and the last 1x1 convolution; named as in the checkpoint."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.base_dim * m for m in (1, *config.dim_mult)]
        last = len(config.dim_mult) - 1
        self.conv_in = nn.Conv2d(3 * PATCH**2, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(a, b, config.num_res_blocks, downsample=i < last, downsample_time=DOWNSAMPLES_TIME[i])
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.mid_block = MidBlock(widths[-1])
        self.norm_out = ChannelNorm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.z_dim, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(silu(self.norm_out(self.mid_block(x))))


class StillFrameEncoder(nn.Module):
    """Wan VAE encoder for single frames. State-dict names are the VAE checkpoint's `encoder.*` and `quant_conv.*`."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.encoder = _Encoder(config)
        self.quant_conv = nn.Conv2d(2 * config.z_dim, 2 * config.z_dim, 1)

    def forward(self, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode frames independently.

        Args:
            images: RGB in [-1, 1], any floating dtype. (N, 3, H, W), H and W multiples of 16

        Returns:
            Mean and log variance (clamped to [-30, 20]) of the raw latents, float32. (N, z_dim, H / 16, W / 16) each
        """
        patches = rearrange(
            images.to(self.quant_conv.weight.dtype), "n c (h a) (w b) -> n (c b a) h w", a=PATCH, b=PATCH
        )
        moments = self.quant_conv(self.encoder(patches.contiguous(memory_format=torch.channels_last)))
        mean, logvar = moments.float().chunk(2, dim=1)
        return mean, logvar.clamp(*LOGVAR_RANGE)
