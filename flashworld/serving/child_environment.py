"""The environment of processes that run modules of this project, whatever directory the program was started from."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def child_environment() -> dict[str, str]:
    """This process's environment, with the project on PYTHONPATH."""
    found = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([found] if found else [])])}
