"""A private folder for the uploads and results of a running app, deleted with the process.

The folder is locked while its process is alive (the system releases the lock, however the process ends; forked workers,
which may outlive it, close their copy). So the next app to start can tell which folders were left behind by a killed
process, and removes them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

PREFIX = "flashworld-app-"
LOCK_NAME = ".lock"
YOUNG_SECONDS = 60.0
"""A folder younger than this may belong to a process that has not locked it yet."""

logger = logging.getLogger(__name__)


@cache
def private_folder() -> Path:
    """The private folder of this process."""
    return make_private_folder()


def make_private_folder(parent: str | Path | None = None) -> Path:
    """Create a folder that only this user can read, and remove those of dead processes.

    Args:
        parent: Parent folder; None for the system's temporary folder.
    """
    parent = Path(parent or tempfile.gettempdir())
    remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)  # stays open until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.register_at_fork(after_in_child=lambda: os.close(lock))
    return folder


def remove_abandoned(parent: Path, now: float | None = None) -> list[Path]:
    """Delete the folders in `parent` whose process has ended; returns them."""
    now = time.time() if now is None else now
    gone = []
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            status = folder.lstat()
            abandoned = (
                status.st_uid == os.getuid() and now - status.st_mtime > YOUNG_SECONDS and not _is_locked(folder)
            )
        except OSError:
            continue  # another process was faster, or it is not one of our folders
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder)
    if gone:
        logger.info("removed %d temporary folders of apps that were killed", len(gone))
    return gone


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
