"""nano's language: a sentence to a scene description, and the description in canonical form for its text encoder.

`scene` holds the scene description, `words` the tables of names and synonyms, `parser` parses a sentence into a description and
reports what it understood, `phrasing` writes the canonical prompt of a description. Plain Python, no networks.
"""

from __future__ import annotations

from flashworld.nano.language.parser import Understood, understood
from flashworld.nano.language.phrasing import nano_prompt, phrase
from flashworld.nano.language.scene import SceneWords, Thing

__all__ = ["SceneWords", "Thing", "Understood", "nano_prompt", "parser", "phrase", "phrasing", "scene", "understood"]
