"""Progress bars on standard error for files that are read or downloaded."""

from __future__ import annotations

import sys
from typing import Self


class FileProgress:
    """A progress bar for the file that is being read or downloaded; a context manager that removes the bar at the end.

    Args:
        quiet: Draw nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._what = ""
        self._bar = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` bytes of `what` are complete."""
        from tqdm import tqdm

        if self.quiet:
            return
        if what != self._what:
            self.close()
            self._what = what
            self._bar = tqdm(total=total, desc=what, unit="B", unit_scale=True, file=sys.stderr, leave=False)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
