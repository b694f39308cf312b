"""Cameras to per-pixel rays: the six raymap channels of the DiT's input, and the rays of the Gaussian head.

Numerics: the dtype of the cameras (float32), never bfloat16. Pixel centres are at +0.5.
Source: FlashWorld (arXiv 2510.13678); the second triple is the ray's point closest to the origin, not a Plücker moment.
"""

from __future__ import annotations

import torch

from flashworld.cameras import Cameras, quat_to_matrix
from flashworld.types import Raymap


def ray_directions(cameras: Cameras, height: int, width: int, uv_offset: torch.Tensor | None = None) -> torch.Tensor:
    """Unit world-space directions through the pixels of a height x width grid, OpenGL axes.

    Args:
        cameras: N cameras.
        height: Rows of the grid (any size: intrinsics are relative).
        width: Columns of the grid.
        uv_offset: Shift of each pixel along columns and rows, in units of the principal point. (N, height, width, 2)

    Returns:
        Directions of length 1. (N, height, width, 3)
    """
    fx, fy, cx, cy = cameras.intrinsics[:, None, None, :].unbind(-1)
    fx, fy, cx, cy = (
        fx * width,
        fy * height,
        cx * width,
        cy * height,
    )  # a tensor of sizes would synchronise with the GPU
    columns = torch.arange(width, dtype=fx.dtype, device=fx.device) + 0.5
    rows = (torch.arange(height, dtype=fx.dtype, device=fx.device) + 0.5)[:, None]
    u, v = columns.expand(height, width), rows.expand(height, width)
    if uv_offset is not None:
        u, v = u + uv_offset[..., 0] * cx, v + uv_offset[..., 1] * cy
    x, y = torch.broadcast_tensors((u - cx) / fx, -(v - cy) / fy)
    local = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
    world = torch.einsum("nij,nhwj->nhwi", quat_to_matrix(cameras.quats_wxyz), local)
    return world / world.norm(dim=-1, keepdim=True)


def raymap(cameras: Cameras, height: int, width: int) -> Raymap:
    """Six channels per pixel: direction, then the point of its line closest to the world origin. (N, 6, height, width)"""
    direction = ray_directions(cameras, height, width)
    origin = cameras.positions[:, None, None, :]
    along = (origin * direction).sum(-1, keepdim=True)
    return torch.cat([direction, origin - along * direction], dim=-1).movedim(-1, 1)
