"""The little language of nano's worlds: a world to English captions, and the tokenizer for it.

Captions are paraphrased from a seed. Every colour, ground, wall and sky that a caption names is in the world; it may leave
things out, never invent them. Words outside the vocabulary become <unk> and carry nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flashworld.config import TEXT_PREFIX
from flashworld.models.text_encoder import EOS_ID, PAD_ID, UNKNOWN_ID
from flashworld.nano.training.worlds import ObjectSpec, WorldSpec

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COLOUR_WORDS = {
    "red": ("red", "red", "crimson", "scarlet"), "orange": ("orange",), "yellow": ("yellow", "yellow", "golden"),
    "green": ("green",), "cyan": ("cyan", "turquoise", "teal"), "blue": ("blue", "blue", "navy"),
    "purple": ("purple", "violet"), "pink": ("pink",), "brown": ("brown",), "black": ("black", "dark"),
    "white": ("white",), "grey": ("grey", "gray"),
}  # fmt: skip
SHAPE_WORDS = {
    "ball": ("ball", "sphere", "globe"), "cube": ("cube", "box", "crate"), "pillar": ("pillar", "column", "cylinder"),
    "cone": ("cone", "pyramid", "tent"), "tree": ("tree",), "table": ("table", "desk"), "hut": ("hut", "house", "cottage"),
    "snowman": ("snowman",), "egg": ("egg", "oval"), "block": ("block", "slab", "bench"), "tower": ("tower", "obelisk", "skyscraper"),
}  # fmt: skip
SIZE_WORDS = {"small": ("small", "little", "tiny"), "medium": ("", "", "medium"), "large": ("large", "big", "huge")}
PATTERN_WORDS = {
    "plain": ("",), "rough": ("", "rough"), "striped": ("striped",), "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "chequered"),
}  # fmt: skip
COLUMN_WORDS = {
    "left": ("on the left", "at the left", "to the left"),
    "centre": ("in the middle", "in the centre", "in the center", "ahead"),
    "right": ("on the right", "at the right", "to the right"),
}
ROW_WORDS = {
    "near": ("in front", "nearby", "close by"),
    "far": ("in the back", "far away", "in the distance", "behind"),
}
GROUND_WORDS = {
    "grass": ("grass", "a green meadow", "a lawn", "a grassy field"), "sand": ("sand", "a desert", "a sandy beach"),
    "snow": ("snow", "a snowy field", "white snow"), "stone": ("stone", "paving stones", "rocks", "a cobbled floor"),
    "dirt": ("dirt", "brown earth", "soil", "mud"), "water": ("water", "a blue lake", "the sea", "the ocean"),
    "wood": ("a wooden floor", "floorboards", "wood", "parquet"), "tiles": ("tiles", "a tiled floor"),
    "carpet": ("carpet", "a carpet", "a rug"),
}  # fmt: skip
COLOURED_GROUND = {"tiles": ("{c} tiles", "a {c} tiled floor"), "carpet": ("{c} carpet", "a {c} carpet", "a {c} rug")}
WALL_WORDS = {
    "plain": ("{c} walls", "{c} painted walls"), "rough": ("rough {c} walls", "{c} plaster walls"),
    "brick": ("{c} brick walls", "walls of {c} brick"), "striped": ("{c} striped walls", "{c} striped wallpaper"),
    "dotted": ("{c} dotted walls", "{c} dotted wallpaper"), "wood": ("wooden walls", "walls of wood", "timber walls"),
}  # fmt: skip
SKY_WORDS = {
    "clear": ("a clear blue sky", "a blue sky", "a sunny sky"), "cloudy": ("a cloudy sky", "a blue sky with white clouds"),
    "overcast": ("an overcast sky", "a grey sky", "a gray sky"), "sunset": ("an orange sunset", "a sunset sky", "an orange sky"),
    "dawn": ("a pink sky", "a pink dawn", "a sunrise"), "night": ("a night sky", "a dark night", "a black sky"),
}  # fmt: skip
LIGHT_WORDS = {"bright": ("bright light", "daylight"), "dim": ("dim light", "low light")}
ROOM_WORDS = ("a room", "an indoor scene", "the inside of a house", "an interior", "a hall", "a living room")
OUTDOOR_WORDS = ("a landscape", "an outdoor scene", "a place outdoors", "outside", "a scene")
MIST_WORDS = ("in mist", "in fog", "on a misty day", "on a foggy day")
GLUE = (
    "a an the and with under over on of in at to there is are stands stand standing lies sits we see scene showing floor "
    "ground sky wall walls ceiling it its has made into from view picture photo object objects static . , ; [ ]"
)


def caption(spec: WorldSpec, variant: int) -> str:
    """One of many descriptions of a world; the same for the same variant.

    Args:
        spec: The world; a gallery has none and gives "".
        variant: Which paraphrase.
    """
    if spec.setting == "gallery":
        return ""
    rng = np.random.default_rng([spec.seed, 4, variant])

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    room = spec.setting == "room"
    ground = ground_phrase(spec, pick)
    around = wall_phrase(spec, pick) if room else pick(SKY_WORDS[spec.sky or "clear"])
    place = pick(ROOM_WORDS if room else OUTDOOR_WORDS)
    order = rng.permutation(len(spec.objects))
    things = [thing_phrase(spec.objects[i], pick) for i in order]
    joiner = pick((" and ", ", "))
    listed = ", ".join(things[:-1]) + joiner + things[-1] if len(things) > 1 else "".join(things)
    templates = (
        f"{place} with {ground} and {around}; {listed}" if room else f"{place} with {ground} under {around}; {listed}",
        f"{listed} on {ground}, {around}" if listed else f"{ground}, {around}",
        f"{place}, {around}, {ground}. there is {listed}" if listed else f"{place}, {around}, {ground}",
        f"{ground} and {around}, {listed}",
    )
    text = pick(templates)
    if spec.misty and rng.random() < 0.8:
        text += ", " + pick(MIST_WORDS)
    if spec.light == "dim" and spec.sky != "night" and rng.random() < 0.7:
        text += ", " + pick(LIGHT_WORDS["dim"])
    return re.sub(r"\s+", " ", text).strip(" ;,.")


def ground_phrase(spec: WorldSpec, pick: object) -> str:
    """The ground in words."""
    if spec.ground_colour is None:
        return pick(GROUND_WORDS[spec.ground])  # type: ignore[operator]
    colour = pick(COLOUR_WORDS[spec.ground_colour])  # type: ignore[operator]
    return pick(COLOURED_GROUND[spec.ground]).format(c=colour)  # type: ignore[operator]


def wall_phrase(spec: WorldSpec, pick: object) -> str:
    """The walls in words."""
    colour = pick(COLOUR_WORDS[spec.wall_colour]) if spec.wall_colour else ""  # type: ignore[operator]
    return pick(WALL_WORDS[spec.wall or "plain"]).format(c=colour)  # type: ignore[operator]


def thing_phrase(thing: ObjectSpec, pick: object) -> str:
    """One object in words: size, pattern, colour, shape, place."""
    choose = pick
    words = [choose(t[k]) for t, k in (  # type: ignore[operator]
        (SIZE_WORDS, thing.size), (PATTERN_WORDS, thing.pattern), (COLOUR_WORDS, thing.colour), (SHAPE_WORDS, thing.shape),
        (COLUMN_WORDS, thing.column), (ROW_WORDS, thing.row))]  # fmt: skip
    return "a " + " ".join(w for w in words if w)


def vocabulary() -> list[str]:
    """Every word captions can hold, and the punctuation, sorted."""
    tables = (
        COLOUR_WORDS, SHAPE_WORDS, SIZE_WORDS, PATTERN_WORDS, COLUMN_WORDS, ROW_WORDS, GROUND_WORDS, COLOURED_GROUND,
        WALL_WORDS, SKY_WORDS, LIGHT_WORDS,
    )  # fmt: skip
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    phrases += [*ROOM_WORDS, *OUTDOOR_WORDS, *MIST_WORDS, GLUE, TEXT_PREFIX]
    return sorted({word for phrase in phrases for word in split_words(phrase.replace("{c}", " "))})


def split_words(text: str) -> list[str]:
    """Words and single punctuation marks, lower case, as the tokenizer splits them."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def build_tokenizer() -> Tokenizer:
    """A word tokenizer: <pad> 0, </s> 1 (appended), <unk> 2, then the vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocab = {"<pad>": PAD_ID, "</s>": EOS_ID, "<unk>": UNKNOWN_ID}
    vocab |= {word: len(vocab) + i for i, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocab, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS_ID)])
    return tokenizer
