"""Folders of results: one private root, one folder per generation. Old ones are deleted, never those in use.

A folder is kept for an hour after it was last touched; longer while it is being written, and while it is the newest
result of a page that is still open, but never longer than a day. Names contain 128 random bits, so nobody without the link can
guess one. Nothing that a visitor sends becomes part of a path.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flashworld.errors import WriteError
from flashworld.serving.private_folder import private_folder

KEEP_SECONDS = 3600.0
LONGEST_SECONDS = 24 * 3600.0
"""A page recorded as open may be gone: its connection was lost, or a client never closed it."""
SWEEP_SECONDS = 300.0

logger = logging.getLogger(__name__)


@dataclass
class _Visitor:
    """The state of one open page."""

    newest: Path | None = None
    open: bool = True
    writing: set[Path] = field(default_factory=set)
    seen: float = 0.0


class Sessions:
    """All result folders of one running app."""

    def __init__(self, root: Path | None = None, keep_seconds: float = KEEP_SECONDS) -> None:
        self.root = root or private_folder() / "results"
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.keep_seconds = keep_seconds
        self._visitors: dict[str, _Visitor] = {}
        self._lock = threading.Lock()
        self._last_sweep = time.monotonic()

    @contextmanager
    def new_folder(self, visitor: str = "") -> Iterator[Path]:
        """An empty folder, protected from deletion inside the `with`; deleted if the block fails or is closed.

        Args:
            visitor: The page that will show the result as long as it is open; empty for an API client, whose files live an hour.

        Raises:
            WriteError: the folder cannot be created.
        """
        self.sweep_if_due()
        folder = self.root / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(16)}"
        with self._lock:
            known = self._visitors.setdefault(visitor or folder.name, _Visitor())
            known.open = True
            known.seen = time.time()
            known.writing.add(folder)
        try:
            self._make(folder)
            yield folder
        except BaseException:  # includes GeneratorExit: a stopped job leaves no files
            shutil.rmtree(folder, ignore_errors=True)
            raise
        else:
            with self._lock:
                known.newest = folder
        finally:
            with self._lock:
                known.writing.discard(folder)
                if not visitor:
                    del self._visitors[folder.name]

    def _make(self, folder: Path) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)  # the temporary folder may have been emptied
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise WriteError(f"no folder for the result: {error.strerror}") from error

    def close(self, visitor: str) -> None:
        """The visitor's page was closed; its folders expire from now on."""
        with self._lock:
            known = self._visitors.pop(visitor, None)
            if known is not None and known.writing:
                known.open = False
                self._visitors[visitor] = known
        if known is not None and known.newest is not None and known.newest.exists():
            known.newest.touch()

    def sweep_if_due(self) -> None:
        """Delete old folders, at most every few minutes."""
        with self._lock:
            due = time.monotonic() - self._last_sweep >= min(SWEEP_SECONDS, self.keep_seconds)
            if due:
                self._last_sweep = time.monotonic()
        if due:
            self.sweep()

    def sweep(self, now: float | None = None) -> list[Path]:
        """Delete folders older than `keep_seconds` that are neither shown nor written to; returns them."""
        now = time.time() if now is None else now
        with self._lock:
            silent = [
                name
                for name, v in self._visitors.items()
                if not v.writing and (now - v.seen > LONGEST_SECONDS or not v.open)
            ]
            for name in silent:
                del self._visitors[name]
            used = {v.newest for v in self._visitors.values() if v.open} | {
                folder for v in self._visitors.values() for folder in v.writing
            }
        gone = []
        for folder in list(self.root.iterdir()) if self.root.is_dir() else []:
            try:
                old = now - folder.stat().st_mtime > self.keep_seconds
            except FileNotFoundError:
                continue  # deleted concurrently
            if old and folder not in used:
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
        if gone:
            logger.info("removed %d old result folders", len(gone))
        return gone
