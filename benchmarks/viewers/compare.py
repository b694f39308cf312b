"""Similarity of two images, and whether one shows the scene upright."""

from __future__ import annotations

import math

import numpy as np

TURNS = {
    "upside down": lambda rgb: rgb[::-1, ::-1],
    "flipped": lambda rgb: rgb[::-1],
    "mirrored": lambda rgb: rgb[:, ::-1],
}
MARGIN_DB = 3.0
"""Minimum PSNR margin of the upright orientation over each wrong one, dB."""


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR between two uint8 images of equal size. (H, W, 3)"""
    error = np.square(first.astype(np.float64) - second.astype(np.float64)).mean()
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def orientation(found: np.ndarray, expected: np.ndarray) -> str:
    """`upright`, or the best-matching wrong orientation, or `unlike` if neither wins by the margin."""
    upright = psnr_db(found, expected)
    wrong = {name: psnr_db(found, turn(expected)) for name, turn in TURNS.items()}
    name, best = max(wrong.items(), key=lambda item: item[1])
    if upright >= best + MARGIN_DB:
        return "upright"
    return name if best >= upright + MARGIN_DB else "unlike"
