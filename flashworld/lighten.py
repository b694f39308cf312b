"""Reduce a scene to a given number of Gaussians: faint and unseen ones are dropped, neighbours of similar colour are merged.

Two neighbours (next to each other along a Z-order curve) become one with the same first two moments: the centre and the
covariance of both, weighted by their contributions to the image, and the mean colour; its opacity preserves their joint
contribution. Each round merges the pairs that change the images least, by their contributions to the given views and the
differences of their positions, sizes and colours; where dropping a Gaussian costs less than merging, it is dropped. Rounds
repeat until the count is reached.

Source: moment matching of Gaussian mixtures (Runnalls 2007, "Kullback-Leibler approach to Gaussian mixture reduction").
"""

from __future__ import annotations

import math

import torch

from flashworld.cameras import Cameras, matrix_to_quat, quat_to_matrix
from flashworld.eigen import symmetric_eigen
from flashworld.gaussians import SH_C0, Gaussians, picture_importance, prune_by_opacity, prune_to_count
from flashworld.io.scenes.morton import morton_order

LIGHT_GAUSSIANS = 500_000
"""A size that phones can display: 16 MB of SPZ."""
FAINTEST = 1 / 255
MERGED_A_ROUND = 0.25
"""Share of the scene that one round may remove: later rounds work on the result of earlier ones."""
MOST_ROUNDS = 40
PRUNED_FIRST = 16
"""Times the count: Gaussians ranked beyond it contribute so little that they are dropped before any comparison."""
PLACE_WEIGHT = 0.02
"""Weight of the squared distance in units of the pair's size, against a squared difference of colour in [0, 1]."""
LEFT_OUT = 0.5
"""Cost of dropping a Gaussian, on the same scale: nearly a change from black to white."""


def lighten(scene: Gaussians, count: int, cameras: Cameras) -> Gaussians:
    """Reduce a scene to at most `count` Gaussians for one path.

    Args:
        scene: OpenGL axes, any device.
        count: Maximum number; a smaller scene is returned unchanged.
        cameras: Views to optimise for, same units as the scene; a few along the path are enough.
    """
    if len(scene) <= count:
        return scene
    scene = prune_by_opacity(scene, FAINTEST)
    scene = prune_to_count(scene, PRUNED_FIRST * count, cameras)
    for number in range(MOST_ROUNDS):
        excess = len(scene) - count
        if excess <= 0:
            return scene
        scene = _round(scene, min(excess, int(MERGED_A_ROUND * len(scene)) + 1), cameras, odd=bool(number % 2))
    return prune_to_count(scene, count, cameras)


def psnr_along(scene: Gaussians, other: Gaussians, cameras: Cameras, height: int, width: int) -> float:
    """Peak signal-to-noise ratio between two scenes, of the mean squared error over all views, dB; infinite if equal.

    The mean is that of the errors, not of the views' decibels: the worst views count most.

    Args:
        scene: The reference.
        other: The scene to evaluate, on the same device.
        cameras: The views; for the quality of a light scene not those that it was optimised for, see `light_views`.
        height: Rows of the compared images.
        width: Columns.
    """
    from flashworld.rendering import render

    total = 0.0
    for index in range(len(cameras)):
        view = cameras[index]
        error = render(scene, view, height, width).rgb.clamp(0, 1) - render(other, view, height, width).rgb.clamp(0, 1)
        total += float(error.double().square().mean())
    return -10 * math.log10(total / len(cameras)) if total > 0 else math.inf


def _round(scene: Gaussians, fewer: int, cameras: Cameras, *, odd: bool) -> Gaussians:
    """Remove `fewer` Gaussians, or as many as there are pairs. Rounds alternate between the pairs (0 1) (2 3) and (1 2) (3 4)."""
    scene = scene[morton_order(scene.means)]
    importance = picture_importance(scene, cameras)
    first = torch.arange(int(odd), len(scene) - 1, 2, device=scene.means.device)
    a, b = first, first + 1
    both = importance[a] + importance[b]
    cost = importance[a] * importance[b] / both.clamp(min=1e-20) * _difference(scene[a], scene[b])
    weaker = torch.where(importance[a] < importance[b], a, b)
    out = LEFT_OUT * importance[weaker]
    chosen = torch.topk(torch.minimum(cost, out), min(fewer, len(first)), largest=False).indices
    merging = chosen[cost[chosen] < out[chosen]]
    leaving = weaker[chosen[cost[chosen] >= out[chosen]]]  # mainly those that are not visible in any view
    gone = torch.zeros(len(scene), dtype=torch.bool, device=scene.means.device)
    gone[a[merging]] = gone[b[merging]] = gone[leaving] = True
    return _joined(scene[torch.nonzero(~gone).squeeze(1)], merged(scene[a[merging]], scene[b[merging]]))


def _difference(a: Gaussians, b: Gaussians) -> torch.Tensor:
    """Difference of two Gaussians in colour, position and size. (n,)"""
    colour = ((a.sh[:, 0] - b.sh[:, 0]) * SH_C0).square().mean(dim=1)
    size = (a.scales.square() + b.scales.square()).amax(dim=1)
    place = (a.means - b.means).square().sum(dim=1) / size.clamp(min=1e-20)
    return colour + PLACE_WEIGHT * place


def merged(a: Gaussians, b: Gaussians) -> Gaussians:
    """One Gaussian for each pair, with the first two moments of both."""
    areas = [part.scales.topk(2, dim=1).values.prod(dim=1) for part in (a, b)]
    paint = torch.stack([part.opacities * area for part, area in zip((a, b), areas, strict=True)]).clamp(min=1e-30)
    share = paint / paint.sum(dim=0)
    mean = share[0, :, None] * a.means + share[1, :, None] * b.means
    covariance = torch.zeros(len(a), 3, 3, dtype=torch.float64, device=mean.device)
    for weight, part in zip(share.double(), (a, b), strict=True):
        axes = (
            quat_to_matrix(torch.nn.functional.normalize(part.quats_wxyz, dim=1)).double()
            * part.scales[:, None].double()
        )
        offset = (part.means - mean).double()
        covariance += weight[:, None, None] * (axes @ axes.mT + offset[:, :, None] * offset[:, None])
    variances, axes = symmetric_eigen(covariance)
    scales = variances.clamp(min=1e-24).sqrt().to(mean.dtype)
    area = scales.topk(2, dim=1).values.prod(dim=1)
    opacity = torch.minimum(paint.sum(dim=0) / area.clamp(min=1e-30), 1 - (1 - a.opacities) * (1 - b.opacities))
    sh = share[0, :, None, None] * a.sh + share[1, :, None, None] * b.sh
    return Gaussians(mean, matrix_to_quat(axes).to(mean.dtype), scales, opacity.clamp(0, 1), sh)


def _joined(a: Gaussians, b: Gaussians) -> Gaussians:
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh")
    return Gaussians(*(torch.cat([getattr(a, name), getattr(b, name)]) for name in fields))
