"""Convert world descriptions to arrays for the ray caster. Deterministic in the spec, its seed and the layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import torch

from flashworld.nano.training.layouts import Layout
from flashworld.nano.training.materials import COLOURS, MATERIALS, NATURAL, PATTERN_VARIANTS, pattern_index
from flashworld.nano.training.shapes import Vector, parts
from flashworld.nano.training.specs import WorldSpec
from flashworld.nano.training.worlds import FIRST_SLOT, PLANES, SLOTS, SOLIDS, WorldBatch

SKIES: dict[str, tuple[Vector, Vector, float]] = {
    "clear": ((0.22, 0.45, 0.85), (0.66, 0.82, 0.96), 0.0),
    "cloudy": ((0.25, 0.48, 0.86), (0.70, 0.83, 0.95), 0.85),
    "overcast": ((0.60, 0.62, 0.66), (0.78, 0.79, 0.81), 0.25),
    "sunset": ((0.45, 0.28, 0.48), (0.98, 0.56, 0.22), 0.2),
    "dawn": ((0.60, 0.62, 0.85), (0.97, 0.68, 0.74), 0.15),
    "night": ((0.02, 0.03, 0.10), (0.08, 0.10, 0.22), 0.0),
}
"""Colours of zenith and horizon, and cloud cover."""
LIGHTS = {"bright": (0.62, 0.46), "dim": (0.42, 0.28)}
"""Intensities of ambient light and sun."""
SUN_AZIMUTH = 2.2
"""Sun azimuth under an exact layout, radians from +x towards +z: behind the camera, to its left."""
EXACT_YAW = 0.3
"""Yaw of things under an exact layout, so that one side is slightly visible."""
STRIP_HALF_LENGTH = 5.0
ON_GROUND = 0.004
"""Height of flat things above the ground, scene units."""


def build_worlds(specs: Sequence[WorldSpec], first_picture: int, pictures: int, layout: Layout) -> WorldBatch:
    """Pack worlds for the ray caster.

    Args:
        specs: Descriptions of the worlds.
        first_picture: Index of the atlas's first image.
        pictures: Number of images in the atlas (at least 1 if any spec is a gallery).
        layout: Placement and size of things.
    """
    packed = [_Builder(spec, first_picture, pictures, layout).arrays() for spec in specs]
    return WorldBatch(*(torch.from_numpy(np.stack([p[f.name] for p in packed])) for f in fields(WorldBatch)))


class _Builder:
    """Builds the arrays of one world."""

    def __init__(self, spec: WorldSpec, first_picture: int, pictures: int, layout: Layout) -> None:
        self.spec, self.first_picture, self.pictures, self.layout = spec, first_picture, pictures, layout
        self.rng = np.random.default_rng([spec.seed, 2])
        surfaces = PLANES + SOLIDS
        self.a: dict[str, np.ndarray] = {
            "plane_normal": np.tile(np.array([0, 1, 0], np.float32), (PLANES, 1)),
            "plane_offset": np.zeros(PLANES, np.float32),
            "plane_u": np.tile(np.array([[1, 0, 0], [0, 0, 1]], np.float32), (PLANES, 1, 1)),
            "plane_active": np.zeros(PLANES, np.float32),
            "center": np.tile(np.array([0, -50, 0], np.float32), (SOLIDS, 1)),
            "half": np.full((SOLIDS, 3), 0.1, np.float32),
            "turn": np.tile(np.array([1, 0], np.float32), (SOLIDS, 1)),
            "active": np.zeros(SOLIDS, np.float32),
            "owner": np.full(SOLIDS, -1, np.int64),
            "texture": np.zeros(surfaces, np.int64),
            "low": np.zeros((surfaces, 3), np.float32),
            "high": np.ones((surfaces, 3), np.float32),
            "tile": np.ones(surfaces, np.float32),
            "sky": np.zeros((3, 3), np.float32),
            "light": np.zeros((3, 3), np.float32),
            "eye": np.zeros(2, np.float32),
        }
        self.used = dict.fromkeys(SLOTS, 0)
        self.eye = self.uniform(*layout.eye)
        self.wall_yaw = self.uniform(-0.35, 0.35) if spec.setting == "room" else 0.0
        self.wall_distance = self.uniform(2.9, 3.8)

    def uniform(self, low: float, high: float) -> float:
        """A uniform random value; the midpoint under an exact layout."""
        return (low + high) / 2 if self.layout.exact else float(self.rng.uniform(low, high))

    def variant(self, count: int) -> int:
        """A random index below `count`; 0 under an exact layout."""
        return 0 if self.layout.exact else int(self.rng.integers(count))

    def arrays(self) -> dict[str, np.ndarray]:
        spec = self.spec
        self.a["eye"][:] = (self.eye, -math.radians(self.uniform(*self.layout.pitch_down_deg)))
        self.light_and_sky()
        self.plane(0, (0, 1, 0), -self.eye, 0.0, spec.ground, spec.ground_colour)
        if spec.setting == "room":
            self.room()
        elif spec.setting == "gallery":
            self.gallery()
        for name in spec.extras:
            _EXTRAS[name](self)
        for number in range(len(spec.things)):
            self.place(number)
        return self.a

    def light_and_sky(self) -> None:
        spec = self.spec
        zenith, horizon, cloud = SKIES[spec.sky or "overcast"]
        wobble = np.array([self.uniform(0.94, 1.05) for _ in range(3)])
        fog = 0.0 if spec.setting != "outdoors" else (0.22 if spec.misty else 0.03)
        self.a["sky"][:] = [np.multiply(zenith, wobble), np.multiply(horizon, wobble), (cloud, 0, fog)]
        self.a["sky"][2, 1] = pattern_index("sky", self.variant(PATTERN_VARIANTS))
        azimuth, height = self.uniform(0, 2 * math.pi), math.radians(self.uniform(35, 70))
        azimuth = SUN_AZIMUTH if self.layout.exact else azimuth
        direction = (math.cos(height) * math.cos(azimuth), math.sin(height), math.cos(height) * math.sin(azimuth))
        ambient, sun = LIGHTS[spec.light]
        tint = (0.85, 0.9, 1.05) if spec.sky == "night" else (1.04, 1.0, 0.95)
        self.a["light"][:] = [direction, tint, (ambient, sun, 0)]

    def paint(self, surface: int, material: str, colour: str | None, *, shade: float = 1.0, patch: float = 1.0) -> None:
        m, layout = MATERIALS[material], self.layout
        natural = m.pattern in NATURAL
        base = np.array(m.colour if m.colour else COLOURS[colour or "grey"], np.float32)
        shift = np.array([self.uniform(-0.02, 0.02) for _ in range(3)], np.float32)
        high = np.clip(base * self.uniform(0.92, 1.06) * shade + shift, 0.02, 0.97)
        contrast = m.contrast * (layout.contrast if natural else 1.0)
        self.a["texture"][surface] = pattern_index(m.pattern, self.variant(PATTERN_VARIANTS))
        # mask 0 is the named colour, 1 a darker shade (lighter for black, which cannot be darkened visibly)
        darker = high * (1 - contrast) if high.max() > 0.15 else high + 0.25 * contrast
        self.a["low"][surface], self.a["high"][surface] = high, darker
        self.a["tile"][surface] = m.tile * self.uniform(0.8, 1.25) * patch * (layout.patch if natural else 1.0)

    def paint_picture(self, surface: int, tile: float) -> None:
        self.a["texture"][surface] = self.first_picture + int(self.rng.integers(self.pictures))
        self.a["low"][surface], self.a["high"][surface] = 0.0, 1.0
        self.a["tile"][surface] = tile

    def plane(self, slot: int, normal: Vector, offset: float, yaw: float, material: str, colour: str | None) -> None:
        """Add a plane; `normal` is turned by `yaw` about y."""
        n = np.array(_turned(normal, yaw), np.float32)
        u = np.array([1, 0, 0], np.float32) if abs(normal[1]) > 0.9 else np.cross([0, 1, 0], n).astype(np.float32)
        u /= np.linalg.norm(u)
        self.a["plane_normal"][slot], self.a["plane_offset"][slot] = n, offset
        self.a["plane_u"][slot] = [u, np.cross(n, u)]
        self.a["plane_active"][slot] = 1
        self.paint(slot, material, colour)

    def room(self) -> None:
        spec, yaw = self.spec, self.wall_yaw
        wall, colour = spec.wall or "plain", spec.wall_colour
        self.plane(1, (0, -1, 0), -self.uniform(0.65, 1.1), yaw, "plain", "white")
        self.plane(2, (0, 0, 1), -self.wall_distance, yaw, wall, colour)
        self.plane(3, (1, 0, 0), -self.uniform(1.5, 2.3), yaw, wall, colour)
        self.plane(4, (-1, 0, 0), -self.uniform(1.5, 2.3), yaw, wall, colour)
        self.plane(5, (0, 0, -1), -self.uniform(1.2, 2.0), yaw, wall, colour)
        for slot in (3, 4, 5):  # one wallpaper per room
            for name in ("texture", "low", "high", "tile"):
                self.a[name][slot] = self.a[name][2]

    def gallery(self) -> None:
        """Textured with images: a single image that fills the view, or a room covered in images."""
        yaw, distance = self.uniform(-0.5, 0.5), self.uniform(1.4, 3.2)
        self.plane(2, (0, self.uniform(-0.15, 0.15), 1), -distance, yaw, "plain", "grey")
        self.paint_picture(2, distance * self.uniform(0.9, 2.2))
        if self.rng.random() < 0.5:
            self.a["plane_active"][0] = 0
        else:
            self.paint_picture(0, self.uniform(0.5, 2.0))
        if self.rng.random() < 0.4:
            self.plane(3, (1, 0, 0), -self.uniform(1.0, 2.0), yaw, "plain", "grey")
            self.plane(4, (-1, 0, 0), -self.uniform(1.0, 2.0), yaw, "plain", "grey")
            self.paint_picture(3, self.uniform(0.6, 2.0))
            self.paint_picture(4, self.uniform(0.6, 2.0))
        self.a["light"][2, :2] = (0.8, 0.25)

    def hills(self) -> None:
        ground = self.spec.ground if self.spec.ground != "water" else "grass"
        for spot in (-0.55, 0.1, 0.7):
            angle, distance = spot + self.uniform(-0.3, 0.3), self.uniform(6.0, 9.0)
            center = (distance * math.sin(angle), -self.eye - 0.1, -distance * math.cos(angle))
            half = (self.uniform(1.8, 4.0), self.uniform(0.6, 1.9), self.uniform(1.0, 2.0))
            self.paint_if(self.solid("ellipsoid", center, half), ground, shade=0.85, patch=4)

    def mountains(self) -> None:
        for spot, size in ((-0.6, 1.0), (0.0, 1.35), (0.55, 0.85)):
            angle, distance = spot + self.uniform(-0.25, 0.25), self.uniform(7.5, 9.5)
            high = size * self.uniform(1.3, 2.1)
            center = (distance * math.sin(angle), -self.eye - 0.1 + high, -distance * math.cos(angle))
            half = (high * self.uniform(1.2, 1.8), high, 1.6)
            self.paint_if(self.solid("cone", center, half), "rock")

    def strip(self, material: str, side: float, half_width: float) -> None:
        """A road or a river: a flat band from below the camera to the horizon."""
        x, yaw = side + self.uniform(-0.3, 0.3), self.uniform(-0.15, 0.15)
        center = (x, -self.eye, -STRIP_HALF_LENGTH * 0.75)
        half = (half_width * self.uniform(0.8, 1.2), ON_GROUND, STRIP_HALF_LENGTH)
        self.paint_if(self.solid("box", center, half, yaw), material)

    def on_wall(
        self, along: float, up: float, out: float, half: tuple[float, float], material: str, colour: str | None = None
    ) -> int | None:
        """Add a flat box on the back wall; returns its surface index."""
        x, _, z = _turned((along, 0.0, -self.wall_distance + out), self.wall_yaw)
        surface = self.solid("box", (x, up, z), (*half, 0.02), self.wall_yaw)
        self.paint_if(surface, material, colour)
        return surface

    def window(self) -> None:
        along, up, wide, high = -0.45 + self.uniform(-0.3, 0.3), 0.28, self.uniform(0.36, 0.5), self.uniform(0.24, 0.34)
        self.on_wall(along, up, 0.02, (wide + 0.05, high + 0.05), "plain", "white")
        self.on_wall(along, up, 0.035, (wide, high), "glass")

    def picture(self) -> None:
        along, up, wide, high = 0.7 + self.uniform(-0.3, 0.3), 0.28, self.uniform(0.22, 0.38), self.uniform(0.18, 0.28)
        self.on_wall(along, up, 0.02, (wide + 0.05, high + 0.05), "bark")
        surface = self.on_wall(along, up, 0.035, (wide, high), "rough", "orange")
        if surface is not None and not self.layout.exact:
            self.paint_picture(surface, self.uniform(0.5, 0.9))

    def rug(self) -> None:
        center = (self.uniform(-0.3, 0.3), -self.eye, -self.uniform(1.5, 2.1))
        half = (self.uniform(0.7, 1.0), ON_GROUND, self.uniform(0.45, 0.6))
        self.paint_if(
            self.solid("cylinder", center, half), "striped", "red" if self.layout.exact else self.any_colour()
        )

    def any_colour(self) -> str:
        return list(COLOURS)[int(self.rng.integers(len(COLOURS)))]

    def solid(self, kind: str, center: Vector, half: Vector, yaw: float = 0.0) -> int | None:
        """Add a solid; returns its surface index, or None if all slots of its kind are taken."""
        if self.used[kind] == SLOTS[kind]:
            return None
        slot = FIRST_SLOT[kind] + self.used[kind]
        self.used[kind] += 1
        self.a["center"][slot], self.a["half"][slot] = center, half
        self.a["turn"][slot] = (math.cos(yaw), math.sin(yaw))
        self.a["active"][slot] = 1
        return PLANES + slot

    def paint_if(
        self, surface: int | None, material: str, colour: str | None = None, *, shade: float = 1.0, patch: float = 1.0
    ) -> None:
        if surface is not None:
            self.paint(surface, material, colour, shade=shade, patch=patch)

    def place(self, number: int) -> None:
        thing, layout = self.spec.things[number], self.layout
        r = layout.radii[thing.size] * self.uniform(0.92, 1.08)
        distance = layout.rows[thing.row] + self.uniform(-0.15, 0.15)
        x = layout.directions[thing.place] * distance + self.uniform(-0.05, 0.05) * distance
        yaw = EXACT_YAW if layout.exact else self.uniform(-0.8, 0.8)
        for part in parts(thing, r):
            dx, dy, dz = _turned(part.offset, yaw)
            surface = self.solid(part.kind, (x + dx, dy - self.eye, dz - distance), part.half, yaw)
            if surface is None:
                continue
            if part.own:
                self.a["owner"][surface - PLANES] = number
            if self.spec.setting == "gallery" and self.rng.random() < 0.5:
                self.paint_picture(surface, self.uniform(0.3, 1.0))
            else:
                self.paint(surface, part.material, part.colour)


def _turned(v: Vector, yaw: float) -> Vector:
    """Rotate a vector from a solid's axes to world axes."""
    c, s = math.cos(yaw), math.sin(yaw)
    return c * v[0] + s * v[2], v[1], -s * v[0] + c * v[2]


_EXTRAS: dict[str, Callable[[_Builder], None]] = {
    "hills": _Builder.hills,
    "mountains": _Builder.mountains,
    "road": lambda world: world.strip("asphalt", -0.35, 0.24),
    "river": lambda world: world.strip("water", 0.55, 0.34),
    "window": _Builder.window,
    "picture": _Builder.picture,
    "rug": _Builder.rug,
}
