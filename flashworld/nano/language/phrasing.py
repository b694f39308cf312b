"""A scene as the one sentence that stands for it: always the same order, every choice said, no word that says nothing.

The text encoder reads only such sentences, so that the small network learns what words mean, not how people put them.
"""

from __future__ import annotations

from flashworld.nano.language.parser import understood
from flashworld.nano.language.scene import (
    COLOURS,
    COLUMNS,
    EXTRAS,
    GROUNDS,
    LIGHTS,
    PATTERNS,
    ROWS,
    SETTINGS,
    SHAPES,
    SIZES,
    SKIES,
    WALLS,
    SceneWords,
    Thing,
)

GLUE = ("mist", "wall", "sky", ",", ";")


def nano_prompt(text: str) -> str:
    """What nano's text encoder reads for a visitor's prompt; empty when no word of it is understood."""
    found = understood(text)
    return phrase(found.scene) if found.phrases else ""


def phrase(scene: SceneWords) -> str:
    """The sentence of a scene; "" for a gallery, which has none.

    `understood` reads it back as the same scene.
    """
    if scene.setting == "gallery":
        return ""
    around = [scene.setting, _joined(scene.ground_colour, scene.ground)]
    if scene.setting == "room":
        around.append(_joined(scene.wall_colour, scene.wall, "wall"))
    else:
        around.append(_joined(scene.sky, "sky"))
    around += [*(["mist"] if scene.misty else []), scene.light, *scene.extras]
    return " ; ".join([" , ".join(around), *map(thing_phrase, scene.things)])


def thing_phrase(thing: Thing) -> str:
    """One thing: place, size, pattern, colour, shape."""
    return _joined(thing.column, thing.row, thing.size, thing.pattern, thing.colour, thing.shape)


def vocabulary() -> list[str]:
    """Every word that a sentence can hold, sorted."""
    tables = (
        SETTINGS[:2],
        GROUNDS,
        WALLS,
        SKIES,
        LIGHTS,
        EXTRAS,
        SHAPES,
        COLOURS,
        PATTERNS,
        SIZES,
        COLUMNS,
        ROWS,
        GLUE,
    )
    return sorted({word for table in tables for word in table})


def _joined(*words: str | None) -> str:
    return " ".join(word for word in words if word)
