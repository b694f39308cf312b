"""What a run reports while it goes: means of what steps say, as JSON lines, and the time that is left."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)


class Clock:
    """Wall time of a stage."""

    def __init__(self, minutes: float) -> None:
        self.start, self.seconds = time.monotonic(), minutes * 60

    @property
    def fraction(self) -> float:
        """Share of the time used, 0 to 1."""
        return min(1.0, (time.monotonic() - self.start) / max(self.seconds, 1e-9))


class Journal:
    """Running means of what steps report, to the log and to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path, self.since = path, time.monotonic()
        self.sums: dict[str, Any] = defaultdict(float)
        self.count: dict[str, int] = defaultdict(int)

    def add(self, values: dict[str, torch.Tensor]) -> None:
        """Remember a step's values; nothing is read from the device yet."""
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value.detach()
            self.count[name] += 1

    def flush(self, stage: str, step: int, steps: int, **more: float) -> None:
        """Write means since the last time."""
        means = {name: float(total) / self.count[name] for name, total in self.sums.items()}
        means |= {"ms": 1000 * (time.monotonic() - self.since) / max(steps, 1)} | more
        self.write({"stage": stage, "step": step} | means)
        self.sums.clear()
        self.count.clear()
        self.since = time.monotonic()

    def write(self, values: Mapping[str, object]) -> None:
        """One line."""
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
        log.info("%s", " ".join(f"{k}={v}" for k, v in rounded.items()))
        with self.path.open("a") as file:
            file.write(json.dumps(rounded) + "\n")
