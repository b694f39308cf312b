"""How a model with a limited vocabulary interprets a prompt, shown below the text while it is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from flashworld.nano.language.scene import GROUNDS, SHAPES, SKIES
from ui.events.latest import on_latest
from ui.texts import Html, html, text

if TYPE_CHECKING:
    from flashworld.nano.language import Understood

MOST_UNKNOWN = 8
"""Maximum number of unknown words shown; a pasted page has hundreds."""


def known_words() -> str:
    """That model's vocabulary, shown below the text box; it reads only English, so the words are not translated."""
    lists = [f"{title}: {', '.join(words)}" for title, words in {"Things": SHAPES, "ground": GROUNDS}.items()]
    return f"{text('words.knows')} {'; '.join(lists)}; sky: {', '.join(SKIES)}; colours, sizes, left and right."


def understood_html(found: Understood, words: str) -> str:
    """One or two sentences; empty without a text."""
    if not words.strip():
        return ""
    sentences = []
    if found.phrases:
        sentences.append(html("words.understood", words=_list(found.phrases)))
    if found.unknown:
        key = "words.unknown_more" if len(found.unknown) > MOST_UNKNOWN else "words.unknown"
        sentences.append(html(key, words=_list(found.unknown[:MOST_UNKNOWN])))
    if not found.phrases:
        sentences.append(html("words.none"))
    kind = "" if found.phrases else " fw-bad"
    return f'<p class="fw-note{kind}" role="status">{" ".join(sentences)}</p>'


def _list(words: Iterable[str]) -> Html:
    return Html(", ".join(f"<b>{escape(word)}</b>" for word in words))


def connect_words(understood: Callable[[str], Understood], prompt: gr.Textbox, line: gr.HTML) -> None:
    """Update the line when the text changes."""

    def say(words: str | None) -> str:
        return understood_html(understood(words or ""), words or "")

    on_latest([prompt.change], say, prompt, line)
