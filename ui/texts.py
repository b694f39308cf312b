"""The page's own texts in all its languages: `assets/texts/LANGUAGE.json`, one key per text.

Gradio translates what a component is given as `text(key)` (label, info, placeholder, value). It takes one text per string
without numbers in it, so inside HTML `html(key, ...)` writes the English text and marks it, and `assets/texts.js` inserts the
visitor's language; our scripts use that file too. Both read the same dictionaries and follow Gradio's choice of
language. Error messages from the library remain in English.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent / "assets" / "texts"
LANGUAGES = ("en", "pt", "zh")
"""Brazilian Portuguese, simplified Chinese."""
TEXTS: dict[str, dict[str, str]] = {
    language: json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8")) for language in LANGUAGES
}
I18N = gr.I18n(**TEXTS)
SCRIPT = (Path(__file__).parent / "assets" / "texts.js").read_text(encoding="utf-8")
VIEWER = ("viewer.", "record.")
"""Prefixes of the keys that the 3D view needs."""


class Html(str):
    """A text that is already HTML."""

    __slots__ = ()


def text(key: str) -> Any:
    """A text for Gradio to translate; accepted wherever a `str` is, although Gradio's annotations do not say so.

    Raises:
        KeyError: no such text.
    """
    if key not in TEXTS["en"]:
        raise KeyError(key)
    return I18N(key)


def english(key: str, **values: object) -> str:
    """The English text; each {name} in it is replaced by a value, unescaped.

    Raises:
        KeyError: no such text, or a value is missing.
    """
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), TEXTS["en"][key])


def html(key: str, **values: object) -> Html:
    """The text as HTML that the browser translates; values are escaped unless they are `Html`."""
    safe = {name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
    data = f' data-fw-values="{escape(json.dumps(safe))}"' if safe else ""
    return Html(f'<span data-fw-text="{escape(key)}"{data}>{english(key, **safe)}</span>')


def attributes(**parts: list[str]) -> Html:
    """HTML attributes that the browser translates.

    Args:
        parts: Keys of the sentences of each attribute, `_` in its name standing for `-`; what begins with "=" is said
            as it is.
    """
    named = {name.replace("_", "-"): keys for name, keys in parts.items()}
    words = [f'{name}="{escape(_sentences(keys))}"' for name, keys in named.items()]
    return Html(f'{" ".join(words)} data-fw-attributes="{escape(json.dumps(named))}"')


def _sentences(keys: list[str]) -> str:
    """Like `sentences` in `texts.js`."""
    said = [key[1:] if key.startswith("=") else english(key) for key in keys]
    return " ".join(part if part.endswith(".") or part is said[-1] else f"{part}." for part in said)


def viewer_texts() -> dict[str, dict[str, str]]:
    """The texts of the 3D view, for a page without Gradio."""
    return {
        language: {key: said for key, said in texts.items() if key.startswith(VIEWER)}
        for language, texts in TEXTS.items()
    }
