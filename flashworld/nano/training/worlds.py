"""Procedural worlds as arrays for the ray caster (`WorldBatch`).

World axes are OpenGL (x right, y up), the first camera stands at the origin looking along -z, the ground lies one eye
height below it. One scene unit is about the distance to the nearest object, so that a translation of 0.5 or a 15 degree
orbit of radius 1 produces clear parallax. `specs` samples descriptions of worlds, `builder` converts them to arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

BOXES, ELLIPSOIDS, CYLINDERS, CONES = 12, 8, 7, 6
"""Slots of each kind."""
PLANES = 6
SOLIDS = BOXES + ELLIPSOIDS + CYLINDERS + CONES
FIRST_SLOT = {"box": 0, "ellipsoid": BOXES, "cylinder": BOXES + ELLIPSOIDS, "cone": BOXES + ELLIPSOIDS + CYLINDERS}
SLOTS = {"box": BOXES, "ellipsoid": ELLIPSOIDS, "cylinder": CYLINDERS, "cone": CONES}
SKY_DISTANCE = 12.0
"""Distance of the sky, scene units; no surface is farther."""


@dataclass(frozen=True)
class WorldBatch:
    """W worlds as tensors; planes and solids share one list of surfaces, planes first.

    Attributes:
        plane_normal: Unit, towards the visible side. (W, PLANES, 3)
        plane_offset: Points p of the plane have normal . p = offset. (W, PLANES)
        plane_u: Texture axes in the plane. (W, PLANES, 2, 3)
        plane_active: 1 or 0. (W, PLANES)
        center: Of the solids, scene units. (W, SOLIDS, 3)
        half: Half sizes. (W, SOLIDS, 3)
        turn: Cosine and sine of the yaw. (W, SOLIDS, 2)
        active: 1 or 0. (W, SOLIDS)
        owner: Index of the spec's thing whose colour the solid has; -1: none. (W, SOLIDS)
        texture: Index in the atlas. (W, PLANES + SOLIDS)
        low: Albedo where the texture is 0. (W, PLANES + SOLIDS, 3)
        high: Albedo where it is 1. (W, PLANES + SOLIDS, 3)
        tile: Scene units per texture. (W, PLANES + SOLIDS)
        sky: Zenith, horizon, (cloud amount, cloud texture, fog density). (W, 3, 3)
        light: Direction to the light, its colour, (ambient, sun, unused). (W, 3, 3)
        eye: Height of the first camera above the ground, and its pitch in radians (down is negative). (W, 2)
    """

    plane_normal: torch.Tensor
    plane_offset: torch.Tensor
    plane_u: torch.Tensor
    plane_active: torch.Tensor
    center: torch.Tensor
    half: torch.Tensor
    turn: torch.Tensor
    active: torch.Tensor
    owner: torch.Tensor
    texture: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    tile: torch.Tensor
    sky: torch.Tensor
    light: torch.Tensor
    eye: torch.Tensor

    def __len__(self) -> int:
        return self.eye.shape[0]

    def __getitem__(self, index: torch.Tensor | slice) -> WorldBatch:
        return WorldBatch(*(getattr(self, f.name)[index] for f in fields(self)))

    def to(self, device: torch.device | str) -> WorldBatch:
        """The same worlds on another device."""
        return WorldBatch(*(getattr(self, f.name).to(device) for f in fields(self)))
