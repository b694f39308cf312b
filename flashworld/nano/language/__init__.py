"""What nano understands: a sentence to one scene in words, and the scene in nano's own order for its text encoder.

`scene` holds the scene in words, `words` the tables of names and synonyms, `parser` reads a sentence into a scene and
says what it understood, `phrasing` writes a scene as the one sentence that stands for it. Plain Python, no networks.
"""

from __future__ import annotations

from flashworld.nano.language.parser import Understood, understood
from flashworld.nano.language.phrasing import nano_prompt, phrase
from flashworld.nano.language.scene import SceneWords, Thing

__all__ = ["SceneWords", "Thing", "Understood", "nano_prompt", "parser", "phrase", "phrasing", "scene", "understood"]
