"""Access to Gradio's internals that the page changes or reads. Read from Gradio 6.31.0."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gradio import processing_utils
from gradio.route_utils import FnIndexInferError

if TYPE_CHECKING:
    from gradio.queueing import Queue

Download = Callable[[str, str], Awaitable[str]]
"""Maps a URL and a folder to the path of the downloaded file."""
UNKNOWN_FUNCTION = (FnIndexInferError, KeyError)
"""The errors that Gradio raises for an unknown function name or index, which it does not check."""


def download_with(download: Download) -> None:
    """Replace the function that downloads the "path" of a file if it is a URL; Gradio has no option for this."""
    processing_utils.async_ssrf_protected_download = download


def people_ahead(queue: Queue, line: str, visitor: str) -> int | None:
    """Number of requests served before the visitor's: running ones and those queued earlier.

    Args:
        queue: Gradio's queue, which reports positions only to its own status label.
        line: The `concurrency_id` of the events that share a queue.
        visitor: The session hash of the visitor's page.

    Returns:
        The number, or None if the visitor has no waiting request.
    """
    waiting = queue.event_queue_per_concurrency_id.get(line)
    if waiting is None:
        return None
    for rank, event in enumerate(list(waiting.queue)):
        if event.session_hash == visitor:
            return rank + waiting.current_concurrency
    return None
