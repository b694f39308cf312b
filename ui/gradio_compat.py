"""Access to Gradio's internals that the page changes or reads. Read from Gradio 6.31.0."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gradio import processing_utils
from gradio.route_utils import FnIndexInferError
from gradio.utils import LRUCache

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


def remember_sessions(queue: Queue, sessions: int) -> None:
    """Keep the message queues of at most this many idle sessions, by default 2,000 sessions of any kind.

    A message queue takes 3 kB in five blocks, which keep the pages around them from being returned to the system.
    """
    queue.pending_messages_per_session = _MessageQueues(queue, sessions)


class _MessageQueues(LRUCache):
    """Message queues by session; beyond `max_size`, those of idle sessions are removed, oldest first.

    A session is idle if none of its requests is waiting or running. Gradio itself removes the oldest, even of a
    visitor whose request is still waiting.
    """

    def __init__(self, queue: Queue, max_size: int) -> None:
        super().__init__(max_size)
        self._queue = queue

    def __setitem__(self, session: str, messages: Any) -> None:
        if session not in self and len(self) >= self.max_size:
            oldest = next((other for other in self if self._idle(other)), None)
            if oldest is not None:
                del self[oldest]
                self._queue.pending_event_ids_session.pop(oldest, None)
        OrderedDict.__setitem__(self, session, messages)

    def _idle(self, session: str) -> bool:
        requests = self._queue.pending_event_ids_session.get(session, ())
        return not any(request in self._queue.event_ids_to_events for request in requests)
