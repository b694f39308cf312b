"""What the page changes or reads inside Gradio, beyond its public names. Read from Gradio 6.31.0."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gradio import processing_utils
from gradio.route_utils import FnIndexInferError

if TYPE_CHECKING:
    from gradio.queueing import Queue

Download = Callable[[str, str], Awaitable[str]]
"""Address and folder to the path of the downloaded file."""
UNKNOWN_FUNCTION = (FnIndexInferError, KeyError)
"""What Gradio raises for the name or number of a function that is not there: it does not look first."""


def download_with(download: Download) -> None:
    """Replace what downloads the "path" of a file when it is a link; Gradio has no option for it."""
    processing_utils.async_ssrf_protected_download = download


def people_ahead(queue: Queue, line: str, visitor: str) -> int | None:
    """Requests that are served before the visitor's: those that run and those that came earlier.

    Args:
        queue: Gradio's queue, which tells nobody but its own small label.
        line: The `concurrency_id` of the events that share a line.
        visitor: The session hash of the page that asks.

    Returns:
        The count, or None when nothing of the visitor's waits there.
    """
    waiting = queue.event_queue_per_concurrency_id.get(line)
    if waiting is None:
        return None
    for rank, event in enumerate(list(waiting.queue)):
        if event.session_hash == visitor:
            return rank + waiting.current_concurrency
    return None
