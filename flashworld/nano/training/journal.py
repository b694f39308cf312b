"""Logging of a training run: running means of step metrics as JSON lines, and the remaining time."""

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
    """Wall-clock budget of a stage."""

    def __init__(self, minutes: float) -> None:
        self.start, self.seconds = time.monotonic(), minutes * 60

    @property
    def fraction(self) -> float:
        """Fraction of the budget used, 0 to 1."""
        return min(1.0, (time.monotonic() - self.start) / max(self.seconds, 1e-9))


class Journal:
    """Running means of step metrics, written to the log and to a JSON Lines file."""

    def __init__(self, path: Path) -> None:
        self.path, self.since = path, time.monotonic()
        self.sums: dict[str, Any] = defaultdict(float)
        self.count: dict[str, int] = defaultdict(int)

    def add(self, values: dict[str, torch.Tensor]) -> None:
        """Accumulate a step's values without synchronising with the device."""
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value.detach()
            self.count[name] += 1

    def flush(self, stage: str, step: int, steps: int, **more: float) -> None:
        """Write the means since the last call."""
        means = {name: float(total) / self.count[name] for name, total in self.sums.items()}
        means |= {"ms": 1000 * (time.monotonic() - self.since) / max(steps, 1)} | more
        self.write({"stage": stage, "step": step} | means)
        self.sums.clear()
        self.count.clear()
        self.since = time.monotonic()

    def write(self, values: Mapping[str, object]) -> None:
        """Write one line."""
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
        log.info("%s", " ".join(f"{k}={v}" for k, v in rounded.items()))
        with self.path.open("a") as file:
            file.write(json.dumps(rounded) + "\n")
