"""The solids that make up things and extras."""

from __future__ import annotations

from typing import NamedTuple

from flashworld.nano.language.scene import Thing

Vector = tuple[float, float, float]


class Part(NamedTuple):
    """One solid of a thing.

    Attributes:
        kind: "box", "ellipsoid", "cylinder" or "cone".
        offset: Offset of its centre from the thing's position, in the thing's axes.
        half: Half sizes.
        material: Name of its material.
        colour: Name of its colour; None: the material's fixed colour.
        own: Whether it has the thing's colour.
    """

    kind: str
    offset: Vector
    half: Vector
    material: str
    colour: str | None
    own: bool = True


def parts(thing: Thing, r: float) -> list[Part]:
    """Solids of a thing of nominal radius r on the ground at its local origin, facing +z."""
    return [
        Part(
            kind,
            (offset[0] * r, offset[1] * r, offset[2] * r),
            (half[0] * r, half[1] * r, half[2] * r),
            thing.pattern if other is None else other,
            thing.colour if other is None else None,
            other is None,
        )
        for kind, offset, half, other in _TABLE[thing.shape]
    ]


def part_kinds(thing: Thing) -> list[str]:
    """Kinds of the solids that a thing needs."""
    return [row[0] for row in _TABLE[thing.shape]]


def extra_kinds(name: str) -> list[str]:
    """Kinds of the solids that an extra needs."""
    return list(_EXTRA_KINDS[name])


_TABLE: dict[str, list[tuple[str, Vector, Vector, str | None]]] = {
    "ball": [("ellipsoid", (0, 1, 0), (1, 1, 1), None)],
    "egg": [("ellipsoid", (0, 1.3, 0), (0.85, 1.3, 0.85), None)],
    "cube": [("box", (0, 0.9, 0), (0.9, 0.9, 0.9), None)],
    "block": [("box", (0, 0.5, 0), (1.3, 0.5, 0.8), None)],
    "tower": [("box", (0, 1.7, 0), (0.6, 1.7, 0.6), None)],
    "pillar": [("cylinder", (0, 1.6, 0), (0.55, 1.6, 0.55), None)],
    "cone": [("cone", (0, 1.1, 0), (0.95, 1.1, 0.95), None)],
    "tree": [
        ("cylinder", (0, 0.8, 0), (0.18, 0.8, 0.18), "bark"),
        ("ellipsoid", (0, 2.3, 0), (1, 1.05, 1), None),
    ],
    "pine": [
        ("cylinder", (0, 0.35, 0), (0.18, 0.35, 0.18), "bark"),
        ("cone", (0, 2.0, 0), (0.85, 1.4, 0.85), None),
    ],
    "table": [
        ("cylinder", (0, 0.5, 0), (0.25, 0.5, 0.25), None),
        ("box", (0, 1.1, 0), (1.4, 0.12, 1.0), None),
    ],
    "hut": [
        ("cylinder", (0, 0.7, 0), (1, 0.7, 1), None),
        ("cone", (0, 2.0, 0), (1.35, 0.65, 1.35), "bark"),
    ],
    "house": [
        ("box", (0, 0.8, 0), (1.1, 0.8, 0.9), None),
        ("cone", (0, 2.2, 0), (1.6, 0.6, 1.4), "roof"),
        ("box", (0, 0.45, 0.9), (0.22, 0.45, 0.03), "bark"),
    ],
    "snowman": [
        ("ellipsoid", (0, 0.8, 0), (0.85, 0.8, 0.85), None),
        ("ellipsoid", (0, 2.0, 0), (0.55, 0.55, 0.55), None),
    ],
    "sofa": [
        ("box", (0, 0.4, 0.1), (1.5, 0.4, 0.7), None),
        ("box", (0, 0.85, -0.6), (1.5, 0.85, 0.2), None),
    ],
    "chair": [
        ("box", (0, 0.45, 0), (0.65, 0.45, 0.65), None),
        ("box", (0, 1.1, -0.55), (0.65, 1.1, 0.12), None),
    ],
    "lamp": [
        ("cylinder", (0, 1.2, 0), (0.1, 1.2, 0.1), "asphalt"),
        ("cone", (0, 2.6, 0), (0.8, 0.55, 0.8), None),
    ],
}
_EXTRA_KINDS = {
    "hills": ("ellipsoid",) * 3,
    "mountains": ("cone",) * 3,
    "road": ("box",),
    "river": ("box",),
    "window": ("box", "box"),
    "picture": ("box", "box"),
    "rug": ("cylinder",),
}
