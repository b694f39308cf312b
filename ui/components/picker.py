"""A picture gallery that is a radio group: arrow keys move, captions are read out, the choice arrives as `pick`.

`gr.Gallery` names its pictures "Thumbnail 3 of 27" and hides captions from screen readers, hence this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

_SCRIPT = (Path(__file__).parents[1] / "assets" / "picker.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Choice:
    """One tile.

    Attributes:
        name: Its value.
        title: Shown below the picture.
        caption: What a screen reader says as well, and the tooltip.
        picture: A file below a static folder; animated where the visitor allows motion.
        still: The same without motion.
        words: Shown where there is no picture.
    """

    name: str
    title: str
    caption: str
    picture: Path | None = None
    still: Path | None = None
    words: str = ""


class Picker(gr.HTML):
    """Tiles to choose one of. The value is the chosen name or None."""

    def __init__(
        self, choices: list[Choice], *, legend: str, group: str, value: str | None = None, **kwargs: Any
    ) -> None:
        """A gallery of `choices`; `group` is the radio group's name and a CSS class, `legend` its spoken name."""
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
        f'<fieldset class="fw-picker fw-picker-{escape(group)}"><legend>{escape(legend)}</legend>'
        f'<div class="fw-tiles">{tiles}</div></fieldset>'
    )


def _tile(choice: Choice, group: str) -> str:
    name, title, caption = escape(choice.name), escape(choice.title), escape(choice.caption)
    picture = f'<span class="fw-tile-words" aria-hidden="true">{escape(choice.words)}</span>'
    if choice.picture is not None:
        still = choice.still or choice.picture
        picture = (
            f'<img alt="" loading="lazy" decoding="async" data-file="{escape(choice.picture.as_posix())}" '
            f'data-still="{escape(still.as_posix())}">'
        )
    return (
        f'<label class="fw-tile" title="{caption}"><input type="radio" name="fw-{escape(group)}" value="{name}" '
        f'aria-label="{title}. {caption}"><span class="fw-tile-picture">{picture}</span>'
        f'<span class="fw-tile-title" aria-hidden="true">{title}</span></label>'
    )
