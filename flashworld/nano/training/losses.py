"""Training losses. Images are RGB in [0, 1], channel first; every loss is a mean, float32."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from flashworld.config import GAUSSIANS_PER_PIXEL
from flashworld.models.gaussian_decoder import FIELDS, MAX_SCALE_PX

SSIM_SIDE = 7
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
OPEN_SCALE_PX = 3.0
"""Size above which Gaussians are penalised, pixels."""


def psnr(estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of each image. (...,) from (..., 3, H, W)"""
    error = (estimate.clamp(0, 1) - truth).square().mean(dim=(-3, -2, -1))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Structural similarity (SSIM) with a box window, averaged over all elements. (N, 3, H, W) each"""

    def local(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, SSIM_SIDE, stride=2)

    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    cov = local(a * b) - mean_a * mean_b
    score = (2 * mean_a * mean_b + SSIM_C1) * (2 * cov + SSIM_C2)
    return (score / ((mean_a**2 + mean_b**2 + SSIM_C1) * (var_a + var_b + SSIM_C2))).mean()


def picture_loss(estimate: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """L1, squared error (which determines PSNR) and structural similarity. (N, 3, H, W) each

    Args:
        estimate: Rendered images.
        truth: Ground truth.
        weight: Weight of each pixel in L1 and squared error. (N, 1, H, W)
    """
    difference = estimate - truth
    error = difference.abs() + 2 * difference.square()
    return (error if weight is None else weight * error).mean() + 0.2 * (1 - ssim(estimate, truth))


def edge_loss(estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """L1 of image gradients, which penalises blurred edges. (N, 3, H, W) each"""
    difference = estimate - truth
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def depth_loss(maps: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Log-distance error of the Gaussians, weighted by opacity.

    Args:
        maps: Head maps. (N, 76, rows, columns)
        distance: Ground-truth ray distances in model units at twice the resolution. (N, 2 rows, 2 columns)
    """
    points = maps.unflatten(1, (GAUSSIANS_PER_PIXEL, -1))
    log_distance, opacity = points[:, :, sum(FIELDS[:2])], points[:, :, sum(FIELDS[:3])].sigmoid().detach()
    truth = distance[:, None, ::2, ::2].clamp(min=1e-3).log()
    error = F.smooth_l1_loss(log_distance, truth.expand_as(log_distance), reduction="none", beta=0.05)
    weight = 0.1 + opacity
    return (weight * error).sum() / weight.sum()


def regularisers(maps: torch.Tensor, alpha: torch.Tensor) -> dict[str, torch.Tensor]:
    """Penalties on holes in the image, superfluous opacity and oversized Gaussians."""
    points = maps.unflatten(1, (GAUSSIANS_PER_PIXEL, -1))
    opacity = points[:, :, sum(FIELDS[:3])].sigmoid()
    start = sum(FIELDS[:4])
    size_px = points[:, :, start : start + 3].sigmoid() * MAX_SCALE_PX
    return {
        "holes": (1 - alpha).mean(),
        "opacity": opacity.mean(),
        "size": (size_px - OPEN_SCALE_PX).clamp(min=0).mean(),
    }


def kl_loss(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL divergence of the posterior from a standard normal, averaged over latent elements."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def scale_bias(pixels: float) -> float:
    """The raw scale of a Gaussian of this many pixels in size."""
    share = pixels / MAX_SCALE_PX
    return math.log(share / (1 - share))
