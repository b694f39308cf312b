"""How the command line speaks: results on standard output, progress bars and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from flashworld.errors import FlashWorldError

Item = TypeVar("Item")


class Output:
    """Standard output and error of one command.

    Args:
        json_wanted: Results as one JSON object.
        quiet: No progress bars.
    """

    def __init__(self, *, json_wanted: bool, quiet: bool) -> None:
        self.json_wanted = json_wanted
        self.quiet = quiet

    def result(self, data: dict[str, object], text: str) -> None:
        """Print a command's result, once: `data` with --json, `text` without."""
        text = json.dumps(data, indent=1) if self.json_wanted else text
        print(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # names of files need not be UTF-8

    def fail(self, error: FlashWorldError) -> None:
        """Print one sentence about what went wrong."""
        if self.json_wanted:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        print(f"flashworld: {error}", file=sys.stderr)

    def note(self, text: str) -> None:
        """A line of progress."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def bar(self, items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
        """Pass items through a progress bar."""
        from tqdm import tqdm

        return iter(tqdm(items, total=total, desc=what, disable=self.quiet, file=sys.stderr, leave=False))

    def bytes_progress(self) -> BytesProgress:
        """A callback `(what, done, total)` that draws one bar a file."""
        return BytesProgress(quiet=self.quiet)


class BytesProgress:
    """One bar for whichever file is being read or downloaded now."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._what = ""
        self._bar = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` bytes of `what` are there."""
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
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
