"""A scene description with closed choices only, so that every scene has exactly one canonical prompt."""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = (
    "ball", "cube", "pillar", "cone", "tree", "table", "hut", "snowman", "egg", "block", "tower",
    "house", "pine", "sofa", "chair", "lamp",
)  # fmt: skip
COLOURS = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
PATTERNS = ("plain", "rough", "striped", "dotted", "checkered")
SIZES = ("small", "medium", "large")
COLUMNS = ("left", "centre", "right")
ROWS = ("near", "far")
SETTINGS = ("outdoors", "room", "gallery")
OUTDOOR_GROUNDS = ("grass", "sand", "snow", "stone", "dirt", "water")
ROOM_GROUNDS = ("wood", "tiles", "carpet", "stone")
GROUNDS = (*OUTDOOR_GROUNDS, "wood", "tiles", "carpet")
COLOURED_GROUNDS = ("tiles", "carpet")
"""Grounds with a variable colour; the others have their own."""
WALLS = ("plain", "rough", "brick", "striped", "dotted", "wood")
SKIES = ("clear", "cloudy", "overcast", "sunset", "dawn", "night")
LIGHTS = ("bright", "dim")
EXTRAS = ("hills", "mountains", "road", "river", "window", "picture", "rug")
OUTDOOR_EXTRAS = (("hills", "mountains"), ("road", "river"))
"""At most one of each pair."""
ROOM_EXTRAS = ("window", "picture", "rug")
MAX_THINGS = len(COLUMNS) * len(ROWS)
PLACES = tuple((column, row) for row in ROWS for column in COLUMNS)


@dataclass(frozen=True)
class Thing:
    """The description of one thing on the ground."""

    shape: str
    colour: str
    pattern: str
    size: str
    column: str
    row: str

    @property
    def place(self) -> tuple[str, str]:
        """Column and row."""
        return self.column, self.row


@dataclass(frozen=True)
class SceneWords:
    """A scene description.

    Attributes:
        setting: "outdoors", "room" or "gallery" (images on every surface; has no prompt).
        ground: Material of the ground.
        ground_colour: Its colour, if the material has a variable one.
        wall: Material of the walls (rooms).
        wall_colour: Their colour; None if the material has its own.
        sky: Name of the sky (outdoors).
        light: "bright" or "dim".
        misty: Whether fog fades distant things.
        extras: Of `EXTRAS`, in that order: mountains behind, a road, a window in the wall, ...
        things: At most one at each of `PLACES`, in that order.
    """

    setting: str
    ground: str
    ground_colour: str | None
    wall: str | None
    wall_colour: str | None
    sky: str | None
    light: str
    misty: bool
    extras: tuple[str, ...]
    things: tuple[Thing, ...]
