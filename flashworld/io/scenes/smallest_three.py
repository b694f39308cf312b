"""Rotations as their three smallest components, 10 or 8 bits each, as in compressed PLY and SOG.

The largest component is made positive and omitted; the others lie within +-sqrt(1/2) and keep the order w x y z.
"""

from __future__ import annotations

import numpy as np

from flashworld.io.scenes.activations import unit_quats

SQRT_2 = np.float32(np.sqrt(2.0))
_REST = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""The remaining components when one is omitted."""


def smallest_three(quats_wxyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the largest component (n,), and the others scaled to [0, 1]. (n, 3)"""
    quats = unit_quats(quats_wxyz)
    largest = np.abs(quats).argmax(axis=1)
    sign = np.where(np.take_along_axis(quats, largest[:, None], axis=1) < 0, np.float32(-1), np.float32(1))
    rest = np.take_along_axis(quats * sign, _REST[largest], axis=1)
    return largest, np.clip(rest / SQRT_2 + np.float32(0.5), 0, 1)


def from_smallest_three(largest: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The inverse: unit quaternions wxyz. (n, 4)"""
    values = (rest.astype(np.float32) - np.float32(0.5)) * SQRT_2
    quats = np.empty((len(values), 4), dtype=np.float32)
    np.put_along_axis(quats, _REST[largest], values, axis=1)
    top = np.sqrt(np.maximum(1 - np.square(values).sum(axis=1), 0))
    np.put_along_axis(quats, largest[:, None], top[:, None], axis=1)
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
