"""Values before activation, as stored in files: opacity logits, log scales, quaternions of length 1. float32, always finite.

A logit is kept within +-20: sigmoid(20) is exactly 1 in float32 and sigmoid(-20) is 2e-9, so opacities 0 and 1 survive
a round trip. Scales below 1e-12 scene units are written as 1e-12.
"""

from __future__ import annotations

import numpy as np

MAX_LOGIT = 20.0
SMALLEST_SCALE = 1e-12


def opacity_logits(opacities: np.ndarray) -> np.ndarray:
    """The inverse of the sigmoid, for opacities in [0, 1]."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(opacities) - np.log1p(-opacities), -MAX_LOGIT, MAX_LOGIT)


def opacities_from_logits(logits: np.ndarray) -> np.ndarray:
    """The sigmoid; infinite logits, which other exporters write for 0 and 1, are accepted."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def unit_quats(quats: np.ndarray) -> np.ndarray:
    """Normalise quaternions (n, 4) of any length above zero, dividing by the largest component first: 1e30 squared overflows."""
    scaled = quats / np.abs(quats).max(axis=1, keepdims=True)
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def log_scales(scales: np.ndarray) -> np.ndarray:
    """Natural logarithm, for scales >= 0."""
    return np.log(np.maximum(scales, np.float32(SMALLEST_SCALE)))


def scales_from_log(logs: np.ndarray) -> np.ndarray:
    """The exponential, never 0; too large a logarithm gives infinity, which the reader refuses."""
    with np.errstate(over="ignore"):
        return np.maximum(np.exp(logs), np.float32(SMALLEST_SCALE))


def nearest_bytes(values: np.ndarray) -> np.ndarray:
    """Rounded to uint8; values outside 0 to 255 are clamped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
