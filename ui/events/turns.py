"""One job a page: after Stop, the next is held until the browser has let go of the one before.

Gradio starts nothing while an earlier submission of the same event is pending, and stopping takes as long as the step
that runs. What a page asks for in that time must neither be lost nor be taken for a full queue.
"""

from __future__ import annotations

import threading

HOLD_SECONDS = 20.0
"""The longest hold; a step of a job takes less. Also the way out where a browser never says that it is done."""


class _Turn:
    def __init__(self) -> None:
        self.stopping = False
        self.over = threading.Event()


class Turns:
    """Whose job runs, by page."""

    def __init__(self, hold_seconds: float = HOLD_SECONDS) -> None:
        self._hold_seconds = hold_seconds
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()

    def take(self, page: str) -> None:
        """Begin a job; waits until the page's last one is over."""
        with self._lock:
            last = self._turns.get(page)
        if last is not None:
            last.over.wait(self._hold_seconds)
        with self._lock:
            self._turns[page] = _Turn()

    def stop(self, page: str) -> None:
        """The page's job is being cancelled: only the end of that, and no success meanwhile, is its end."""
        with self._lock:
            if page in self._turns:
                self._turns[page].stopping = True

    def stopping(self, page: str) -> bool:
        """Whether a job of the page is being cancelled just now."""
        with self._lock:
            return page in self._turns and self._turns[page].stopping

    def succeeded(self, page: str) -> None:
        """The browser has seen the job's last word."""
        if not self.stopping(page):
            self.end(page)

    def end(self, page: str) -> None:
        """The browser has let go of the job: failed, or cancelled and done with that; or the page is gone."""
        with self._lock:
            turn = self._turns.pop(page, None)
        if turn is not None:
            turn.over.set()
