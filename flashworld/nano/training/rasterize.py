"""Differentiable rendering of many scenes at once, for training on a GPU.

The project's `rendering` renders one scene; training renders B scenes from V cameras each, with gradients, through the
same gsplat kernels and settings. `Rasterizer` is the interface, so that CPU dry runs can pass a substitute.

Numerics: float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from flashworld.cameras import Cameras, invert_rigid, to_opencv
from flashworld.gaussians import Gaussians

NEAR, FAR = 0.01, 1000.0
GAUSSIANS_PER_CALL = 4_000_000
"""Maximum size of one rasterization call, to bound its memory."""

Rasterizer = Callable[[Gaussians, Cameras, int, int, int], tuple[torch.Tensor, torch.Tensor]]
"""(concatenated scenes, cameras grouped by scene, number of scenes, height, width) to unclamped RGB on white,
(B, V, 3, height, width), and alpha, (B, V, height, width)."""


def rasterize(
    scenes: Gaussians, cameras: Cameras, count: int, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `Rasterizer`; needs CUDA and gsplat."""
    from gsplat import rasterization

    viewmats = invert_rigid(to_opencv(cameras.c2w)).unflatten(0, (count, -1)).contiguous()
    pinholes = cameras.K_px(height, width).unflatten(0, (count, -1)).contiguous()
    fields = [scenes.means, scenes.quats_wxyz, scenes.scales, scenes.opacities, scenes.sh]
    fields = [field.unflatten(0, (count, -1)) for field in fields]
    pictures, alphas = [], []
    scenes_per_call = max(1, GAUSSIANS_PER_CALL * count // len(scenes))
    for start in range(0, count, scenes_per_call):
        part = slice(start, start + scenes_per_call)
        means, quats, scales, opacities, sh = (field[part].contiguous() for field in fields)
        rgb, alpha, _ = rasterization(
            means, quats, scales, opacities, sh, viewmats[part], pinholes[part], width, height,
            near_plane=NEAR, far_plane=FAR, sh_degree=scenes.sh_degree, packed=False,
        )  # fmt: skip
        pictures.append(rgb + (1 - alpha))  # white background
        alphas.append(alpha[..., 0])
    return torch.cat(pictures).movedim(-1, 2), torch.cat(alphas)
