"""All phrases of `words` in one table of meanings, longest phrases first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from flashworld.nano.language import scene, words

MAX_PHRASE_WORDS = 4
NUMBERS = {
    "two": 2,
    "pair": 2,
    "couple": 2,
    "three": 3,
    "several": 3,
    "some": 2,
    "many": 4,
    "four": 4,
    "five": 5,
    "six": 6,
}
GROUPS: dict[str, tuple[str, int]] = {
    "forest": ("pine", 5), "woods": ("tree", 4), "woodland": ("tree", 4), "village": ("house", 3), "town": ("house", 4),
    "city": ("tower", 5), "skyline": ("tower", 5), "hamlet": ("hut", 3), "camp": ("cone", 3),
}  # fmt: skip
"""Words that stand for several things."""

Meaning = tuple[str, str]
"""Category and choice: ("colour", "red")."""


@cache
def lexicon() -> Mapping[str, tuple[Meaning, ...]]:
    """Meanings of every phrase; one phrase may have meanings in several categories."""
    found: dict[str, list[Meaning]] = {}
    tables: tuple[tuple[str, Sequence[str], Mapping[str, tuple[str, ...]]], ...] = (
        ("colour", scene.COLOURS, words.COLOURS), ("shape", scene.SHAPES, words.SHAPES),
        ("size", scene.SIZES, words.SIZES), ("pattern", scene.PATTERNS, words.PATTERNS),
        ("column", scene.COLUMNS, words.COLUMNS), ("row", scene.ROWS, words.ROWS),
        ("ground", scene.GROUNDS, words.GROUNDS), ("wall_material", ("brick", "wood"), words.WALLS),
        ("sky", scene.SKIES, words.SKIES), ("light", scene.LIGHTS, words.LIGHTS),
        ("setting", scene.SETTINGS[:2], words.SETTINGS), ("extra", scene.EXTRAS, words.EXTRAS),
        ("wall", ("wall",), {"wall": words.WALL_NOUNS}), ("sky_noun", ("sky",), {"sky": words.SKY_NOUNS}),
        ("mist", ("mist",), {"mist": words.MIST}), ("group", tuple(GROUPS), {}), ("number", tuple(NUMBERS), {}),
    )  # fmt: skip
    for category, choices, synonyms in tables:
        for choice in choices:
            for text in {choice, *synonyms.get(choice, ())}:
                found.setdefault(text, []).append((category, choice))
    return {text: tuple(meanings) for text, meanings in found.items()}


def split(text: str) -> list[str]:
    """Lower-case words and single punctuation marks; hyphens separate words, apostrophes end them."""
    plain = re.sub(r"[’']s?\b", " ", text.lower()).replace("-", " ").replace("_", " ")
    return re.findall(r"[^\W_]+|[^\w\s]", plain)


def look_up(tokens: Sequence[str], start: int) -> tuple[int, tuple[Meaning, ...], bool]:
    """Longest phrase of the lexicon at `start`: its words, its meanings, whether its last word is a plural; (1, (), False)."""
    table = lexicon()
    for length in range(min(MAX_PHRASE_WORDS, len(tokens) - start), 0, -1):
        *front, last = tokens[start : start + length]
        for ending in (last, *singulars(last)):
            meanings = table.get(" ".join([*front, ending]))
            if meanings:
                return length, meanings, ending != last
    return 1, (), False


def singulars(word: str) -> list[str]:
    """The possible singulars of a word."""
    endings = (("ies", "y"), ("es", ""), ("s", ""))
    return [word[: -len(end)] + new for end, new in endings if word.endswith(end) and len(word) > len(end) + 1]
