"""A picture gallery that is a radio group: arrow keys move, captions are announced, a choice fires the `pick` event.

`gr.Gallery` names its pictures "Thumbnail 3 of 27" and hides captions from screen readers; this component does neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ui.texts import attributes, html

_SCRIPT = (Path(__file__).parents[1] / "assets" / "picker.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Choice:
    """One tile of the gallery.

    Attributes:
        name: Its value.
        title: Shown below the picture; a key of `ui.texts`, or "=" followed by the text itself.
        caption: The tooltip, also announced by screen readers; same format as `title`.
        credit: Announced after the caption, not translated.
        still: Path of a picture in a static folder.
        moving: Its animation, shown while the tile is hovered over or has the focus, unless the visitor prefers
            reduced motion.
        words: Shown instead if there is no picture.
    """

    name: str
    title: str
    caption: str
    still: Path | None = None
    moving: Path | None = None
    words: str = ""
    credit: str = ""


class Picker(gr.HTML):
    """Tiles, one of which can be selected. The value is its name, or None."""

    def __init__(
        self, choices: list[Choice], *, legend: str, group: str, value: str | None = None, **kwargs: Any
    ) -> None:
        """A gallery of `choices`; `group` is the radio group's name and a CSS class, `legend` the key of its
        spoken name.
        """
        super().__init__(
            value=value,
            html_template=_template(choices, legend, group),
            js_on_load=_SCRIPT,
            apply_default_css=False,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        """Never part of the public API."""
        return {"type": "string"}


def _template(choices: list[Choice], legend: str, group: str) -> str:
    tiles = "".join(_tile(choice, group) for choice in choices)
    return (
        f'<fieldset class="fw-picker fw-picker-{escape(group)}"><legend>{html(legend)}</legend>'
        f'<div class="fw-tiles">{tiles}</div></fieldset>'
    )


def _tile(choice: Choice, group: str) -> str:
    name = escape(choice.name)
    title = escape(choice.title[1:]) if choice.title.startswith("=") else html(choice.title)
    said = [choice.caption, *([f"={choice.credit}"] if choice.credit else [])]
    picture = f'<span class="fw-tile-words" aria-hidden="true">{escape(choice.words)}</span>'
    if choice.still is not None:
        moving = "" if choice.moving is None else f' data-moving="{escape(choice.moving.as_posix())}"'
        picture = f'<img alt="" loading="lazy" decoding="async" data-still="{escape(choice.still.as_posix())}"{moving}>'
    return (
        f'<label class="fw-tile" {attributes(title=said)}><input type="radio" name="fw-{escape(group)}" value="{name}" '
        f"{attributes(aria_label=[choice.title, *said])}><span class='fw-tile-picture'>{picture}</span>"
        f'<span class="fw-tile-title" aria-hidden="true">{title}</span></label>'
    )
