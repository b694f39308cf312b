"""How many GPU seconds to ask for: a cost model, corrected by what calls really took.

ZeroGPU kills a call that runs longer than it asked for, and refuses one that asks for more than the visitor has left;
whoever asks for less also waits less. So the request should be a little above what the call needs.

    prior      seconds of one call on an H200, stage by stage, from its sizes (figures measured there)
    ratio      used / prior, kept for every kind of GPU, shape and cold or warm, newest first; the median of the newest
               ones, old ones counting less and far ones not at all, turns the prior into what this GPU needs
    request    expected seconds x margin, whole seconds, at most what an anonymous visitor may ask for

The platform multiplies requests by a factor that depends on the GPU (`duration_factor`); the reserve this gives is
counted in. Nothing here touches a GPU: it runs in the main process, before the call.
"""

from __future__ import annotations

import json
import logging
import math
import os
import statistics
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flashworld.limits import ANONYMOUS_GPU_SECONDS
from flashworld.serving.costs import H200_COSTS, StageCosts, Work

logger = logging.getLogger(__name__)

FILE_NAME = "durations.json"
FORMAT = 1
KEPT_RATIOS = 64
"""Per kind of call; older ones say nothing about today's driver and code."""
HALF_LIFE = 16
"""Calls after which an observation counts half."""
OUTLIER_FACTOR = 3.0
"""A call that took this many times the median, or a third of it, is another story (a debugger, a sleeping disk)."""
ENOUGH_RATIOS = 3
"""With fewer, the other shapes of the same GPU are asked as well."""
MARGIN = 1.45
"""Request over expected seconds, at most: calls scatter by about 8 %, and nobody should reserve half as much again."""
STRAGGLER_MULTIPLE = 1.9
"""Granted over expected seconds that even a call 1.5 times as long as usual survives: 1.5 x three deviations of 8 %."""
NEW_SHAPE_MARGIN = 1.8
"""Granted over expected while only other shapes have been seen on this GPU."""
NEW_GPU_MARGIN = 3.5
"""Granted over the prior, which is an H200's, while nothing has been seen: half an RTX Pro 6000 has 40 % of its speed."""
ABORTED_BACKOFF = 1.6
"""Asked for more, by this factor, after each call of a kind in a row that was cut short."""
MAX_ABORTED = 3


@dataclass(frozen=True)
class Estimate:
    """What to ask for and why.

    Attributes:
        expected_s: What the call will probably take.
        request_s: What to return from `duration`: whole seconds.
        granted_s: What the platform makes of it.
        observations: How many calls the expectation rests on.
    """

    expected_s: float
    request_s: int
    granted_s: float
    observations: int


@dataclass
class _Observed:
    """Ratios used / prior, oldest first, and how often in a row the platform has cut calls short."""

    ratios: list[float] = field(default_factory=list)
    aborted: int = 0


class DurationModel:
    """Estimates that learn. Safe to use from several threads.

    Args:
        gpu: Kind of GPU, e.g. "NVIDIA RTX PRO 6000 Blackwell Server Edition"; observations are kept apart by it.
        folder: Where to keep observations between restarts; None keeps them in memory.
        factor: What the platform multiplies requests with on this GPU.
        cap_s: Most seconds a visitor without an account may have reserved, after the factor.
        costs: The prior.
    """

    def __init__(
        self,
        gpu: str,
        *,
        folder: Path | str | None = None,
        factor: float = 1.0,
        cap_s: float = ANONYMOUS_GPU_SECONDS,
        costs: StageCosts = H200_COSTS,
    ) -> None:
        self.gpu = gpu
        self.factor = factor
        self.cap_s = cap_s
        self.costs = costs
        self._path = None if folder is None else Path(folder) / FILE_NAME
        self._lock = threading.Lock()
        self._everything = _read(self._path)
        self._observed = self._everything.setdefault(gpu, {})

    def estimate(self, work: Work) -> Estimate:
        """What to ask for."""
        with self._lock:
            own = self._observed.get(work.bucket, _Observed())
            alike = [r for name, o in self._observed.items() if name.endswith(work.kind) for r in o.ratios]
            ratios = own.ratios if len(own.ratios) >= ENOUGH_RATIOS else alike
            expected = self.costs.total(work) * (weighted_median(ratios) if ratios else 1.0)
            reserve = self._reserve(len(own.ratios), len(ratios)) * ABORTED_BACKOFF**own.aborted
        most = max(1, math.floor(self.cap_s / self.factor))
        request = max(1, math.floor(expected))
        while request < most and self._granted(request) < expected * reserve:
            request += 1
        return Estimate(expected, min(request, most), self._granted(min(request, most)), len(ratios))

    def estimate_seconds(self, work: Work) -> int:
        """What `duration` returns, and what the page shows."""
        return self.estimate(work).request_s

    def record(self, work: Work, seconds: float) -> None:
        """Learn from a call that came to its end.

        Args:
            work: What it did.
            seconds: How long the GPU was held.
        """
        if not math.isfinite(seconds) or seconds <= 0:
            return
        with self._lock:
            own = self._observed.setdefault(work.bucket, _Observed())
            own.ratios = [*own.ratios, seconds / self.costs.total(work)][-KEPT_RATIOS:]
            own.aborted = 0
            self._write()

    def record_aborted(self, work: Work) -> None:
        """Learn from a call that the platform cut short: the next one of its kind asks for more, until one succeeds."""
        with self._lock:
            own = self._observed.setdefault(work.bucket, _Observed())
            own.aborted = min(own.aborted + 1, MAX_ABORTED)
            self._write()

    def _granted(self, request_s: int) -> int:
        """What the platform makes of a request."""
        return round(request_s * self.factor)

    def _reserve(self, own: int, alike: int) -> float:
        """Granted over expected seconds, by how much is known."""
        if own >= ENOUGH_RATIOS:
            return min(STRAGGLER_MULTIPLE, MARGIN * self.factor)
        return max(NEW_SHAPE_MARGIN, self.factor) if alike else NEW_GPU_MARGIN

    def _write(self) -> None:
        """Keep everything on disk; a disk that fails costs nothing but a line in the log."""
        if self._path is None:
            return
        data = {
            gpu: {bucket: {"ratios": o.ratios, "aborted": o.aborted} for bucket, o in buckets.items()}
            for gpu, buckets in self._everything.items()
        }
        try:
            write_atomically(self._path, json.dumps({"format": FORMAT, "gpus": data}))
        except OSError as error:
            logger.warning("%s: durations are not kept: %s", self._path, error)


def weighted_median(ratios: Iterable[float]) -> float:
    """The median of the newest ratios, without those far from it.

    Args:
        ratios: Oldest first, at least one.
    """
    newest_first = list(ratios)[::-1]
    rough = statistics.median(newest_first[:KEPT_RATIOS])
    weighted = sorted(
        (ratio, 0.5 ** (age / HALF_LIFE))
        for age, ratio in enumerate(newest_first)
        if rough / OUTLIER_FACTOR <= ratio <= rough * OUTLIER_FACTOR
    )
    half, total = sum(weight for _, weight in weighted) / 2, 0.0
    for ratio, weight in weighted:
        total += weight
        if total >= half:
            return ratio
    return rough


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path | None) -> dict[str, dict[str, _Observed]]:
    """What was kept; a file that is damaged is renamed to `.bad` and forgotten."""
    if path is None or not path.exists():
        return {}
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {data['format']}")
        return {
            str(gpu): {str(bucket): _observed(row) for bucket, row in buckets.items()}
            for gpu, buckets in data["gpus"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s is set aside and forgotten: %s", path, error)
        try:
            path.replace(path.with_name(path.name + ".bad"))
        except OSError as problem:
            logger.warning("%s cannot be set aside: %s", path, problem)
        return {}


def _observed(row: Mapping[str, object]) -> _Observed:
    ratios = [float(r) for r in row["ratios"]]  # type: ignore[union-attr]
    if not all(math.isfinite(r) and r > 0 for r in ratios):
        raise ValueError("ratios must be finite and above 0")
    return _Observed(ratios[-KEPT_RATIOS:], int(row["aborted"]))  # type: ignore[call-overload]
