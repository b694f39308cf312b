"""The Gaussian decoder: DiT features and clean latents to a 3D Gaussian scene.

It is the Wan VAE decoder for single frames (2D, see `vae_blocks.py`) that also takes the DiT's features and ends, at
half the image's size, in a convolution with 2 x 38 channels instead of RGB. `forward` is the network:
tensors in, head maps out, suitable for export. `gaussians_from_maps` is the geometry: head maps and cameras to Gaussians.
`GaussianDecoder.gaussians` does both.

Numerics: body in the dtype of the weights (bfloat16 on CUDA). The last norm, SiLU and all geometry run in float32
(`FLOAT32_PARTS` keep float32 weights). The head's convolution runs in float32, after a bfloat16 body in float16: that keeps as
many bits of each factor as TF32, the format in which GPUs multiply float32, at twice the speed. Its result is rounded to 11 bits,
a twentieth of what the body's rounding changes. Multipliers and bias of the head are applied in float32.

Source: FlashWorld (arXiv 2510.13678). Its peculiarities are kept because the trained weights expect them: the pixel size
multiplies by the focal length, the pixel offset counts in units of the principal point, `lrs_mul` scales the bias too.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import ray_directions
from flashworld.config import GAUSSIAN_HEAD_WIDTH, GAUSSIANS_PER_PIXEL, ModelConfig
from flashworld.gaussians import Gaussians
from flashworld.kernels.program import kernels_on
from flashworld.models.placing import place
from flashworld.models.residual_blocks import ChannelNorm
from flashworld.models.vae_blocks import MidBlock, UpBlock

FLOAT32_PARTS = ("decoder.norm_out.", "gs_head.")
"""Tensors whose names contain one of these stay float32 when the rest is cast."""
HEAD_CHANNELS = GAUSSIANS_PER_PIXEL * GAUSSIAN_HEAD_WIDTH
HALF_HEAD_CHANNELS = 80
"""Channels to which a float16 head is zero-padded: 1.54 ms on an H200; 76 take 2.00, 96 1.79, 128 1.76 ms."""
SH_VALUES = 27
"""9 coefficients x RGB, coefficient-major."""
MAX_SCALE_PX = 16.0
"""Largest standard deviation of a Gaussian, in the model's pixel sizes."""
FIELDS = (SH_VALUES, 2, 1, 1, 3, 4)
"""SH, uv offset, log distance, opacity logit, scale, rotation wxyz."""


class _Decoder(nn.Module):
    """The VAE decoder's body; named as in the checkpoint."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        vae = config.vae
        widths = [vae.decoder_base_dim * m for m in (vae.dim_mult[-1], *reversed(vae.dim_mult))]
        last = len(vae.dim_mult) - 1
        self.conv_in = nn.Conv2d(vae.z_dim, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0])
        self.up_blocks = nn.ModuleList(
            UpBlock(a, b, vae.num_res_blocks, upsample=i < last) for i, (a, b) in enumerate(pairwise(widths))
        )
        self.norm_out = ChannelNorm(widths[-1])


class GaussianHead(nn.Module):
    """3x3 convolution whose weight and bias are scaled channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gs_proj = nn.Conv2d(channels, HEAD_CHANNELS, 3, padding=1)
        self.lrs_mul: torch.Tensor
        self.register_buffer("lrs_mul", design_lrs_mul())

    def forward(self, x: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Multiply in `dtype`, float32 or float16. (N, C, H, W) -> (N, 76, H, W), float32"""
        weight, bias = self.gs_proj.weight, cast(torch.Tensor, self.gs_proj.bias)
        if dtype == torch.float16:
            weight = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, HALF_HEAD_CHANNELS - HEAD_CHANNELS))
        products = F.conv2d(x.to(dtype), weight.to(dtype), None, padding=1)[:, :HEAD_CHANNELS]
        return (products.float() + bias.float()[:, None, None]) * self.lrs_mul.float()[:, None, None]


class GaussianDecoder(nn.Module):
    """Features and latents of N frames to head maps. State-dict names are the checkpoint's `recon_decoder` entry's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        vae = config.vae
        width = vae.decoder_base_dim * vae.dim_mult[-1]
        self.post_quant_conv = nn.Conv2d(vae.z_dim, vae.z_dim, 1)
        self.extra_conv_in = nn.Conv2d(config.feature_dim, width, 3, padding=1)
        self.decoder = _Decoder(config)
        self.gs_head = GaussianHead(vae.decoder_base_dim * vae.dim_mult[0])

    def activations(self, features: torch.Tensor, raw_latents: torch.Tensor) -> torch.Tensor:
        """The input of the head: after the last norm and SiLU, float32. (N, decoder_base_dim, 8h, 8w)"""
        dtype = self.post_quant_conv.weight.dtype
        features, raw_latents = (
            t.to(dtype).contiguous(memory_format=torch.channels_last) for t in (features, raw_latents)
        )
        x = self.decoder.conv_in(self.post_quant_conv(raw_latents)) + self.extra_conv_in(features)
        x = self.decoder.mid_block(x)
        for block in self.decoder.up_blocks:
            x = block(x)
        return F.silu(self.decoder.norm_out(x.float()))

    def forward(self, features: torch.Tensor, raw_latents: torch.Tensor) -> torch.Tensor:
        """Run the network; frames are independent of each other.

        Args:
            features: From the DiT, any floating dtype. (N, feature_dim, h, w)
            raw_latents: Clean latents before normalisation, any floating dtype. (N, z_dim, h, w)

        Returns:
            Head maps, float32. (N, 76, 8h, 8w)
        """
        half = self.post_quant_conv.weight.dtype == torch.bfloat16
        return self.gs_head(self.activations(features, raw_latents), torch.float16 if half else torch.float32)

    def gaussians(
        self,
        features: torch.Tensor,
        raw_latents: torch.Tensor,
        cameras: Cameras,
        *,
        frames_per_chunk: int | None = None,
    ) -> Gaussians:
        """The scene of N frames.

        Args:
            features: From the DiT. (N, feature_dim, h, w)
            raw_latents: Clean latents before normalisation. (N, z_dim, h, w)
            cameras: The N cameras, normalised, float32.
            frames_per_chunk: Frames that go through the network together: less memory, same scene. None: all.

        Returns:
            Gaussians in the frame of `cameras`, float32, in the order frame, point, row, column. N * 2 * 8h * 8w
        """
        step = frames_per_chunk or len(cameras)
        parts = []
        for start in range(0, len(cameras), step):
            chunk = slice(start, start + step)
            parts.append(gaussians_from_maps(self(features[chunk], raw_latents[chunk]), cameras[chunk]))
        return parts[0] if len(parts) == 1 else join(parts)


def gaussians_from_maps(maps: torch.Tensor, cameras: Cameras) -> Gaussians:
    """Cast a ray through every pixel of the head maps and place the Gaussians on it. On a GPU this is a single kernel.

    Args:
        maps: Head maps, float32; channels are 2 points x (SH 27, uv 2, depth 1, opacity 1, scale 3, rotation 4).
            (N, 76, rows, columns)
        cameras: The N cameras the maps belong to, normalised, float32.

    Returns:
        N * 2 * rows * columns Gaussians, in the order frame, point, row, column.
    """
    program = None if torch.is_grad_enabled() and maps.requires_grad else kernels_on(maps.device)
    if program is not None:
        return place(program, maps, cameras, MAX_SCALE_PX)
    rows, columns = maps.shape[-2:]
    pixels = rearrange(maps, "n (p c) h w -> (n p) h w c", p=GAUSSIANS_PER_PIXEL)
    sh, uv, depth, opacity, scale, rotation = pixels.split(FIELDS, dim=-1)
    owners = Cameras(*(repeat_points(t) for t in (cameras.quats_wxyz, cameras.positions, cameras.intrinsics)))

    distance = depth.exp()
    means = owners.positions[:, None, None, :] + distance * ray_directions(owners, rows, columns, uv)
    focal = torch.stack([owners.intrinsics[:, 0] / columns, owners.intrinsics[:, 1] / rows], dim=-1)
    pixel_size = focal.norm(dim=-1)[:, None, None, None] * distance
    return Gaussians(
        means=means.reshape(-1, 3),
        quats_wxyz=F.normalize(rotation, dim=-1).reshape(-1, 4),
        scales=(scale.sigmoid() * MAX_SCALE_PX * pixel_size).reshape(-1, 3),
        opacities=opacity.sigmoid().reshape(-1),
        sh=sh.reshape(-1, SH_VALUES // 3, 3),
    )


def repeat_points(per_camera: torch.Tensor) -> torch.Tensor:
    """One row per camera to one row per (camera, point). (N, k) -> (2N, k)"""
    return per_camera.repeat_interleave(GAUSSIANS_PER_PIXEL, dim=0)


def join(parts: list[Gaussians]) -> Gaussians:
    """Concatenate scenes."""
    return Gaussians(
        means=torch.cat([p.means for p in parts]),
        quats_wxyz=torch.cat([p.quats_wxyz for p in parts]),
        scales=torch.cat([p.scales for p in parts]),
        opacities=torch.cat([p.opacities for p in parts]),
        sh=torch.cat([p.sh for p in parts]),
    )


def design_bias() -> torch.Tensor:
    """The head's bias before training: every Gaussian is one pixel wide, because rendering time depends on it. (76,)"""
    one_point = torch.zeros(GAUSSIAN_HEAD_WIDTH)
    one_point[-7:-4] = -math.log(MAX_SCALE_PX - 1)  # sigmoid gives 1 / 16
    return one_point.repeat(GAUSSIANS_PER_PIXEL)


def design_lrs_mul() -> torch.Tensor:
    """The default multipliers of FlashWorld's head; a checkpoint has its own. (76,)"""
    one_point = torch.ones(GAUSSIAN_HEAD_WIDTH)
    one_point[3:SH_VALUES] = 0.5  # SH above band 0
    one_point[SH_VALUES : SH_VALUES + 2] = 0.01  # uv
    return one_point.repeat(GAUSSIANS_PER_PIXEL)
