"""Random scene descriptions, deterministic in the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flashworld.nano.language.parser import understood
from flashworld.nano.language.scene import (
    COLOURED_GROUNDS,
    COLOURS,
    OUTDOOR_EXTRAS,
    OUTDOOR_GROUNDS,
    PLACES,
    ROOM_EXTRAS,
    ROOM_GROUNDS,
    SHAPES,
    SIZES,
    SKIES,
    SceneWords,
    Thing,
)
from flashworld.nano.training.shapes import extra_kinds, part_kinds
from flashworld.nano.training.worlds import SLOTS

ROOM_WALLS = ("plain", "plain", "brick", "striped", "dotted", "wood", "rough")
FLOOR_COLOURS = ("red", "green", "blue", "purple", "brown", "black", "white", "grey", "yellow", "cyan")
WALL_COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "grey")
PATTERN_DRAW = ("plain", "plain", "plain", "rough", "striped", "dotted", "checkered")
THING_COUNTS = (0.05, 0.2, 0.25, 0.2, 0.15, 0.1, 0.05)
"""Relative frequency of scenes with 0, 1, ... 6 things."""
USUALLY_OUTDOORS = ("tree", "hut", "snowman", "house", "pine")
USUALLY_INDOORS = ("sofa", "lamp", "chair")
UNUSUAL_SHARE = 0.12
"""Probability that a thing may be one that is unusual in the setting."""
BACKDROP_SHARE, STRIP_SHARE, ROOM_EXTRA_SHARE = 0.5, 0.3, 0.35


@dataclass(frozen=True)
class WorldSpec(SceneWords):
    """A scene description; together with `seed` it determines every parameter of a world.

    Attributes:
        seed: Seed of everything that the description leaves open.
    """

    seed: int = 0


def sample_spec(seed: int, gallery_share: float = 0.2, extra_rooms: float = 0.0) -> WorldSpec:
    """Sample a world description from a seed.

    Args:
        seed: Random seed.
        gallery_share: Share of galleries; the other worlds are rooms and landscapes in equal parts.
        extra_rooms: Share of landscapes to replace with rooms.
    """
    rng = np.random.default_rng([seed, 1])

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    draw = rng.random()
    setting = "gallery" if draw < gallery_share else pick(("outdoors", "room"))
    if setting == "outdoors" and draw - gallery_share < extra_rooms * (1 - gallery_share):
        setting = "room"
    room = setting == "room"
    ground = pick(ROOM_GROUNDS if room else OUTDOOR_GROUNDS)
    wall = pick(ROOM_WALLS) if room else None
    sky = None if room else pick(SKIES)
    count = int(rng.choice(len(THING_COUNTS), p=THING_COUNTS))
    order = rng.permutation(len(PLACES))[:count]
    extras = () if setting == "gallery" else _sample_extras(rng, room)
    things = [_sample_thing(rng, room, *PLACES[i]) for i in sorted(order)]
    return WorldSpec(
        seed=seed,
        setting=setting,
        ground=ground,
        ground_colour=pick(FLOOR_COLOURS) if ground in COLOURED_GROUNDS else None,
        wall=wall,
        wall_colour=pick(WALL_COLOURS) if wall and wall != "wood" else None,
        sky=sky,
        light="dim" if sky == "night" or rng.random() < 0.2 else "bright",
        misty=bool(not room and rng.random() < 0.15),
        extras=extras,
        things=that_fit(things, extras),
    )


def empty_prompt_spec(seed: int) -> WorldSpec:
    """The scene of a prompt without any known word."""
    return WorldSpec(**vars(understood("").scene), seed=seed)


def that_fit(things: Sequence[Thing], extras: Sequence[str]) -> tuple[Thing, ...]:
    """The things whose solids fit into the slots that the extras leave."""
    used = Counter(kind for name in extras for kind in extra_kinds(name))
    kept = []
    for thing in things:
        more = used + Counter(part_kinds(thing))
        if all(more[kind] <= SLOTS[kind] for kind in more):
            used = more
            kept.append(thing)
    return tuple(kept)


def _sample_extras(rng: np.random.Generator, room: bool) -> tuple[str, ...]:
    if room:
        return tuple(name for name in ROOM_EXTRAS if rng.random() < ROOM_EXTRA_SHARE)
    shares = zip(OUTDOOR_EXTRAS, (BACKDROP_SHARE, STRIP_SHARE), strict=True)
    return tuple(pair[int(rng.integers(2))] for pair, share in shares if rng.random() < share)


def _sample_thing(rng: np.random.Generator, room: bool, column: str, row: str) -> Thing:
    elsewhere = USUALLY_OUTDOORS if room else USUALLY_INDOORS
    usual = rng.random() >= UNUSUAL_SHARE
    shapes = [s for s in SHAPES if not (usual and s in elsewhere)]
    shape = shapes[int(rng.integers(len(shapes)))]
    colour = COLOURS[int(rng.integers(len(COLOURS)))]
    if shape in ("tree", "pine") and rng.random() < 0.5:
        colour = "green"
    if shape == "snowman" and rng.random() < 0.5:
        colour = "white"
    pattern = PATTERN_DRAW[int(rng.integers(len(PATTERN_DRAW)))]
    return Thing(shape, colour, pattern, SIZES[int(rng.integers(len(SIZES)))], column, row)
