"""Frames for display: 8-bit RGB, and depth as a grey image (near is bright, empty is black)."""

from __future__ import annotations

import numpy as np
import torch

from flashworld.rendering.views import Rendering

COVERED = 0.5
"""Pixels with at least this alpha have a meaningful depth."""
RANGE_PERCENT = (2.0, 98.0)
"""Percentiles at the ends of the grey scale: a few Gaussians near the lens or far away would otherwise compress the rest to one grey."""
HEADROOM = 1.25
"""How much nearer than the first frame's near end still differs from white: paths tend to move forward."""
DARKEST = 0.08
"""Grey level of the far end, distinct from the black of empty pixels."""


def to_bytes(rgb: torch.Tensor) -> np.ndarray:
    """Round colours (..., 3) to 8 bits on the device they are on; values outside [0, 1] are clamped."""
    if rgb.is_cuda:  # a quarter of the bytes to copy
        return (rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    # numpy, because torch would start a thread pool, which does not survive a fork
    return (np.clip(rgb.detach().numpy(), 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


class DepthPainter:
    """Converts depth to grey levels of inverse distance.

    The scale is set by the first non-empty frame and kept, so that a video does not flicker.
    """

    def __init__(self) -> None:
        self._ends: tuple[float, float] | None = None

    def paint(self, rendering: Rendering) -> np.ndarray:
        """Grey RGB images of a rendering with depth. uint8, (N, H, W, 3)"""
        if rendering.depth is None:
            raise ValueError("depth pictures need a rendering made with want_depth=True")
        alpha, depth = (t.detach().float().cpu().numpy() for t in (rendering.alpha, rendering.depth))
        inverse = np.divide(alpha, depth, out=np.zeros_like(depth), where=depth > 0)
        if self._ends is None:
            self._ends = _grey_ends(alpha[0], inverse[0])
        far, near = self._ends or (0.0, 1.0)
        grey = DARKEST + (1 - DARKEST) * np.clip((inverse - far) / (near - far), 0, 1)
        levels = (np.clip(grey * alpha, 0, 1) * 255 + 0.5).astype(np.uint8)
        return np.repeat(levels[..., None], 3, axis=-1)


def _grey_ends(alpha: np.ndarray, inverse: np.ndarray) -> tuple[float, float] | None:
    """Inverse distances of the darkest and the white level, from one frame; None if it is empty."""
    seen = inverse[alpha >= COVERED]
    if not len(seen):
        return None
    far, near = np.percentile(seen, RANGE_PERCENT)
    return float(far), float(far + max(HEADROOM * (near - far), 0.01 * far))
