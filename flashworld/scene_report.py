"""Statistics of a scene, and anything suspicious about it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch

from flashworld.gaussians import Gaussians, bounding_box
from flashworld.scene_axes import AxesGuess, guess_axes

OPACITY_BINS = 10
INVISIBLE = 1 / 255
"""Opacity below which no renderer draws a Gaussian."""
STRETCHED = 1000.0
"""Ratio of the largest to the second-largest scale; Gaussians beyond it are needles, visible as spikes."""
FAR_FACTOR = 20.0
"""Times the middle 98 % of the scene's extent."""
LARGE_SHARE = 0.25
"""Share of the scene's extent: a Gaussian of that size hides or tints everything."""
SHARE_TOLD = 0.05
"""Smallest share of the Gaussians that is reported."""

Triple = tuple[float, float, float]
Bin = tuple[float, float, int]
"""Lower edge, upper edge, count."""


@dataclass(frozen=True)
class SceneReport:
    """Statistics of a scene. Scene units, axes as the scene was read: right, up, back unless `axes` says otherwise.

    Attributes:
        count: Gaussians.
        sh_degree: 0 to 3.
        lowest: Corner of the box around all centres.
        highest: The opposite corner.
        middle_lowest: Corner of the box that leaves out 1 % of the centres at each end of each axis.
        middle_highest: The opposite corner.
        opacity_histogram: Ten bins from 0 to 1.
        scale_histogram: Of each Gaussian's largest standard deviation, in decades.
        axes: A guess at which way is up.
        odd: Suspicious findings, one sentence each.
    """

    count: int
    sh_degree: int
    lowest: Triple
    highest: Triple
    middle_lowest: Triple
    middle_highest: Triple
    opacity_histogram: list[Bin]
    scale_histogram: list[Bin]
    axes: AxesGuess
    odd: list[str]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def inspect_scene(scene: Gaussians) -> SceneReport:
    """Measure a scene.

    Args:
        scene: OpenGL axes, at least one Gaussian.
    """
    low, high = bounding_box(scene)
    return SceneReport(
        len(scene),
        scene.sh_degree,
        _triple(scene.means.amin(dim=0)),
        _triple(scene.means.amax(dim=0)),
        _triple(low),
        _triple(high),
        _histogram(scene.opacities, [i / OPACITY_BINS for i in range(OPACITY_BINS + 1)]),
        _decades(scene.scales.amax(dim=1)),
        guess_axes(scene),
        list(_oddities(scene, float((high - low).max()))),
    )


def _triple(values: torch.Tensor) -> Triple:
    x, y, z = values.tolist()
    return x, y, z


def _histogram(values: torch.Tensor, edges: list[float]) -> list[Bin]:
    inner = torch.tensor(edges[1:-1], dtype=values.dtype)
    counts = torch.bincount(torch.bucketize(values.cpu(), inner, right=True), minlength=len(edges) - 1).tolist()
    return list(zip(edges, edges[1:], counts, strict=False))


def _decades(sizes: torch.Tensor) -> list[Bin]:
    lowest, highest = (math.floor(math.log10(max(float(v), 1e-12))) for v in (sizes.min(), sizes.max()))
    return _histogram(sizes.double(), [10.0**power for power in range(lowest, highest + 2)])


def _oddities(scene: Gaussians, extent: float) -> list[str]:
    sizes = scene.scales.sort(dim=1, descending=True).values
    middle = scene.means.median(dim=0).values
    distance = (scene.means - middle).abs().amax(dim=1)
    cases = {
        "are too faint to be drawn (opacity below 1/255)": scene.opacities < INVISIBLE,
        "are needles (1000 times as long as wide)": sizes[:, 0] > STRETCHED * sizes[:, 1],
    }
    found = []
    for words, chosen in cases.items():
        share = float(chosen.double().mean())
        if share > SHARE_TOLD:
            found.append(f"{share:.0%} of the Gaussians {words}")
    if extent > 0:
        far, large = int((distance > FAR_FACTOR * extent).sum()), int((sizes[:, 0] > LARGE_SHARE * extent).sum())
        if far:
            found.append(f"{far} Gaussians lie more than {FAR_FACTOR:g} times the scene's extent away")
        if large:
            found.append(f"{large} Gaussians are larger than a quarter of the scene")
    if bool((scene.means == scene.means[:1]).all()) and len(scene) > 1:
        found.append("all Gaussians lie in one place")
    if float(scene.opacities.min()) == float(scene.opacities.max()) and len(scene) > 1:
        found.append(f"all opacities are {float(scene.opacities[0]):.3g}")
    return found
