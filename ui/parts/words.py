"""What a model that knows some words alone makes of a prompt, said below the words while they are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from flashworld.nano.language.scene import GROUNDS, SHAPES, SKIES
from ui.events.quiet import QUIET

if TYPE_CHECKING:
    from flashworld.nano.language import Understood

PLACEHOLDER = "A large red ball and a blue cube on grass, under a sunset sky"
MOST_UNKNOWN = 8
"""Words named of those that mean nothing; a pasted page has hundreds."""


def known_words() -> str:
    """What such a model knows, for below the words' box."""
    lists = [f"{title}: {', '.join(words)}" for title, words in {"Things": SHAPES, "ground": GROUNDS}.items()]
    return f"{'; '.join(lists)}; sky: {', '.join(SKIES)}; colours, sizes, left and right."


def understood_html(found: Understood, text: str) -> str:
    """One or two sentences; nothing for no words."""
    if not text.strip():
        return ""
    sentences = []
    if found.phrases:
        sentences.append(f"Understood: {_list(found.phrases)}.")
    if found.unknown:
        more = " and more" if len(found.unknown) > MOST_UNKNOWN else ""
        sentences.append(f"This small model does not know {_list(found.unknown[:MOST_UNKNOWN])}{more}.")
    if not found.phrases:
        sentences.append("With no word that it knows, the scene follows the picture alone, or chance.")
    kind = "" if found.phrases else " fw-bad"
    return f'<p class="fw-note{kind}" role="status">{" ".join(sentences)}</p>'


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"<b>{escape(word)}</b>" for word in words)


def connect_words(understood: Callable[[str], Understood], prompt: gr.Textbox, line: gr.HTML) -> None:
    """Keep the line true to the box."""

    def say(text: str | None) -> str:
        return understood_html(understood(text or ""), text or "")

    prompt.change(say, prompt, line, trigger_mode="always_last", **QUIET)
    # A change that comes just as an answer does can be dropped by the browser's side: leaving the box settles it.
    prompt.blur(say, prompt, line, trigger_mode="multiple", **QUIET)
