"""The benchmark's measures: image PSNR, depth error and view consistency. Float32; decibels are floats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import ray_directions

SMALLEST_ERROR = 1e-10
"""Lower limit of the mean squared error: 100 dB."""
DRAWN_ALPHA = 0.05
"""Alpha below which a pixel has no depth and its depth error is 1."""
SOLID_ALPHA = 0.5
OCCLUSION = 0.05
"""Relative depth behind the other view's surface from which a point counts as occluded."""


@dataclass(frozen=True)
class Views:
    """Rendered views of V cameras.

    Attributes:
        rgb: In [0, 1]. (V, H, W, 3)
        depth: Along the optical axis, scene units; 0 where nothing is rendered. (V, H, W)
        alpha: Accumulated opacity, 0 to 1. (V, H, W)
    """

    rgb: torch.Tensor
    depth: torch.Tensor
    alpha: torch.Tensor


def decibels(squared_error: float) -> float:
    """Convert a mean squared error of values in [0, 1] to PSNR in dB."""
    return -10 * math.log10(max(squared_error, SMALLEST_ERROR))


def psnr(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """PSNR in dB between two tensors of equal shape, values in [0, 1]."""
    return decibels(float((estimate.clamp(0, 1) - truth).square().mean()))


def depth_errors(views: Views, truth: torch.Tensor, every: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative depth errors |z / true z - 1| on a subsampled grid, where the ground truth is a surface.

    Args:
        views: Rendered views.
        truth: Ground-truth depth, NaN for sky. (V, H, W)
        every: Stride in rows and columns.

    Returns:
        Errors at the scene's own scale, and after scale alignment by one factor per scene: the median of true z / z.
        (n,) each
    """
    found, true = views.depth[:, ::every, ::every], truth[:, ::every, ::every]
    surface = ~true.isnan()
    found, true = found[surface], true[surface]
    drawn = found > 0
    scale = float((true[drawn] / found[drawn]).median()) if bool(drawn.any()) else 1.0
    return (found / true - 1).abs(), (found * scale / true - 1).abs()


def consistency(views: Views, cameras: Cameras, pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """View consistency: PSNR between view A's pixels, reprojected into view B by A's depth, and view B.

    Pixels count where A has depth and the reprojected point lies inside B and is not occluded there (see `OCCLUSION`).
    Points in front of B's surface count: a surface that is transparent from B is an inconsistency.

    Returns:
        Mean PSNR over the pairs in dB, and the mean fraction of A's pixels that counted.
    """
    found = [_agreement(views, cameras, a, b) for a, b in pairs]
    return tuple(sum(values) / len(values) for values in zip(*found, strict=True))  # type: ignore[return-value]


def _agreement(views: Views, cameras: Cameras, a: int, b: int) -> tuple[float, float]:
    height, width = views.depth.shape[1:]
    direction = ray_directions(cameras[a], height, width)[0]
    along_axis = direction @ -cameras.c2w[a, :3, 2]
    point = cameras.positions[a] + direction * (views.depth[a] / along_axis)[..., None]
    place, depth = project(point, cameras[b])
    colour, seen = sample(views.rgb[b], place, "bilinear"), sample(views.depth[b][..., None], place, "nearest")[..., 0]
    inside = (place > 0).all(-1) & (place < 1).all(-1) & (depth > 0)
    counts = inside & (views.alpha[a] > SOLID_ALPHA) & (views.depth[a] > 0) & (depth <= seen * (1 + OCCLUSION))
    if not bool(counts.any()):
        return 0.0, 0.0
    return psnr(colour[counts], views.rgb[a][counts]), float(counts.float().mean())


def project(point: torch.Tensor, camera: Cameras) -> tuple[torch.Tensor, torch.Tensor]:
    """Project points (..., 3): columns and rows as fractions of the image size, (..., 2), and depth, (...)."""
    w2c = camera.w2c[0]
    x, y, z = (point @ w2c[:3, :3].T + w2c[:3, 3]).unbind(-1)
    depth = -z
    safe = depth.clamp(min=1e-6)
    fx, fy, cx, cy = camera.intrinsics[0]
    return torch.stack([fx * x / safe + cx, -fy * y / safe + cy], dim=-1), depth


def sample(picture: torch.Tensor, place: torch.Tensor, mode: str) -> torch.Tensor:
    """Sample an image (H, W, C) at fractions of its width and height (h, w, 2), clamped at edges. (h, w, C)"""
    grid = (place * 2 - 1)[None]
    return F.grid_sample(
        picture.movedim(-1, 0)[None], grid, mode=mode, padding_mode="border", align_corners=False
    )[0].movedim(0, -1)  # fmt: skip
