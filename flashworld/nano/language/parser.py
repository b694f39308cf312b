"""A rule-based parser from a sentence to a scene description: adjectives apply to the next noun, a place to the adjacent thing.

Everything left open has a default (`DEFAULTS`, `words.DEFAULT_COLOURS`, the first free place), so that a sentence
gives exactly one scene. Unknown words are reported, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flashworld.nano.language import scene as choices
from flashworld.nano.language import words
from flashworld.nano.language.lexicon import GROUPS, NUMBERS, Meaning, look_up, split
from flashworld.nano.language.scene import SceneWords, Thing

FIRST_FREE = (
    ("centre", "near"), ("left", "near"), ("right", "near"), ("centre", "far"), ("left", "far"), ("right", "far"),
)  # fmt: skip
"""Places of things without a stated place, in this order."""
DEFAULT_WALL_COLOURS = {"brick": "red"}
DEFAULT_GROUND_COLOURS = {"tiles": "white", "carpet": "red"}
DEFAULTS = {"outdoors": "grass", "room": "wood"}
"""Default ground by setting."""
COPULAS = ("is", "are")
MAX_UNKNOWN = 40
"""Maximum number of reported unknown words."""
MAX_TEXT_WORDS = 2000
"""Maximum number of words; the rest is ignored."""


@dataclass(frozen=True)
class Understood:
    """nano's interpretation of a sentence; plain data for the page.

    Attributes:
        phrases: The understood parts as short phrases in the scene's order: "grass", "large red ball on the left".
        unknown: Unknown words in order, each once; then words that were understood but have no place in the scene.
        scene: The described scene, defaults included.
    """

    phrases: tuple[str, ...]
    unknown: tuple[str, ...]
    scene: SceneWords


def understood(text: str) -> Understood:
    """Parse a sentence; any text is valid."""
    reader = _Reader(split(text)[:MAX_TEXT_WORDS])
    reader.read()
    return reader.result()


@dataclass
class _Draft:
    """A thing that is being parsed, with its stated properties."""

    shape: str
    said: dict[str, str] = field(default_factory=dict)


@dataclass
class _Reader:
    """Parses the words in one pass."""

    tokens: list[str]
    things: list[_Draft] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    extras: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    current: list[_Draft] = field(default_factory=list)
    wall_is_current: bool = False

    def read(self) -> None:
        position = 0
        while position < len(self.tokens):
            token = self.tokens[position]
            length, meanings, plural = look_up(self.tokens, position)
            after_copula = position > 0 and self.tokens[position - 1] in COPULAS
            if meanings:
                found = dict(meanings)
                if {
                    "ground",
                    "wall_material",
                } <= found.keys():  # wood: belongs to the next or previous wall, or to the floor
                    of_wall = self.wall_is_current or self.wall_follows(position + length)
                    del found["ground" if of_wall else "wall_material"]
                self.take(found, plural, after_copula)
            elif token in words.SEPARATORS or token == "and":
                self.end_clause()
            elif token.isalnum() and token not in words.FILLERS and not token.isdigit() and token not in self.unknown:
                self.unknown.append(token)
            position += length

    def wall_follows(self, position: int) -> bool:
        """Whether the next phrase is a wall."""
        return "wall" in dict(look_up(self.tokens, position)[1])

    def take(self, meanings: dict[str, str], plural: bool, after_copula: bool) -> None:
        """Process one phrase with all its meanings, by category."""
        if "shape" in meanings:
            self.new_things(meanings["shape"], NUMBERS.get(self.waiting.pop("number", ""), 2 if plural else 1))
        elif "group" in meanings:
            self.new_things(*GROUPS[meanings["group"]])
        elif "wall" in meanings:
            self.wall()
        elif "sky_noun" in meanings:
            colour = self.waiting.pop("colour", None)
            if colour in words.SKY_COLOURS:
                self.said.setdefault("sky", words.SKY_COLOURS[colour])
            self.said.setdefault("sky", "clear")
        elif "ground" in meanings:
            self.ground(meanings)
        elif "column" in meanings or "row" in meanings:
            self.place(meanings)
        elif {"colour", "size", "pattern", "wall_material", "number"} & set(meanings):
            self.adjective(meanings, after_copula)
        for category in ("sky", "light", "setting", "mist"):
            if category in meanings:
                self.said[category] = meanings[category]
                self.waiting.pop("colour", None)
        if "extra" in meanings:
            self.extras.add(meanings["extra"])
            self.waiting.clear()

    def new_things(self, shape: str, count: int) -> None:
        self.current = [_Draft(shape, dict(self.waiting)) for _ in range(count)]
        self.things += self.current
        self.waiting, self.wall_is_current = {}, False

    def wall(self) -> None:
        self.said["wall"] = "wall"
        self.wall_words(self.waiting)
        self.waiting, self.current, self.wall_is_current = {}, [], True

    def wall_words(self, found: dict[str, str]) -> None:
        material = found.get("wall_material") or found.get("pattern")
        if material in choices.WALLS:
            self.said["wall_material"] = material
        if "colour" in found and found.get("wall_material") != "wood":
            self.said["wall_colour"] = found["colour"]

    def ground(self, meanings: dict[str, str]) -> None:
        self.said["ground"] = meanings["ground"]
        if meanings["ground"] in choices.COLOURED_GROUNDS and "colour" in self.waiting:
            self.said["ground_colour"] = self.waiting["colour"]
        self.waiting, self.wall_is_current = {}, False

    def place(self, meanings: dict[str, str]) -> None:
        known = {name: meanings[name] for name in ("column", "row") if name in meanings}
        if self.current:
            for draft in self.current:
                draft.said.update(known)
        else:
            self.waiting.update(known)

    def adjective(self, meanings: dict[str, str], after_copula: bool) -> None:
        known = {k: v for k, v in meanings.items() if k in ("colour", "size", "pattern", "wall_material", "number")}
        if self.wall_is_current and ("wall_material" in known or (after_copula and not self.waiting)):
            self.wall_words(self.waiting | known)
            self.waiting = {}
        elif after_copula and self.current and not self.waiting:
            for draft in self.current:
                draft.said.update(known)
        else:
            if self.current and not self.waiting:
                self.current = []  # a new noun follows; later places belong to it
            self.waiting.update(known)

    def end_clause(self) -> None:
        self.current, self.wall_is_current = [], False

    def result(self) -> Understood:
        scene = self.surroundings()
        placed, left_over = place_things(self.things)
        scene = replace(scene, things=tuple(placed))
        phrases = (*_surroundings_phrases(self.said, scene), *map(_thing_words, placed))
        unknown = [*self.unknown, *self.left_out(scene), *(f"a further {draft.shape}" for draft in left_over)]
        return Understood(phrases, tuple(unknown[:MAX_UNKNOWN]), scene)

    def left_out(self, scene: SceneWords) -> list[str]:
        """Stated surroundings that the scene's setting cannot show."""
        where = "in a room" if scene.setting == "room" else "outdoors"
        found = [self.said["setting"]] if self.said.get("setting", scene.setting) != scene.setting else []
        if "sky" in self.said and scene.sky is None:
            found.append(f"{self.said['sky']} sky {where}")
        if "mist" in self.said and not scene.misty:
            found.append(f"mist {where}")
        for extra in sorted(self.extras - set(scene.extras)):
            other = next(
                (name for pair in choices.OUTDOOR_EXTRAS if extra in pair for name in pair if name in scene.extras),
                None,
            )
            found.append(f"{extra} beside {other}" if other else f"{extra} {where}")
        return found

    def surroundings(self) -> SceneWords:
        """Everything except the things, with defaults."""
        said = self.said
        room = self.setting() == "room"
        ground = said.get("ground", DEFAULTS["room" if room else "outdoors"])
        wall = said.get("wall_material", "plain") if room else None
        own_colour = wall in (None, "wood")
        sky = None if room else said.get("sky", "clear")
        wall_colour = None if own_colour else said.get("wall_colour", DEFAULT_WALL_COLOURS.get(wall or "", "white"))
        coloured = ground in choices.COLOURED_GROUNDS
        return SceneWords(
            setting="room" if room else "outdoors",
            ground=ground,
            ground_colour=said.get("ground_colour", DEFAULT_GROUND_COLOURS[ground]) if coloured else None,
            wall=wall,
            wall_colour=wall_colour,
            sky=sky,
            light="dim" if sky == "night" else said.get("light", "bright"),
            misty=not room and "mist" in said,
            extras=fitting_extras(self.extras, room),
            things=(),
        )

    def setting(self) -> str:
        """The stated setting, else the one that the other words suggest."""
        said = self.said
        if "wall" in said:
            return "room"
        if "setting" in said:
            return said["setting"]
        if "sky" in said or "mist" in said or self.extras & {name for pair in choices.OUTDOOR_EXTRAS for name in pair}:
            return "outdoors"
        if said.get("ground") in ("wood", "tiles", "carpet") or self.extras & set(choices.ROOM_EXTRAS):
            return "room"
        if "ground" not in said and self.things and all(t.shape in ("sofa", "lamp", "chair") for t in self.things):
            return "room"
        return "outdoors"


def fitting_extras(found: set[str], room: bool) -> tuple[str, ...]:
    """The extras that belong to the setting, at most one of each pair."""
    if room:
        return tuple(name for name in choices.ROOM_EXTRAS if name in found)
    chosen = [next((name for name in pair if name in found), None) for pair in choices.OUTDOOR_EXTRAS]
    return tuple(name for name in chosen if name)


def place_things(drafts: list[_Draft]) -> tuple[list[Thing], list[_Draft]]:
    """Assign a separate place to every thing, stated places first; returns things in the scene's order, and the rest."""
    taken: dict[tuple[str, str], Thing] = {}
    left_over: list[_Draft] = []
    for draft in sorted(drafts, key=lambda d: -sum(name in d.said for name in ("column", "row"))):
        free = [place for place in FIRST_FREE if place not in taken]
        wanted = [p for p in free if draft.said.get("column", p[0]) == p[0] and draft.said.get("row", p[1]) == p[1]]
        beside = [p for p in free if draft.said.get("column", p[0]) == p[0]]
        if not free:
            left_over.append(draft)
            continue
        place = (wanted or beside or free)[0]
        taken[place] = Thing(
            draft.shape,
            draft.said.get("colour", words.DEFAULT_COLOURS[draft.shape]),
            draft.said.get("pattern", "plain"),
            draft.said.get("size", "medium"),
            *place,
        )
    return [taken[place] for place in choices.PLACES if place in taken], left_over


def _surroundings_phrases(said: dict[str, str], scene: SceneWords) -> list[str]:
    """The statements about ground, walls, sky and light that are in the scene."""
    found = []
    if "setting" in said and said["setting"] == scene.setting:
        found.append(scene.setting)
    if "ground" in said:
        found.append(" ".join(filter(None, (scene.ground_colour, scene.ground))))
    if "wall" in said:
        found.append(" ".join(filter(None, (scene.wall_colour, scene.wall if scene.wall != "plain" else "", "walls"))))
    if "sky" in said and scene.sky:
        found.append(f"{scene.sky} sky")
    if scene.misty:
        found.append("mist")
    if "light" in said:
        found.append(f"{scene.light} light")
    return [*found, *scene.extras]


def _thing_words(thing: Thing) -> str:
    """A thing in plain English."""
    size = thing.size if thing.size != "medium" else ""
    pattern = thing.pattern if thing.pattern != "plain" else ""
    where = {"left": "on the left", "right": "on the right", "centre": "in the middle"}[thing.column]
    return " ".join(
        filter(None, (size, pattern, thing.colour, thing.shape, where, "at the back" if thing.row == "far" else ""))
    )


__all__ = ["Meaning", "Understood", "understood"]
