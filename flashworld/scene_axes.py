"""A guess at which way is up in a scene, from its Gaussians alone.

Floors, lawns and tables are large flat areas whose normals point up or down, and they lie at the bottom of a scene. Scenes
of this project lie in front of their first camera, which is at the origin and looks along -z with y up. Nothing is claimed
where these two contradict each other or where neither is found: in a room whose floor and ceiling look alike, for example, or
in a scene tilted by more than 20 degrees. A single large wall seen from one side cannot be told from ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from flashworld.cameras import quat_to_matrix
from flashworld.gaussians import Gaussians, bounding_box

Confidence = Literal["clear", "likely", "none"]
SAMPLE = 100_000
"""Gaussians measured; of a larger scene every so many."""
INVISIBLE = 1 / 255
LARGEST_AREAS = 0.95
"""Quantile that limits the weight of large Gaussians, such as those of a sky."""
FLAT, ROUND = 0.5, 0.25
"""A Gaussian has a normal if its shortest scale is below FLAT times the middle one, which is above ROUND times the longest."""
FEWEST = 50
"""Gaussians from which anything is concluded, in the scene or among those that face along an axis."""
FACING_COS = math.cos(math.radians(20))
"""A normal within 20 degrees of an axis lies along it: so do 6 % of normals in random directions."""
FACING_SHARE = 0.18
"""Least share of the flat area that lies along the up axis, three times that of random directions."""
OVER_GROUND, OVER_WALLS = 2.0, 0.75
"""Least share, as a multiple of that of another axis whose flat area lies at one end, too, and of one whose area does not: the
walls of a room may be larger than its floor, but lie opposite each other."""
LOW_END, HIGH_END = 0.35, 0.65
"""Mean place of a flat area along its normal, 0 and 1 being the ends of the scene: at one end if below or above these."""
AHEAD_COS = math.cos(math.radians(75))
AHEAD_SHARE = 0.99
"""Share of the scene within 75 degrees of the direction in which a camera at the origin looks."""
TURNS = {
    "-y": "180 degrees about x",
    "+z": "-90 degrees about x",
    "-z": "90 degrees about x",
    "+x": "90 degrees about z",
    "-x": "-90 degrees about z",
}
"""Rotations after which y is up."""


@dataclass(frozen=True)
class AxesGuess:
    """Which way is up in a scene as it was read.

    Attributes:
        up: "+y" where y points up, "-z" where z points down, and so on; empty if it is not clear.
        confidence: "clear" if ground and position agree, "likely" for one of them, "none" without an answer.
        evidence: What was found, a few words each.
        advice: What to do about it; empty if y is up or nothing is clear.
    """

    up: str
    confidence: Confidence
    evidence: list[str]
    advice: str

    @property
    def words(self) -> str:
        """The guess as one line."""
        if not self.up:
            return "; ".join(["no clear up direction", *self.evidence])
        answer = f"{self.up[1]} {'up' if self.up[0] == '+' else 'down'}"
        answer += " (as read)" if self.up == "+y" else ""
        return f"{answer}, {self.confidence}: {'; '.join([*self.evidence, *filter(None, [self.advice])])}"


@dataclass(frozen=True)
class _Flats:
    """Flat areas by the axis that they face along.

    Attributes:
        shares: Of all flat area. Three numbers.
        places: Mean place between the lowest (0) and the highest (1) end of the scene. Three numbers.
        counts: Gaussians. Three numbers.
    """

    shares: list[float]
    places: list[float]
    counts: list[int]

    def at_one_end(self, axis: int) -> bool:
        """Whether these areas could be ground: enough of them, and at one end of the scene."""
        enough = self.counts[axis] >= FEWEST and self.shares[axis] >= FACING_SHARE
        return enough and not LOW_END <= self.places[axis] <= HIGH_END

    def leads(self, axis: int) -> bool:
        """Whether enough area faces along this axis, compared with each of the others."""
        others = [k for k in range(3) if k != axis]
        least = [self.shares[k] * (OVER_GROUND if self.at_one_end(k) else OVER_WALLS) for k in others]
        return self.shares[axis] >= max(least)


def guess_axes(scene: Gaussians) -> AxesGuess:
    """Guess which way is up.

    Args:
        scene: Any axes, at least one Gaussian.
    """
    low, high = bounding_box(scene)
    scene = scene[:: math.ceil(len(scene) / SAMPLE)]
    scene = scene[((scene.means >= low) & (scene.means <= high)).all(dim=1) & (scene.opacities >= INVISIBLE)]
    if len(scene) < FEWEST:
        return AxesGuess("", "none", [], "")
    areas = scene.scales.topk(2, dim=1).values.prod(dim=1)
    limit = areas.sort().values[int(LARGEST_AREAS * (len(areas) - 1))]
    weights = (scene.opacities * areas.clamp(max=limit)).double()
    flats = _flats(scene, weights, low, high)
    position = _up_by_position(scene.means, weights)
    return _judged(position, _up_by_ground(flats, (1,) if position else (0, 1, 2)), flats)


def _judged(position: str, ground: str, flats: _Flats) -> AxesGuess:
    """Weigh both kinds of evidence; either may be empty."""
    evidence = []
    if position:
        sign = "-" if position == "+y" else "+"
        evidence.append(f"the whole scene lies in front of a camera at the origin that looks along {sign}z")
    if ground:
        axis = "xyz".index(ground[1])
        end = "low" if ground[0] == "+" else "high"
        evidence.append(f"{flats.shares[axis]:.0%} of the flat area faces along {ground[1]} and lies at its {end} end")
    against = position and not ground and flats.at_one_end(2) and flats.leads(2)
    if against:
        evidence.append(f"{flats.shares[2]:.0%} of the flat area faces along z and could be ground or a wall")
    up = position or ground
    if not up or against or (position and ground and position != ground):
        return AxesGuess("", "none", evidence, "")
    advice = f"turn it by {TURNS[up]} in the viewer" if up in TURNS else ""
    if up == "-y":
        advice = f"its file has probably OpenGL axes where its format has OpenCV ones, or the reverse; {advice}"
    return AxesGuess(up, "clear" if position and ground else "likely", evidence, advice)


def _up_by_position(means: torch.Tensor, weights: torch.Tensor) -> str:
    """The up axis of the camera at the origin in front of which everything lies; empty if the scene is elsewhere."""
    ahead = -means[:, 2] > AHEAD_COS * means.norm(dim=1)
    behind = means[:, 2] > AHEAD_COS * means.norm(dim=1)
    shares = [float(weights[side].sum() / weights.sum()) for side in (ahead, behind)]
    return next((up for up, share in zip(("+y", "-y"), shares, strict=True) if share >= AHEAD_SHARE), "")


def _up_by_ground(flats: _Flats, axes: tuple[int, ...]) -> str:
    """The axis that points away from the ground; empty if no flat area looks like ground.

    Args:
        flats: The flat areas.
        axes: Those considered. A single one needs no lead: what is ahead of a camera may well have larger walls than ground.
    """
    for axis in axes:
        if flats.at_one_end(axis) and (len(axes) == 1 or flats.leads(axis)):
            return f"{'+' if flats.places[axis] < LOW_END else '-'}{'xyz'[axis]}"
    return ""


def _flats(scene: Gaussians, weights: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> _Flats:
    """Measure the flat Gaussians; the weights are the areas that they cover. (N,)"""
    short, middle, long = scene.scales.sort(dim=1).values.unbind(1)
    flat = (short < FLAT * middle) & (middle > ROUND * long)
    scene, weights = scene[flat], weights[flat]
    axes = quat_to_matrix(scene.quats_wxyz)
    normals = axes[torch.arange(len(axes)), :, scene.scales.argmin(dim=1)]
    facing = (normals.abs() > FACING_COS).to(weights)
    area, sums = weights.sum(), weights @ facing
    places = (scene.means - low) / (high - low).clamp(min=1e-12)
    return _Flats(
        (sums / area.clamp(min=1e-30)).tolist(),
        ((weights[:, None] * places * facing).sum(dim=0) / sums.clamp(min=1e-30)).tolist(),
        facing.sum(dim=0).long().tolist(),
    )
