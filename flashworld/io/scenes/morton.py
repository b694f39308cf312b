"""An order in which neighbours in the file are neighbours in space: smaller files, and tight bounds of chunks."""

from __future__ import annotations

import torch

BITS = 16
"""Bits per coordinate: fine enough that few Gaussians share a cell."""
SPREADING = ((16, 0x0000FF0000FF), (8, 0x00F00F00F00F), (4, 0x0C30C30C30C3), (2, 0x249249249249))


def morton_order(means: torch.Tensor) -> torch.Tensor:
    """Indices that order the centres (n, 3) along a Z-order curve, on their device; equal cells stay in order. int64 (n,)"""
    low, high = means.amin(dim=0).double(), means.amax(dim=0).double()
    scale = (2**BITS - 1) / (high - low).clamp(min=1e-30)
    code = torch.zeros(len(means), dtype=torch.int64, device=means.device)
    for axis in range(3):
        code |= _spread(((means[:, axis] - low[axis]) * scale[axis]).long()) << axis
    return torch.argsort(code, stable=True)


def _spread(values: torch.Tensor) -> torch.Tensor:
    """Insert two zero bits after each of the lowest 16."""
    for shift, mask in SPREADING:
        values = (values | values << shift) & mask
    return values
