"""An order in which neighbours in the file are neighbours in space: smaller files, and tight bounds of chunks."""

from __future__ import annotations

import numpy as np

BITS = 16
"""Bits per coordinate: fine enough that few Gaussians share a cell."""


def morton_order(means: np.ndarray) -> np.ndarray:
    """Indices that order the centres (n, 3) along a Z-order curve."""
    low, high = means.min(axis=0).astype(np.float64), means.max(axis=0).astype(np.float64)
    scale = (2**BITS - 1) / np.maximum(high - low, 1e-30)
    code = np.zeros(len(means), dtype=np.uint64)
    for axis in range(3):
        code |= _spread(((means[:, axis] - low[axis]) * scale[axis]).astype(np.uint64)) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(values: np.ndarray) -> np.ndarray:
    """Insert two zero bits after each of the lowest 16."""
    for shift, mask in ((16, 0x0000FF0000FF), (8, 0x00F00F00F00F), (4, 0x0C30C30C30C3), (2, 0x249249249249)):
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
