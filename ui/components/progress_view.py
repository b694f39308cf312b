"""The running job as HTML: named steps, a progress bar, the current preview. Text is escaped here."""

from __future__ import annotations

import re
import time
from html import escape, unescape

from flashworld.progress import STAGE_TITLES, Progress
from ui.components.pictures import data_url
from ui.texts import Html, attributes, html

PLACE_JS = """(text) => {
  const place = document.querySelector("#fw-progress .fw-place-in-line");
  if (place && place.dataset.place !== text) {
    place.dataset.place = text;
    place.innerHTML = text;
  }
}"""
"""Updates the waiting text if it is still shown: a late response must not overwrite a later state."""


def progress_html(progress: Progress, picture: str | None, left_s: float | None = None, *, aside: bool = False) -> str:
    """Completed, current and remaining steps.

    Args:
        progress: The current step.
        picture: A data URL, or None.
        left_s: Estimated remaining seconds, which `progress.js` counts down; None if unknown.
        aside: As a strip that leaves the new scene visible.
    """
    names = list(STAGE_TITLES)
    now = names.index(progress.stage)
    current = "todo" if progress.waiting else 'now" aria-current="step'
    classes = ["done"] * now + [current] + ["todo"] * (len(names) - now - 1)
    steps = "".join(
        f'<li class="{kind}">{html(f"stage.{name}")}</li>' for name, kind in zip(names, classes, strict=True)
    )
    percent = round(100 * min(max(progress.fraction, 0.0), 1.0))
    image = (
        f'<img src="{picture}" {attributes(alt=["progress.preview"])}>' if picture else '<div class="fw-blank"></div>'
    )
    if progress.waiting:
        said = html("progress.worker")
    else:
        step = html("progress.step", step=progress.step, steps=progress.steps) if progress.steps else ""
        said = html(f"stage.{progress.stage}") + step
    name = attributes(aria_label=["progress.name"])
    return (
        f'<section class="fw-progress{" fw-strip" if aside else ""}" {name}>{image}'
        f'<div class="fw-progress-text"><p role="status">{said}</p>'
        f'<progress max="100" value="{percent}" {name}>{percent} %</progress>'
        f"{_left_html(left_s)}"
        f'<ol class="fw-steps">{steps}</ol></div></section>'
    )


def _left_html(left_s: float | None) -> str:
    if left_s is None:
        return '<p class="fw-left"></p>'
    return f'<p class="fw-left" data-seconds="{left_s:.1f}" data-said="{time.monotonic():.3f}"></p>'


def waiting_html() -> str:
    """Before the first step: the request is in the queue. `PLACE_JS` writes the position into this text."""
    name = attributes(aria_label=["progress.name"])
    return (
        f'<section class="fw-progress" {name}><div class="fw-blank"></div><div class="fw-progress-text">'
        f'<p role="status">{html("progress.waiting")}</p><progress {name}></progress>'
        '<p class="fw-left fw-place-in-line" role="status"></p></div></section>'
    )


def message_html(text: str, *, bad: bool = False) -> str:
    """One sentence in place of the progress: stopped, or failed."""
    role = "alert" if bad else "status"
    sentence = text if isinstance(text, Html) else escape(text[:1].upper() + text[1:])
    return f'<p class="fw-message{" fw-bad" if bad else ""}" role="{role}">{sentence}</p>'


def plain_text(message: str) -> str:
    """A message that may hold HTML (ours is escaped, ZeroGPU's has links) as plain text."""
    return unescape(re.sub(r"<[^<>]{0,400}>", "", message)).strip()


def preview_of(progress: Progress, last: str | None) -> str | None:
    """The preview as a data URL, or the previous one if this step has none."""
    return last if progress.preview is None else data_url(progress.preview, side_px=704)
