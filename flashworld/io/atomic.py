"""Atomic file writing: write under a temporary name in the same folder, then rename.

Temporary names are `.flashworld-<random>.part<suffix>`, so that files left behind by a killed process can be found.
Nothing is synced to disk: this protects against failures of the program and full disks, not against power failures.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flashworld.checks import echo, file_name
from flashworld.errors import WriteError

TEMPORARY_PATTERN = ".flashworld-*.part*"
"""Glob for leftovers of processes that were killed while writing."""
MAX_SUFFIX_CHARS = 20
"""Pillow and the encoder evaluate the suffix; they support none that is longer."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """As `temporary_beside`; an OSError inside the block is raised as a `WriteError`.

    Raises:
        WriteError: the file cannot be created, written or moved (no folder, no permission, disk full).
    """
    with temporary_beside(path) as temporary:
        try:
            yield temporary
        except OSError as error:
            raise cannot_write(path, error) from error


@contextmanager
def temporary_beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, renamed to `path` if the block succeeds and removed otherwise.

    A symbolic link at `path` is replaced; its target is not changed. Errors inside the block pass through.

    Raises:
        WriteError: `path` names no file, or the finished file cannot be moved there.
    """
    target = Path(path)
    if not target.name or target.name == ".." or not _storable(target):
        raise WriteError(f"expected the name of a file to write, got {echo(str(path))}")
    temporary = target.with_name(f".flashworld-{secrets.token_hex(8)}.part{target.suffix[:MAX_SUFFIX_CHARS]}")
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
    """Open a binary file for writing that appears at `path` only if the block succeeds.

    Raises:
        WriteError: the file cannot be created, written or moved (no folder, no permission, disk full).
    """
    with replacing(path) as temporary, temporary.open("xb") as file:
        yield file


def cannot_write(path: str | Path, error: OSError) -> WriteError:
    """The error for a file that cannot be written."""
    return WriteError(f"{file_name(path)}: the file cannot be written: {error.strerror or type(error).__name__}")


def _storable(path: Path) -> bool:
    """Whether a file system can represent the name: no NUL, no lone surrogate."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
