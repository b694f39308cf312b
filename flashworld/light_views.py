"""Which views of a path a light scene is optimised for, and on which others it is compared with the full scene.

A scene looks best from the views that it was optimised for, so its PSNR there is not its PSNR along the path.
"""

from __future__ import annotations

from dataclasses import dataclass

from flashworld.cameras import Cameras
from flashworld.trajectories import resample


@dataclass(frozen=True)
class SplitViews:
    """Two sets of views of one path, without a view in common unless the path has only one.

    Attributes:
        optimised: Views that determine which Gaussians matter.
        compared: Views for the PSNR, spread over the whole path.
    """

    optimised: Cameras
    compared: Cameras


def split_views(path: Cameras, optimised: int, compared: int) -> SplitViews:
    """Choose both sets of views.

    Of a path with at least twice as many views as are optimised for, the compared ones are views too. Of a shorter path
    every view is optimised for, and the compared ones are interpolated halfway between neighbours.

    Args:
        path: At least one view; a single one is in both sets.
        optimised: Views to optimise for; up to twice as many are taken, at equal steps from the first.
        compared: Largest number of views to compare on, each the nearest to the middle of an equal part of the path.
    """
    step = max(1, len(path) // optimised)
    chosen = path[::step]
    if len(path) == 1:
        return SplitViews(chosen, path)
    if step == 1:
        path, step = resample(path, 2 * len(path) - 1), 2
    others = [index for index in range(len(path)) if index % step]
    middles = [(part + 0.5) / compared * (len(path) - 1) for part in range(compared)]
    nearest = {min(others, key=lambda index, middle=middle: abs(index - middle)) for middle in middles}
    return SplitViews(chosen, path[sorted(nearest)])
