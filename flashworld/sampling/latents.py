"""Conversion between images and latents, and between frames and video, in float32."""

from __future__ import annotations

import torch
from einops import rearrange

from flashworld.config import VaeConfig
from flashworld.models.vae_encoder import StillFrameEncoder
from flashworld.types import Images, Latents


def encode(
    encoder: StillFrameEncoder, images: Images, frames_per_chunk: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of the images' raw latents, in chunks of frames. (N, C, h, w) each, float32"""
    parts = [encoder(chunk) for chunk in images.split(frames_per_chunk or len(images))]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def sample_posterior(mean: torch.Tensor, logvar: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """A sample of the raw latents: mean + exp(logvar / 2) * noise."""
    return mean + torch.exp(0.5 * logvar) * noise


def latent_statistics(config: VaeConfig, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the raw latents per channel, float32. (C, 1, 1) each"""
    both = torch.tensor([config.latents_mean, config.latents_std]).to(device, non_blocking=True)
    return both[0, :, None, None], both[1, :, None, None]


def to_video(frames: torch.Tensor) -> Latents:
    """(N, C, h, w) -> (1, C, N, h, w)"""
    return rearrange(frames, "t c h w -> 1 c t h w")


def from_video(latents: Latents) -> torch.Tensor:
    """(1, C, N, h, w) -> (N, C, h, w)"""
    return rearrange(latents, "1 c t h w -> t c h w")
