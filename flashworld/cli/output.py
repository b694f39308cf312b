"""Output of the command line: results on standard output, progress bars and errors on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from flashworld.errors import FlashWorldError
from flashworld.serving.file_progress import FileProgress

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
        print(text.encode("utf-8", "backslashreplace").decode("utf-8"))  # file names need not be UTF-8

    def fail(self, error: FlashWorldError) -> None:
        """Print an error in one sentence."""
        if self.json_wanted:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        print(f"flashworld: {error}", file=sys.stderr)

    def note(self, text: str) -> None:
        """Print a line of progress."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def remarks(self, notes: Iterable[str]) -> None:
        """Print notes on an input file, even with --quiet: they may explain an unexpected result."""
        for note in notes:
            print(f"note: {note}", file=sys.stderr)

    def bar(self, items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
        """Pass items through a progress bar."""
        from tqdm import tqdm

        return iter(tqdm(items, total=total, desc=what, disable=self.quiet, file=sys.stderr, leave=False))

    def file_progress(self) -> FileProgress:
        """A callback `(what, done, total)` that draws one bar per file."""
        return FileProgress(quiet=self.quiet)
