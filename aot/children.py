"""Child processes for work that may crash or needs a separate process: their environment, and how they ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
TAIL_LINES = 12
"""Lines of a dead process's output that are logged."""
PR_SET_PDEATHSIG = 1


def environment() -> dict[str, str]:
    """This process's environment, without ZeroGPU's CUDA emulation, and with this project on the module path."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {k: v for k, v in os.environ.items() if k != "SPACES_ZERO_GPU"} | {"PYTHONPATH": path}


def end_with_starter() -> None:
    """In the new process: end with the parent, which the platform may kill."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def ending(code: int) -> str:
    """How a process ended, from its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" if -code in (signal.SIGKILL, signal.SIGTERM) else f"crashed with {name}"


def last_lines(printed: IO[bytes]) -> str:
    """The end of what a process wrote into a file."""
    printed.seek(0)
    return "\n".join(printed.read().decode(errors="replace").splitlines()[-TAIL_LINES:])
