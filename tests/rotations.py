"""The error of stored rotations, for the tests of several formats."""

from __future__ import annotations

import torch


def rotation_error(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference of a component, whatever the sign of the quaternion. (N, 4) each"""
    a, b = (torch.nn.functional.normalize(q, dim=1) for q in (a, b))
    return float(torch.minimum((a - b).abs().amax(1), (a + b).abs().amax(1)).max())
