"""Progress of a batch as one line at intervals: scenes done, scenes per minute, time left, failures."""

from __future__ import annotations

import time
from collections.abc import Callable

from flashworld.batch.results import Outcome

EVERY_S = 10.0
"""Interval between two lines."""


class BatchProgress:
    """Counts outcomes and reports a line at the first, every `EVERY_S`, and at the end; a note at its first scene.

    Args:
        total: Number of scenes in the manifest.
        finished: Number of scenes finished before.
        say: Receives each line.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, total: int, finished: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.done, self.failed = total, finished, 0
        self._earlier, self._say, self._clock = finished, say, clock
        self._start = clock()
        self._said = -EVERY_S + self._start
        self._noted: set[str] = set()

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        if outcome.state == "done":
            self.done += 1
        else:
            self.failed += 1
            self._say(f"scene {outcome.id}: {outcome.error}")
        for note in outcome.notes:
            if note not in self._noted:
                self._noted.add(note)
                self._say(f"scene {outcome.id}: note: {note}")
        now = self._clock()
        if now - self._said >= EVERY_S or self.done + self.failed == self.total:
            self._said = now
            self._say(self.line())

    @property
    def per_minute(self) -> float:
        """Scenes finished per minute since the start, including the model's loading."""
        return 60 * (self.done - self._earlier) / max(self._clock() - self._start, 1e-9)

    def line(self) -> str:
        """The progress line."""
        left = self.total - self.done - self.failed
        time_left = f", {duration_text(60 * left / self.per_minute)} left" if left and self.per_minute else ""
        return f"{self.done} of {self.total} scenes, {self.per_minute:.1f} a minute{time_left}, {self.failed} failed"


def duration_text(seconds: float) -> str:
    """Format a duration: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
