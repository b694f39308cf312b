"""Exit immediately, whatever is running, and clean up."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from types import FrameType
from typing import NoReturn

from flashworld.serving.private_folder import private_folder

OWNER_PID = os.getpid()
"""ZeroGPU's workers are forks of this process and must not clean up after it."""


def leave(code: int) -> NoReturn:
    """Exit with a code, after ending the workers and deleting the private folder.

    Not `sys.exit`: it waits for threads, and one may be in the middle of a scene, or abort the process while it is
    still loading the model.
    """
    if os.getpid() == OWNER_PID:
        shutil.rmtree(private_folder(), ignore_errors=True)
        for worker in multiprocessing.active_children():
            worker.kill()
    sys.stderr.flush()
    os._exit(code)


def leave_on_signals() -> None:
    """Make SIGTERM and SIGINT call `leave`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: FrameType | None = None) -> None:
    leave(128 + number)
