"""Whole files or none: write under a temporary name in the same folder, then rename.

Temporary names are `.flashworld-<random>.part<suffix>`, so that what a killed process left behind can be found.
Nothing is synced to disk: this guards against failures of the program and full disks, not against power cuts.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flashworld.errors import ExportError

TEMPORARY_PATTERN = ".flashworld-*.part*"
"""Glob for leftovers of processes that were killed while writing."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it becomes `path` when the block ends well and is removed when not.

    Raises:
        ExportError: the finished file cannot be moved to `path`.
    """
    target = Path(path)
    temporary = target.with_name(f".flashworld-{secrets.token_hex(8)}.part{target.suffix}")
    try:
        yield temporary
        try:
            temporary.replace(target)
        except OSError as error:
            raise cannot_write(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing that appears at `path` only when the block ends well.

    Raises:
        ExportError: the file cannot be created, written or moved (no folder, no permission, disk full).
    """
    with replacing(path) as temporary:
        try:
            with temporary.open("xb") as file:
                yield file
        except OSError as error:
            raise cannot_write(path, error) from error


def cannot_write(path: str | Path, error: OSError) -> ExportError:
    """The one wording for a file that cannot be written."""
    return ExportError(f"{Path(path).name}: the file cannot be written: {error.strerror or error}")
