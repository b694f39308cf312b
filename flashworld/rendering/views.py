"""Input and output of both renderers: views in OpenCV axes and pixels, and the rendered images.

The only place where OpenGL cameras become OpenCV ones. Matrices are computed in float64, so that neither renderer starts
from rounded matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from flashworld.cameras import Cameras, invert_rigid, to_opencv
from flashworld.errors import InputError
from flashworld.limits import MAX_RENDER_SIDE_PX
from flashworld.types import Transforms

WHITE = (1.0, 1.0, 1.0)
NEAR = 0.01
FAR = 1000.0


@dataclass(frozen=True)
class Rendering:
    """Images of N views, on the scene's device, float32.

    Attributes:
        rgb: Colours over the background, not clamped: values may exceed 1. (N, H, W, 3)
        alpha: How much of the background is covered, 0 to 1. (N, H, W)
        depth: Accumulated depth along the optical axis, the sum of weight x z, not divided by alpha; None unless
            requested. (N, H, W)
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor | None


@dataclass(frozen=True)
class Views:
    """N pinhole views of one size.

    Attributes:
        w2c: World-to-camera transforms, OpenCV axes, float64. (N, 4, 4)
        centers: Camera centres in the world, float64. (N, 3)
        K_px: Pinhole matrices in pixels, float64. (N, 3, 3)
        height: Rows.
        width: Columns.
        background: RGB behind everything.
        near: Smallest depth drawn, scene units.
        far: Largest depth drawn, scene units.
    """

    w2c: Transforms
    centers: torch.Tensor
    K_px: torch.Tensor
    height: int
    width: int
    background: tuple[float, float, float]
    near: float
    far: float

    def __len__(self) -> int:
        return len(self.w2c)


def build_views(
    cameras: Cameras, height: int, width: int, background: Sequence[float], near: float, far: float
) -> Views:
    """Turn OpenGL cameras into checked views.

    Raises:
        InputError: no camera, an impossible picture size, depth range or background.
    """
    if len(cameras) == 0:
        raise InputError("render: expected at least one camera, got none")
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= MAX_RENDER_SIDE_PX:
            raise InputError(f"render: {name} must be between 1 and {MAX_RENDER_SIDE_PX} pixels, got {side}")
    if not 0 < near < far < math.inf:
        raise InputError(f"render: expected 0 < near < far, got near {near} and far {far}")
    if len(background) != 3 or not all(math.isfinite(value) for value in background):
        raise InputError(f"render: background must be three finite numbers, got {tuple(background)}")
    exact = cameras.to(torch.float64)
    red, green, blue = (float(value) for value in background)
    return Views(
        w2c=invert_rigid(to_opencv(exact.c2w)),
        centers=exact.positions,
        K_px=exact.K_px(height, width),
        height=height,
        width=width,
        background=(red, green, blue),
        near=float(near),
        far=float(far),
    )
