"""Pictures inside the page's HTML: data URLs, the crop preview."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from flashworld.io.images.crops import crop_box
from flashworld.types import Frame
from ui.texts import Html, html

if TYPE_CHECKING:
    from flashworld.io.images.reading import Photo

PREVIEW_SIDE_PX = 480
DIMMED = 0.28
"""Brightness factor of the area outside the crop."""
SEEN_LOSS = 0.06
"""A smaller loss is only described in words: a preview that looks the same as the picture is no help."""


def data_url(picture: Frame, *, side_px: int | None = None, quality: int = 82) -> str:
    """A JPEG data URL of an RGB picture, uint8 (H, W, 3), no side longer than `side_px`."""
    image = Image.fromarray(picture)
    if side_px is not None:
        image.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def crop_html(photo: Photo, height: int, width: int) -> str:
    """The picture with the area outside the crop dimmed, and one sentence about it."""
    rows, columns = photo.pixels.shape[:2]
    crop = crop_box(rows, columns, height, width)
    lost = 1 - crop.width * crop.height / (rows * columns)
    if lost < 0.01:
        return f'<p class="fw-note">{html("crop.whole", width=width, height=height)}</p>'
    where = "sides" if crop.width < columns else "ends"
    values = {"width": width, "height": height, "lost": f"{lost:.0%}"}
    if lost < SEEN_LOSS:
        return f'<p class="fw-note">{html(f"crop.{where}", **values)}</p>'
    small = Image.fromarray(photo.pixels)
    small.thumbnail((PREVIEW_SIDE_PX, PREVIEW_SIDE_PX))
    shrink = small.width / columns
    bright = np.asarray(small)
    shown = (bright * DIMMED).astype(np.uint8)
    window = (
        slice(round(crop.y0 * shrink), round((crop.y0 + crop.height) * shrink)),
        slice(round(crop.x0 * shrink), round((crop.x0 + crop.width) * shrink)),
    )
    shown[window] = bright[window]
    said = html(f"crop.bright_{where}", **values)
    return f'<img class="fw-crop" alt="" src="{data_url(shown)}"><p class="fw-note">{said}</p>'


def error_html(message: str) -> str:
    """A sentence in red to show next to a control."""
    said = message if isinstance(message, Html) else escape(message[:1].upper() + message[1:])
    return f'<p class="fw-note fw-bad" role="alert">{said}</p>'


def remarks_html(remarks: Sequence[str]) -> str:
    """Remarks on accepted input, to show next to its control; empty if there are none."""
    sentences = "".join(f"<li>{escape(text[:1].upper() + text[1:])}.</li>" for text in (r.rstrip(".") for r in remarks))
    return f'<ul class="fw-note fw-remarks" role="status">{sentences}</ul>' if sentences else ""
