"""Claims of a caption that a colour classifier can verify: ground, sky or walls, and the colour of each thing.

A claim holds if its colour covers enough of its image region: the ground at the bottom, the sky at the top, walls above
the middle, things in the third where the caption places them. A claim about a thing is made only if the ground-truth
image shows it (it may be occluded) against a different colour. The regions of things extend a little beyond their
thirds; whether a thing lies within its third is a separate claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from flashworld.nano.training.colour_names import is_named
from flashworld.nano.training.specs import WorldSpec
from flashworld.nano.training.worlds import PLANES, WorldBatch
from flashworld.types import Frame

Part = tuple[float, float, float, float]
"""Top, bottom, left and right as fractions of the image size."""
GROUND: Part = (0.75, 1.0, 0.0, 1.0)
SKY: Part = (0.0, 0.22, 0.0, 1.0)
WALL: Part = (0.2, 0.45, 0.0, 1.0)
COLUMN_PARTS: dict[str, Part] = {
    "left": (0.05, 0.95, 0.02, 0.48), "centre": (0.05, 0.95, 0.28, 0.72), "right": (0.05, 0.95, 0.52, 0.98),
}  # fmt: skip
THIRDS: dict[str, Part] = {
    "left": (0.0, 1.0, 0.0, 1 / 3),
    "centre": (0.0, 1.0, 1 / 3, 2 / 3),
    "right": (0.0, 1.0, 2 / 3, 1.0),
}
SURFACE_SHARE = 0.3
"""Fraction of its region that ground, sky or walls must cover."""
THING_SHARE = 0.25
"""Fraction of the thing's ground-truth pixels that must be found."""
VISIBLE_SHARE = 0.0015
"""Fraction of the ground-truth image that a thing must cover for a claim: 83 pixels of 192 x 288."""
CAMOUFLAGE = 0.5
"""No claim is made if the thing's colour covers more than this times its own pixels in its surroundings."""


@dataclass(frozen=True)
class Claim:
    """One checkable statement.

    Attributes:
        kind: "ground", "sky", "wall", "thing" or "third".
        name: A colour, ground or sky of `colour_names`.
        part: Image region.
        share: Minimum fraction of the region's pixels.
    """

    kind: str
    name: str
    part: Part
    share: float

    def holds(self, picture: Frame) -> bool:
        """Whether the claim holds in an image, uint8 (H, W, 3)."""
        return float(is_named(_cut(picture, self.part) / np.float32(255), self.name).mean()) >= self.share


def claims(spec: WorldSpec, world: WorldBatch, view: Frame, surface: torch.Tensor) -> list[Claim]:
    """The claims of a world's caption.

    Args:
        spec: Description of the world.
        world: The same world as arrays, a batch of one.
        view: Its ground-truth first view, uint8 (H, W, 3).
        surface: Surface indices of that view, from `unseen.surfaces`. (H, W)
    """
    found = [Claim("ground", spec.ground_colour or spec.ground, GROUND, SURFACE_SHARE)]
    if spec.sky:
        found.append(Claim("sky", spec.sky, SKY, SURFACE_SHARE))
    if spec.wall:
        found.append(Claim("wall", spec.wall_colour or spec.wall, WALL, SURFACE_SHARE))
    return found + _thing_claims("thing", COLUMN_PARTS, spec, world, view, surface)


def third_claims(spec: WorldSpec, world: WorldBatch, view: Frame, surface: torch.Tensor) -> list[Claim]:
    """Claims that each thing lies within its third of the image, from its pixels there; arguments as for `claims`."""
    return _thing_claims("third", THIRDS, spec, world, view, surface)


def _thing_claims(
    kind: str, parts: Mapping[str, Part], spec: WorldSpec, world: WorldBatch, view: Frame, surface: torch.Tensor
) -> list[Claim]:
    found = []
    for number, thing in enumerate(spec.things):
        part, mask = parts[thing.column], _pixels(number, world, surface)
        own = int((_cut(mask, part) if kind == "third" else mask).sum())
        around = int((is_named(_cut(view, part) / np.float32(255), thing.colour) & ~_cut(mask, part)).sum())
        if own >= VISIBLE_SHARE * mask.size and around <= CAMOUFLAGE * own:
            found.append(Claim(kind, thing.colour, part, THING_SHARE * own / _cut(mask, part).size))
    return found


def _cut(picture: np.ndarray, part: Part) -> np.ndarray:
    height, width = picture.shape[:2]
    top, bottom, left, right = part
    return picture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def _pixels(number: int, world: WorldBatch, surface: torch.Tensor) -> np.ndarray:
    """Mask of the solids that carry the colour of thing `number` in the first view. Booleans (H, W)"""
    slots = (world.owner[0] == number).nonzero()[:, 0]
    return torch.isin(surface, slots + PLANES).numpy()
