"""The light scene of a result: few enough Gaussians for a phone, which the 3D view shows first.

It is computed in the worker, on the device of the scene: the main process has no GPU for it, and computing it there would
delay other visitors. The time it takes on a GPU has not been measured.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from flashworld.gaussians import Gaussians
from flashworld.light_views import split_views
from flashworld.lighten import LIGHT_GAUSSIANS, lighten, psnr_along
from flashworld.result import SceneResult

logger = logging.getLogger(__name__)
LIGHT_VIEWS = 6
"""Views along the path that determine which Gaussians matter."""
COMPARED_VIEWS = 4
"""Other views along the path, on which the light scene is compared with the full one."""
COMPARED_ROWS = 192
"""Rows of the compared images."""


@dataclass(frozen=True)
class LightScene:
    """A scene merged to a size that phones can display.

    Attributes:
        scene: At most the requested number of Gaussians.
        psnr_db: Its PSNR against the full scene, dB, from the mean squared error over views that it was not optimised for,
            spread over the whole path.
    """

    scene: Gaussians
    psnr_db: float


def light_scene(result: SceneResult, count: int = LIGHT_GAUSSIANS) -> LightScene | None:
    """The light scene of a result, computed on the device of the scene.

    Args:
        result: The scene.
        count: Largest number of Gaussians.

    Returns:
        None if the full scene is small enough, or if computing the light scene failed: this must never lose the full scene.
    """
    full = result.visible()
    if len(full) <= count:
        return None
    try:
        return _merged(result, full, count)
    except (RuntimeError, MemoryError):  # out of memory on either device, or a solver that did not converge
        logger.exception("no light scene, the 3D view shows the full one")
    # Outside the handler: the error's traceback keeps references to the tensors that filled the memory.
    if full.means.is_cuda:
        torch.cuda.empty_cache()
    return None


def _merged(result: SceneResult, full: Gaussians, count: int) -> LightScene:
    request, path = result.request, result.cameras.to(full.means.device)
    size = (COMPARED_ROWS, max(1, round(COMPARED_ROWS * request.width / request.height)))
    views = split_views(path, LIGHT_VIEWS, COMPARED_VIEWS)
    light = lighten(full, count, views.optimised)
    return LightScene(light, psnr_along(full, light, views.compared, *size))
