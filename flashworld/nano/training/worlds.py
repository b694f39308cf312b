"""Procedural worlds: first as words-and-choices (`WorldSpec`), then as arrays a ray-caster can read (`WorldBatch`).

World axes are OpenGL (x right, y up), the first camera stands at the origin looking along -z, the ground lies one eye
height below it. One scene unit is about the distance to the nearest object, so that a move of 0.5 or a 15 degree orbit
of radius 1 shows clear parallax. Everything is a function of the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from flashworld.nano.training.materials import COLOURS, MATERIALS, PATTERN_VARIANTS, pattern_index

BOXES, ELLIPSOIDS, CYLINDERS, CONES = 6, 8, 6, 4
"""Slots of each kind; compilers unroll minima over up to eight."""
PLANES = 6
SOLIDS = BOXES + ELLIPSOIDS + CYLINDERS + CONES
FIRST_SLOT = {"box": 0, "ellipsoid": BOXES, "cylinder": BOXES + ELLIPSOIDS, "cone": BOXES + ELLIPSOIDS + CYLINDERS}
SLOTS = {"box": BOXES, "ellipsoid": ELLIPSOIDS, "cylinder": CYLINDERS, "cone": CONES}
SKY_DISTANCE = 12.0
"""Where the sky is painted, scene units; nothing is farther."""

SHAPES = ("ball", "cube", "pillar", "cone", "tree", "table", "hut", "snowman", "egg", "block", "tower")
SIZES = {"small": 0.13, "medium": 0.20, "large": 0.30}
COLUMNS = {"left": -1.0, "centre": 0.0, "right": 1.0}
ROWS = {"near": 1.35, "far": 2.3}
OUTDOOR_GROUNDS = ("grass", "sand", "snow", "stone", "dirt", "water")
ROOM_GROUNDS = ("wood", "tiles", "carpet", "stone")
ROOM_WALLS = ("plain", "plain", "brick", "striped", "dotted", "wood", "rough")
FLOOR_COLOURS = ("red", "green", "blue", "purple", "brown", "black", "white", "grey", "yellow", "cyan")
WALL_COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "grey")
OBJECT_PATTERNS = ("plain", "plain", "plain", "rough", "striped", "dotted", "checkered")
SKIES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "clear": ((0.22, 0.45, 0.85), (0.66, 0.82, 0.96), 0.0),
    "cloudy": ((0.25, 0.48, 0.86), (0.70, 0.83, 0.95), 0.85),
    "overcast": ((0.60, 0.62, 0.66), (0.78, 0.79, 0.81), 0.25),
    "sunset": ((0.45, 0.28, 0.48), (0.98, 0.56, 0.22), 0.2),
    "dawn": ((0.60, 0.62, 0.85), (0.97, 0.68, 0.74), 0.15),
    "night": ((0.02, 0.03, 0.10), (0.08, 0.10, 0.22), 0.0),
}
"""Zenith, horizon, amount of white cloud."""
LIGHTS = {"bright": (0.62, 0.46), "dim": (0.42, 0.28)}
"""Ambient, sun."""


@dataclass(frozen=True)
class ObjectSpec:
    """One thing in a world, in words."""

    shape: str
    colour: str
    pattern: str
    size: str
    column: str
    row: str


@dataclass(frozen=True)
class WorldSpec:
    """A world in words; with `seed` it fixes every number of the world.

    Attributes:
        seed: Of the jitter that words do not fix.
        setting: "outdoors", "room" or "gallery" (pictures on every surface; has no caption).
        ground: Material of the ground.
        ground_colour: Its colour, where the material leaves it open.
        wall: Material of the walls (rooms).
        wall_colour: Their colour.
        sky: Name of the sky (outdoors).
        light: "bright" or "dim".
        misty: Whether fog fades distant things.
        objects: At most six.
    """

    seed: int
    setting: str
    ground: str
    ground_colour: str | None
    wall: str | None
    wall_colour: str | None
    sky: str | None
    light: str
    misty: bool
    objects: tuple[ObjectSpec, ...]


def sample_spec(seed: int, gallery_share: float = 0.2) -> WorldSpec:
    """The world of a seed, in words."""
    rng = np.random.default_rng([seed, 1])

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    draw = rng.random()
    setting = "gallery" if draw < gallery_share else pick(("outdoors", "room"))
    room = setting == "room"
    ground = pick(ROOM_GROUNDS if room else OUTDOOR_GROUNDS)
    wall = pick(ROOM_WALLS) if room else None
    sky = None if room else pick(tuple(SKIES))
    count = int(rng.choice([0, 1, 2, 3, 4, 5, 6], p=[0.05, 0.2, 0.25, 0.2, 0.15, 0.1, 0.05]))
    places = [(column, row) for row in ROWS for column in COLUMNS]
    order = rng.permutation(len(places))[:count]
    objects = tuple(_sample_object(rng, room, *places[i]) for i in sorted(order))
    return WorldSpec(
        seed=seed,
        setting=setting,
        ground=ground,
        ground_colour=None if MATERIALS[ground].colour else pick(FLOOR_COLOURS),
        wall=wall,
        wall_colour=pick(WALL_COLOURS) if wall and not MATERIALS[wall].colour else None,
        sky=sky,
        light="dim" if sky == "night" or rng.random() < 0.2 else "bright",
        misty=bool(not room and rng.random() < 0.15),
        objects=objects,
    )


def _sample_object(rng: np.random.Generator, room: bool, column: str, row: str) -> ObjectSpec:
    shapes = [s for s in SHAPES if not (room and s in ("tree", "hut", "snowman"))]
    shape = shapes[int(rng.integers(len(shapes)))]
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    if shape == "tree" and rng.random() < 0.7:
        colour = "green"
    if shape == "snowman":
        colour = "white"
    solid = shape in ("ball", "cube", "pillar", "cone", "egg", "block", "tower")
    pattern = OBJECT_PATTERNS[int(rng.integers(len(OBJECT_PATTERNS)))] if solid else "plain"
    return ObjectSpec(shape, colour, pattern, list(SIZES)[int(rng.integers(len(SIZES)))], column, row)


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
        texture: Index in the atlas. (W, PLANES + SOLIDS)
        low: Albedo where the texture is 0. (W, PLANES + SOLIDS, 3)
        high: Albedo where it is 1. (W, PLANES + SOLIDS, 3)
        tile: Scene units a texture. (W, PLANES + SOLIDS)
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


def build_worlds(specs: Sequence[WorldSpec], first_picture: int, pictures: int) -> WorldBatch:
    """Pack worlds for the ray-caster.

    Args:
        specs: The worlds.
        first_picture: Index of the atlas's first picture.
        pictures: How many pictures it holds (at least 1 where a gallery is among the specs).
    """
    packed = [_Builder(spec, first_picture, pictures).arrays() for spec in specs]
    return WorldBatch(*(torch.from_numpy(np.stack([p[f.name] for p in packed])) for f in fields(WorldBatch)))


class _Builder:
    """Writes one world into arrays."""

    def __init__(self, spec: WorldSpec, first_picture: int, pictures: int) -> None:
        self.spec, self.first_picture, self.pictures = spec, first_picture, pictures
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
            "texture": np.zeros(surfaces, np.int64),
            "low": np.zeros((surfaces, 3), np.float32),
            "high": np.ones((surfaces, 3), np.float32),
            "tile": np.ones(surfaces, np.float32),
            "sky": np.zeros((3, 3), np.float32),
            "light": np.zeros((3, 3), np.float32),
            "eye": np.zeros(2, np.float32),
        }
        self.used = dict.fromkeys(SLOTS, 0)
        self.eye = self.uniform(0.42, 0.52)
        self.wall_yaw = self.uniform(-0.35, 0.35) if spec.setting == "room" else 0.0

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def arrays(self) -> dict[str, np.ndarray]:
        spec = self.spec
        self.a["eye"][:] = (self.eye, -math.radians(self.uniform(2, 12)))
        self.light_and_sky()
        self.plane(0, (0, 1, 0), -self.eye, 0.0, spec.ground, spec.ground_colour)
        if spec.setting == "room":
            self.room()
        elif spec.setting == "gallery":
            self.gallery()
        elif self.rng.random() < 0.6:
            self.hills()
        for thing in spec.objects:
            self.place(thing)
        return self.a

    def light_and_sky(self) -> None:
        spec = self.spec
        zenith, horizon, cloud = SKIES[spec.sky or "overcast"]
        wobble = self.rng.uniform(0.94, 1.05, size=3)
        fog = 0.0 if spec.setting != "outdoors" else (0.22 if spec.misty else 0.03)
        self.a["sky"][:] = [np.multiply(zenith, wobble), np.multiply(horizon, wobble), (cloud, 0, fog)]
        self.a["sky"][2, 1] = pattern_index("sky", int(self.rng.integers(PATTERN_VARIANTS)))
        azimuth, height = self.uniform(0, 2 * math.pi), math.radians(self.uniform(35, 70))
        direction = (math.cos(height) * math.cos(azimuth), math.sin(height), math.cos(height) * math.sin(azimuth))
        ambient, sun = LIGHTS[spec.light]
        tint = (0.85, 0.9, 1.05) if spec.sky == "night" else (1.04, 1.0, 0.95)
        self.a["light"][:] = [direction, tint, (ambient, sun, 0)]

    def paint(self, surface: int, material: str, colour: str | None, *, shade: float = 1.0) -> None:
        m = MATERIALS[material]
        base = np.array(m.colour if m.colour else COLOURS[colour or "grey"], np.float32)
        high = np.clip(base * self.rng.uniform(0.92, 1.06) * shade + self.rng.uniform(-0.02, 0.02, 3), 0.02, 0.97)
        self.a["texture"][surface] = pattern_index(m.pattern, int(self.rng.integers(PATTERN_VARIANTS)))
        # masks darken: 0 is the named colour, 1 the darker shade (lighter for black, which cannot darken visibly)
        darker = high * (1 - m.contrast) if high.max() > 0.15 else high + 0.25 * m.contrast
        self.a["low"][surface], self.a["high"][surface] = high, darker
        self.a["tile"][surface] = m.tile * self.uniform(0.8, 1.25)

    def paint_picture(self, surface: int, tile: float) -> None:
        self.a["texture"][surface] = self.first_picture + int(self.rng.integers(self.pictures))
        self.a["low"][surface], self.a["high"][surface] = 0.0, 1.0
        self.a["tile"][surface] = tile

    def plane(
        self,
        slot: int,
        normal: tuple[float, float, float],
        offset: float,
        yaw: float,
        material: str,
        colour: str | None,
    ) -> None:
        """Add a plane; `normal` is turned by `yaw` about y."""
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, z = normal
        n = np.array([c * x + s * z, y, -s * x + c * z], np.float32)
        u = np.array([1, 0, 0], np.float32) if abs(y) > 0.9 else np.cross([0, 1, 0], n).astype(np.float32)
        u /= np.linalg.norm(u)
        self.a["plane_normal"][slot], self.a["plane_offset"][slot] = n, offset
        self.a["plane_u"][slot] = [u, np.cross(n, u)]
        self.a["plane_active"][slot] = 1
        self.paint(slot, material, colour)

    def room(self) -> None:
        spec, yaw = self.spec, self.wall_yaw
        wall, colour = spec.wall or "plain", spec.wall_colour
        self.plane(1, (0, -1, 0), -self.uniform(0.65, 1.1), yaw, "plain", "white")
        self.plane(2, (0, 0, 1), -self.uniform(2.9, 3.8), yaw, wall, colour)
        self.plane(3, (1, 0, 0), -self.uniform(1.5, 2.3), yaw, wall, colour)
        self.plane(4, (-1, 0, 0), -self.uniform(1.5, 2.3), yaw, wall, colour)
        self.plane(5, (0, 0, -1), -self.uniform(1.2, 2.0), yaw, wall, colour)
        for slot in (3, 4, 5):  # one room, one wallpaper
            for name in ("texture", "low", "high", "tile"):
                self.a[name][slot] = self.a[name][2]

    def gallery(self) -> None:
        """Pictures: one filling the view like a photograph on a wall, or a whole room of them."""
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
        for _ in range(int(self.rng.integers(1, 4))):
            angle, distance = self.uniform(-0.9, 0.9), self.uniform(6.0, 9.5)
            center = (distance * math.sin(angle), -self.eye - 0.1, -distance * math.cos(angle))
            slot = self.solid(
                "ellipsoid", center, (self.uniform(1.8, 4.0), self.uniform(0.6, 1.9), self.uniform(1.0, 2.0))
            )
            if slot is not None:
                self.paint(slot, self.spec.ground if self.spec.ground != "water" else "grass", None, shade=0.85)
                self.a["tile"][slot] *= 4

    def solid(
        self, kind: str, center: tuple[float, float, float], half: tuple[float, float, float], yaw: float = 0.0
    ) -> int | None:
        """Add a solid; its surface number, or None when its kind is used up."""
        if self.used[kind] == SLOTS[kind]:
            return None
        slot = FIRST_SLOT[kind] + self.used[kind]
        self.used[kind] += 1
        self.a["center"][slot], self.a["half"][slot] = center, half
        self.a["turn"][slot] = (math.cos(yaw), math.sin(yaw))
        self.a["active"][slot] = 1
        return PLANES + slot

    def place(self, thing: ObjectSpec) -> None:
        r = SIZES[thing.size] * self.uniform(0.92, 1.08)
        distance = ROWS[thing.row] + self.uniform(-0.15, 0.15)
        x = COLUMNS[thing.column] * 0.40 * distance + self.uniform(-0.05, 0.05) * distance
        yaw, ground = self.uniform(-0.8, 0.8), -self.eye
        for kind, (dx, dy, dz), half, paint in _parts(thing, r):
            slot = self.solid(kind, (x + dx, ground + dy, -distance + dz), half, yaw)
            if slot is None:
                continue
            if self.spec.setting == "gallery" and self.rng.random() < 0.5:
                self.paint_picture(slot, self.uniform(0.3, 1.0))
            else:
                self.paint(slot, *paint)


_Part = tuple[str, tuple[float, float, float], tuple[float, float, float], tuple[str, str | None]]


def _parts(thing: ObjectSpec, r: float) -> list[_Part]:
    """Solids of an object of nominal radius r standing on the ground at its own origin."""
    own = (thing.pattern, thing.colour)
    table: dict[str, list[_Part]] = {
        "ball": [("ellipsoid", (0, r, 0), (r, r, r), own)],
        "egg": [("ellipsoid", (0, 1.3 * r, 0), (0.85 * r, 1.3 * r, 0.85 * r), own)],
        "cube": [("box", (0, 0.9 * r, 0), (0.9 * r, 0.9 * r, 0.9 * r), own)],
        "block": [("box", (0, 0.5 * r, 0), (1.3 * r, 0.5 * r, 0.8 * r), own)],
        "tower": [("box", (0, 1.7 * r, 0), (0.6 * r, 1.7 * r, 0.6 * r), own)],
        "pillar": [("cylinder", (0, 1.6 * r, 0), (0.55 * r, 1.6 * r, 0.55 * r), own)],
        "cone": [("cone", (0, 1.1 * r, 0), (0.95 * r, 1.1 * r, 0.95 * r), own)],
        "tree": [
            ("cylinder", (0, 0.8 * r, 0), (0.18 * r, 0.8 * r, 0.18 * r), ("bark", None)),
            ("ellipsoid", (0, 2.3 * r, 0), (r, 1.05 * r, r), ("rough", thing.colour)),
        ],
        "table": [
            ("cylinder", (0, 0.5 * r, 0), (0.25 * r, 0.5 * r, 0.25 * r), own),
            ("box", (0, 1.1 * r, 0), (1.4 * r, 0.12 * r, 1.0 * r), own),
        ],
        "hut": [
            ("cylinder", (0, 0.7 * r, 0), (r, 0.7 * r, r), own),
            ("cone", (0, 2.0 * r, 0), (1.35 * r, 0.65 * r, 1.35 * r), ("bark", None)),
        ],
        "snowman": [
            ("ellipsoid", (0, 0.8 * r, 0), (0.85 * r, 0.8 * r, 0.85 * r), own),
            ("ellipsoid", (0, 2.0 * r, 0), (0.55 * r, 0.55 * r, 0.55 * r), own),
        ],
    }
    return table[thing.shape]
