"""What a caption says that a colour classifier can check: ground, sky or walls, and the colour of each thing.

A claim holds when its colour fills enough of the part of the picture where it belongs: the ground at the bottom, the sky
at the top, walls above the middle, things in the third that the caption puts them in. A thing is asked for only if the
world the caption was written for shows it (it may hide behind another) and shows it against another colour. The parts of
things reach a little over their thirds; whether a thing is inside its third is asked for on its own.
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
"""Top, bottom, left and right as shares of the picture."""
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
"""Of its part that ground, sky or walls must fill."""
THING_SHARE = 0.25
"""Of the pixels that the thing has in the caption's own world."""
VISIBLE_SHARE = 0.0015
"""Of the picture that a thing must cover there to be asked for: 83 pixels of 192 x 288."""
CAMOUFLAGE = 0.5
"""A thing is not asked for where its colour covers more than this times its own pixels around it."""


@dataclass(frozen=True)
class Claim:
    """One checkable statement.

    Attributes:
        kind: "ground", "sky", "wall", "thing" or "third".
        name: A colour, ground or sky of `colour_names`.
        part: Where.
        share: Least share of the part's pixels.
    """

    kind: str
    name: str
    part: Part
    share: float

    def holds(self, picture: Frame) -> bool:
        """Whether a picture, uint8 (H, W, 3), shows it."""
        return float(is_named(_cut(picture, self.part) / np.float32(255), self.name).mean()) >= self.share


def claims(spec: WorldSpec, world: WorldBatch, view: Frame, surface: torch.Tensor) -> list[Claim]:
    """What the caption of a world claims.

    Args:
        spec: The world in words.
        world: The world on its own.
        view: Its first view, uint8 (H, W, 3).
        surface: Surface numbers of that view, from `unseen.surfaces`. (H, W)
    """
    found = [Claim("ground", spec.ground_colour or spec.ground, GROUND, SURFACE_SHARE)]
    if spec.sky:
        found.append(Claim("sky", spec.sky, SKY, SURFACE_SHARE))
    if spec.wall:
        found.append(Claim("wall", spec.wall_colour or spec.wall, WALL, SURFACE_SHARE))
    return found + _thing_claims("thing", COLUMN_PARTS, spec, world, view, surface)


def third_claims(spec: WorldSpec, world: WorldBatch, view: Frame, surface: torch.Tensor) -> list[Claim]:
    """The same of things alone, each in its own third of the picture by the pixels that it has there; as for `claims`."""
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
    """Where the first camera sees the solids that have the colour of thing number `number`. Booleans (H, W)"""
    slots = (world.owner[0] == number).nonzero()[:, 0]
    return torch.isin(surface, slots + PLANES).numpy()
