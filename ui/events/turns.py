"""One job per page: after Stop, the next job is held until the browser has released the previous one.

Gradio ignores an event while an earlier submission of the same event is pending, and stopping takes as long as the current
step. A request made in that time must neither be lost nor be mistaken for a full queue.
"""

from __future__ import annotations

import threading

HOLD_SECONDS = 20.0
"""The longest hold; a step of a job takes less. Also covers a browser that never reports the end."""


class _Turn:
    def __init__(self) -> None:
        self.stopping = False
        self.over = threading.Event()


class Turns:
    """The running jobs, by page."""

    def __init__(self, hold_seconds: float = HOLD_SECONDS) -> None:
        self._hold_seconds = hold_seconds
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()

    def take(self, page: str) -> None:
        """Begin a job; waits until the page's previous one has ended."""
        with self._lock:
            last = self._turns.get(page)
        if last is not None:
            last.over.wait(self._hold_seconds)
        with self._lock:
            self._turns[page] = _Turn()

    def stop(self, page: str) -> None:
        """The page's job is being cancelled: it ends when the cancellation ends, not by success in the meantime."""
        with self._lock:
            if page in self._turns:
                self._turns[page].stopping = True

    def stopping(self, page: str) -> bool:
        """Whether a job of the page is currently being cancelled."""
        with self._lock:
            return page in self._turns and self._turns[page].stopping

    def succeeded(self, page: str) -> None:
        """The browser has received the job's final result."""
        if not self.stopping(page):
            self.end(page)

    def end(self, page: str) -> None:
        """The browser has released the job: it failed, its cancellation is complete, or the page was closed."""
        with self._lock:
            turn = self._turns.pop(page, None)
        if turn is not None:
            turn.over.set()
