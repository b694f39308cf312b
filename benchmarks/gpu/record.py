"""Where a part of `benchmarks.gpu_all` writes its results. Imports nothing heavy."""

from __future__ import annotations

import argparse
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Record:
    """The options of the run and the results of one part.

    Attributes:
        args: Options of `gpu_all`.
        result: File of the part's results.
        found: Results so far.
    """

    args: argparse.Namespace
    result: Path
    found: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def keep(self, **found: object) -> None:
        """Write results atomically."""
        with self._lock:
            self.found |= found
            fresh = self.result.with_suffix(".new")
            fresh.write_text(json.dumps(self.found, indent=1, default=str) + "\n")
            fresh.replace(self.result)
