"""A scene in slices of numpy arrays, so that writers need memory for one slice and not for a second scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from flashworld.errors import SceneError
from flashworld.gaussians import Gaussians, require_finite

CHUNK_ROWS = 1 << 15
"""Gaussians per slice: 5 MB of PLY, which stays in the cache."""
MAX_SH_COEFFICIENTS = 16
"""Degree 3, the most that any of the file formats can hold."""


class Chunk(NamedTuple):
    """Consecutive Gaussians as float32 arrays; fields as in `Gaussians`."""

    means: np.ndarray
    quats_wxyz: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray


def slices(tensor: torch.Tensor, rows: int = CHUNK_ROWS) -> Iterator[np.ndarray]:
    """Rows of a tensor as float32 arrays, without a copy if it is already float32 on the CPU."""
    for start in range(0, len(tensor), rows):
        yield tensor[start : start + rows].detach().to("cpu", torch.float32).numpy()


def iter_chunks(scene: Gaussians, where: str, rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """Split a scene into checked slices, in order.

    Raises:
        SceneError: no Gaussians, SH above degree 3, NaN or infinity, or a value out of its range.
    """
    if len(scene) == 0:
        raise SceneError(f"{where}: the scene holds no Gaussians")
    if scene.sh.shape[1] > MAX_SH_COEFFICIENTS:
        raise SceneError(f"{where}: SH must be of degree 3 at the most, got {scene.sh_degree}")
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    for number, arrays in enumerate(zip(*(slices(field, rows) for field in fields), strict=True)):
        chunk = Chunk(*arrays)
        _check(chunk, scene[number * rows : (number + 1) * rows], where)
        yield chunk


def _check(chunk: Chunk, part: Gaussians, where: str) -> None:
    if not all(np.isfinite(array).all() for array in chunk):
        require_finite(part.to("cpu", torch.float32), where)  # says which field
    if np.einsum("nd,nd->n", chunk.quats_wxyz, chunk.quats_wxyz).min() == 0:
        raise SceneError(f"{where}: quaternions must not be zero")
    if chunk.scales.min() < 0:
        raise SceneError(f"{where}: scales must not be negative, got {chunk.scales.min():g}")
    if chunk.opacities.min() < 0 or chunk.opacities.max() > 1:
        worst = chunk.opacities[np.abs(chunk.opacities - 0.5).argmax()]
        raise SceneError(f"{where}: opacities must lie in [0, 1], got {worst:g}")
