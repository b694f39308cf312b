"""Access to Gradio's internals that the page changes or reads. Read from Gradio 6.31.0."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gradio import processing_utils, state_holder
from gradio.route_utils import FnIndexInferError
from gradio.utils import LRUCache

if TYPE_CHECKING:
    from asyncio import Queue as AsyncQueue

    from gradio.blocks import Blocks
    from gradio.queueing import Queue
    from gradio.server_messages import EventMessage

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


def keep_no_copies_for_deep_links() -> None:
    """Create sessions without a copy of the page's configuration, which Gradio keeps to create deep links from.

    A copy takes 120 kB and 28 ms on a slow core, in which the server answers nobody.
    """
    state_holder.SessionState = _Session


class _Page:
    """What a session takes from its page, with no component to copy."""

    def __init__(self, page: Blocks) -> None:
        self.default_config, self.blocks = page.default_config, {}


class _Session(state_holder.SessionState):
    """A session whose components cannot be listed; their values and states are kept as usual."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(_Page(blocks))  # pyright: ignore[reportArgumentType]

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


def remember_sessions(queue: Queue, sessions: int) -> None:
    """Keep the message queues of this many sessions, and of those in which a request waits, runs or was not answered yet.

    Gradio keeps 2,000, whether they are needed or not. A message queue takes 3 kB in five blocks, which keep the pages
    around them from being returned to the system.
    """
    queue.pending_messages_per_session = _MessageQueues(queue, sessions)


class _MessageQueues(LRUCache[str, "AsyncQueue[EventMessage]"]):
    """Message queues by session. Beyond `sessions` the oldest that is done is removed; beyond Gradio's own limit, the oldest
    without a waiting or running request. Gradio itself removes the oldest, even if its visitor is waiting.
    """

    def __init__(self, queue: Queue, sessions: int) -> None:
        super().__init__(queue.pending_messages_per_session.max_size)
        self._queue, self._sessions = queue, sessions

    def __setitem__(self, session: str, messages: AsyncQueue[EventMessage]) -> None:
        if session not in self and len(self) >= self._sessions:
            self._remove_one()
        OrderedDict.__setitem__(self, session, messages)

    def _remove_one(self) -> None:
        """Remove a session, and the ids that Gradio keeps of requests whose visitors have left while they ran."""
        ids = self._queue.pending_event_ids_session
        busy = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        for left in [session for session in ids if session not in self and session not in busy]:
            del ids[left]
        idle = [session for session in self if session not in busy]
        done = [session for session in idle if not ids.get(session)]  # an id is kept until its answer is delivered
        for oldest in done[:1] or (idle[:1] if len(self) >= self.max_size else ()):
            del self[oldest]
            ids.pop(oldest, None)
