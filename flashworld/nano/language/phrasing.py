"""The canonical prompt of a scene for nano's text encoder: fixed order, every choice explicit, one meaning per token.

A word names what it describes, e.g. `left_near_red` or `wall_brick`. In plain English "red" has no meaning until it is
bound to a noun and a place; a small network would spend its training on that grammar, which the parser already handles.
"""

from __future__ import annotations

from flashworld.nano.language.parser import understood
from flashworld.nano.language.scene import (
    COLOURS,
    EXTRAS,
    GROUNDS,
    LIGHTS,
    PATTERNS,
    PLACES,
    SETTINGS,
    SHAPES,
    SIZES,
    SKIES,
    WALLS,
    SceneWords,
    Thing,
)

MIST = "mist"


def nano_prompt(text: str) -> str:
    """The canonical prompt of a user's prompt; empty if none of its words is understood."""
    found = understood(text)
    return phrase(found.scene) if found.phrases else ""


def phrase(scene: SceneWords) -> str:
    """The canonical prompt of a scene; "" for a gallery. Different scenes have different prompts."""
    if scene.setting == "gallery":
        return ""
    words = [
        scene.setting,
        _about("ground", scene.ground, scene.ground_colour),
        _about("wall", scene.wall, scene.wall_colour),
        _about("sky", scene.sky),
        MIST if scene.misty else "",
        _about("light", scene.light),
        *scene.extras,
        *map(thing_phrase, scene.things),
    ]
    return " ".join(word for word in words if word)


def thing_phrase(thing: Thing) -> str:
    """One thing: size, pattern, colour and shape, each with the place."""
    return _about(f"{thing.column}_{thing.row}", thing.size, thing.pattern, thing.colour, thing.shape)


def vocabulary() -> list[str]:
    """Every word that a scene can have, sorted."""
    of_things = (*SIZES, *PATTERNS, *COLOURS, *SHAPES)
    tables = {
        "ground": (*GROUNDS, *COLOURS),
        "wall": (*WALLS, *COLOURS),
        "sky": SKIES,
        "light": LIGHTS,
        **{f"{column}_{row}": of_things for column, row in PLACES},
    }
    tagged = {f"{subject}_{word}" for subject, words in tables.items() for word in words}
    return sorted(tagged | {*SETTINGS[:2], *EXTRAS, MIST})


def _about(subject: str, *words: str | None) -> str:
    return " ".join(f"{subject}_{word}" for word in words if word)
