"""Natural English captions of world descriptions, for the benchmark and for tests of the parser.

Captions are paraphrased from a seed and state every choice of the scene that is not a default, so that `understood`
recovers exactly that scene. Training does not use them: it reads the scene's canonical prompt (`language.phrase`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from flashworld.nano.language.scene import Thing
from flashworld.nano.training.specs import WorldSpec

COLOUR_WORDS = {
    "red": ("red", "red", "crimson", "scarlet"), "orange": ("orange",), "yellow": ("yellow", "yellow", "golden"),
    "green": ("green",), "cyan": ("cyan", "turquoise", "teal"), "blue": ("blue", "blue", "navy"),
    "purple": ("purple", "violet"), "pink": ("pink",), "brown": ("brown",), "black": ("black",),
    "white": ("white",), "grey": ("grey", "gray"),
}  # fmt: skip
SHAPE_WORDS = {
    "ball": ("ball", "sphere", "globe"), "cube": ("cube", "box", "crate"), "pillar": ("pillar", "column", "cylinder"),
    "cone": ("cone", "pyramid", "tent"), "tree": ("tree",), "pine": ("pine", "pine tree", "fir"), "table": ("table", "desk"),
    "hut": ("hut", "cottage"), "house": ("house", "cabin"), "snowman": ("snowman",), "egg": ("egg", "boulder"),
    "block": ("block", "slab", "bench"), "tower": ("tower", "obelisk", "skyscraper"), "sofa": ("sofa", "couch"),
    "chair": ("chair", "armchair"), "lamp": ("lamp", "floor lamp"),
}  # fmt: skip
SIZE_WORDS = {"small": ("small", "little", "tiny"), "medium": ("", "", "medium"), "large": ("large", "big", "huge")}
PATTERN_WORDS = {
    "plain": ("",), "rough": ("rough",), "striped": ("striped",), "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "chequered"),
}  # fmt: skip
COLUMN_WORDS = {
    "left": ("on the left", "at the left", "to the left"),
    "centre": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "at the right", "to the right"),
}
ROW_WORDS = {
    "near": ("in front", "nearby", "close by"),
    "far": ("in the back", "far away", "in the distance"),
}
GROUND_WORDS = {
    "grass": ("grass", "a green meadow", "a lawn", "a grassy field"), "sand": ("sand", "a desert", "a sandy beach"),
    "snow": ("snow", "a snowy field", "white snow"), "stone": ("stone", "paving stones", "a cobbled floor"),
    "dirt": ("dirt", "brown earth", "soil", "mud"), "water": ("water", "a blue lake", "the sea", "the ocean"),
    "wood": ("a wooden floor", "floorboards", "parquet"), "tiles": ("{c} tiles", "a {c} tiled floor"),
    "carpet": ("{c} carpet", "a {c} carpet"),
}  # fmt: skip
WALL_WORDS = {
    "plain": ("{c} walls", "{c} painted walls"), "rough": ("rough {c} walls", "{c} plaster walls"),
    "brick": ("{c} brick walls", "walls of {c} brick"), "striped": ("{c} striped walls", "{c} striped wallpaper"),
    "dotted": ("{c} dotted walls", "{c} dotted wallpaper"), "wood": ("wooden walls", "walls of wood", "timber walls"),
}  # fmt: skip
SKY_WORDS = {
    "clear": ("a clear blue sky", "a blue sky", "a sunny sky"), "cloudy": ("a cloudy sky", "a sky with clouds"),
    "overcast": ("an overcast sky", "a grey sky", "a gray sky"), "sunset": ("an orange sunset", "a sunset sky", "an orange sky"),
    "dawn": ("a pink sky", "a pink dawn", "a sunrise"), "night": ("a night sky", "a dark night", "a black sky"),
}  # fmt: skip
DIM_WORDS = ("dim light", "low light")
ROOM_WORDS = ("a room", "an indoor scene", "the inside of a house", "an interior", "a hall", "a living room")
OUTDOOR_WORDS = ("a landscape", "an outdoor scene", "a place outdoors", "outside")
MIST_WORDS = ("in mist", "in fog", "on a misty day", "on a foggy day")
EXTRA_WORDS = {
    "hills": ("hills behind",), "mountains": ("mountains in the distance", "a mountain"), "road": ("a road", "a path"),
    "river": ("a river", "a stream"), "window": ("a window",), "picture": ("a picture on the wall", "a painting"),
    "rug": ("a striped rug", "a rug"),
}  # fmt: skip

Pick = Callable[[Sequence[str]], str]


def caption(spec: WorldSpec, variant: int) -> str:
    """One of many paraphrased descriptions of a world; deterministic in the variant.

    Args:
        spec: The world; a gallery has no caption and gives "".
        variant: Index of the paraphrase.
    """
    if spec.setting == "gallery":
        return ""
    rng = np.random.default_rng([spec.seed, 4, variant])

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    room = spec.setting == "room"
    ground = pick(GROUND_WORDS[spec.ground]).format(c=pick(COLOUR_WORDS[spec.ground_colour or "grey"]))
    around = wall_phrase(spec, pick) if room else pick(SKY_WORDS[spec.sky or "clear"])
    place = pick(ROOM_WORDS if room else OUTDOOR_WORDS)
    order = rng.permutation(len(spec.things))
    things = [thing_phrase(spec.things[i], pick) for i in order]
    joiner = pick((" and ", ", "))
    listed = ", ".join(things[:-1]) + joiner + things[-1] if len(things) > 1 else "".join(things)
    templates = (
        f"{place} with {ground} and {around}; {listed}" if room else f"{place} with {ground} under {around}; {listed}",
        f"{place}, {listed} on {ground}, {around}" if listed else f"{place}, {ground}, {around}",
        f"{place}, {around}, {ground}. there is {listed}" if listed else f"{place}, {around}, {ground}",
        f"{place}: {ground} and {around}, {listed}",
    )
    more = [pick(EXTRA_WORDS[name]) for name in spec.extras]
    more += [pick(MIST_WORDS)] if spec.misty else []
    more += [pick(DIM_WORDS)] if spec.light == "dim" and spec.sky != "night" else []
    text = ", ".join([pick(templates).strip(" ;,."), *more])
    return re.sub(r"\s+", " ", text).strip(" ;,.")


def wall_phrase(spec: WorldSpec, pick: Pick) -> str:
    """Describe the walls."""
    colour = pick(COLOUR_WORDS[spec.wall_colour]) if spec.wall_colour else ""
    return pick(WALL_WORDS[spec.wall or "plain"]).format(c=colour)


def thing_phrase(thing: Thing, pick: Pick) -> str:
    """Describe one thing: size, pattern, colour, shape, place."""
    choices = (
        SIZE_WORDS[thing.size], PATTERN_WORDS[thing.pattern], COLOUR_WORDS[thing.colour], SHAPE_WORDS[thing.shape],
        COLUMN_WORDS[thing.column], ROW_WORDS[thing.row],
    )  # fmt: skip
    words = [pick(options) for options in choices]
    return "a " + " ".join(word for word in words if word)
