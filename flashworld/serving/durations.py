"""How many GPU seconds to request: a cost model, corrected by measured durations.

ZeroGPU kills a call that runs longer than it requested, and refuses one that requests more than the visitor's remaining quota;
shorter requests also wait less in the queue. So the request should be slightly above what the call needs.

    prior      seconds of one call on an H200, stage by stage, from its sizes (figures measured there)
    ratio      used / prior, stored by GPU model, shape and cold or warm, newest first; the median of the newest
               ones, with older ones weighted less and outliers ignored, scales the prior to this GPU
    request    expected seconds x margin, whole seconds, at most the limit for an anonymous visitor

The platform multiplies requests by a factor that depends on the GPU (`duration_factor`); the resulting reserve is
taken into account. Nothing here touches a GPU: it runs in the main process, before the call.
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
"""Observations kept per kind of call; older ones are no longer valid for the present driver and code."""
HALF_LIFE = 16
"""Calls after which the weight of an observation is halved."""
OUTLIER_FACTOR = 3.0
"""A call that took this many times the median, or less than its inverse, is an outlier (a debugger, a slow disk)."""
ENOUGH_RATIOS = 3
"""With fewer observations, a kind of call is left out of the spread."""
SPREAD = 0.08
"""Relative standard deviation of calls of one kind before many have been observed."""
SPREAD_WEIGHT = 2
"""Observations that `SPREAD` counts for."""
DEVIATIONS = 3.7
"""Standard deviations between expected and granted seconds, the uncertainty of an expectation from few observations included."""
LEAST_MARGIN = 0.1
"""Granted over expected seconds, minus 1, however little calls vary."""
STRAGGLER_MULTIPLE = 1.9
"""Granted over expected seconds with which even a call 1.5 times as long as expected completes: 1.5 x three deviations of 8 %."""
NEW_SHAPE_MARGIN = 1.8
"""Granted over expected seconds while only other shapes have been observed on this GPU."""
NEW_GPU_MARGIN = 3.5
"""Granted seconds over the prior, which is for an H200, before any observation: half an RTX Pro 6000 has 40 % of its speed."""
ABORTED_BACKOFF = 1.6
"""Factor on the request for each consecutive call of a kind that was cut short."""
MAX_ABORTED = 3
NORMAL = 1.4826
"""Standard deviation over the median absolute deviation, of a normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """How many seconds to request, and why.

    Attributes:
        expected_s: Expected seconds of the call.
        request_s: Return value of `duration`, whole seconds.
        granted_s: Seconds that the platform grants for it.
        observations: Number of calls behind the expectation.
    """

    expected_s: float
    request_s: int
    granted_s: float
    observations: int


@dataclass
class _Observed:
    """Ratios used / prior, oldest first, and the number of consecutive calls that the platform cut short."""

    ratios: list[float] = field(default_factory=list)
    aborted: int = 0


class DurationModel:
    """Estimates that learn from observations. Thread-safe.

    Args:
        gpu: GPU model, e.g. "NVIDIA RTX PRO 6000 Blackwell Server Edition"; observations are stored separately for each.
        folder: Where to keep observations between restarts; None keeps them in memory.
        factor: The platform's factor on requests on this GPU.
        cap_s: Most seconds that a visitor without an account may reserve, after the factor.
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
        """The estimate for a call."""
        with self._lock:
            own = self._observed.get(work.bucket, _Observed())
            ratios = own.ratios or self._alike(work.input_kind) or self._alike(work.kind)
            expected = self.costs.total(work) * (weighted_median(ratios) if ratios else 1.0)
            reserve = self._reserve(len(own.ratios), len(ratios)) * ABORTED_BACKOFF**own.aborted
        most = max(1, math.floor(self.cap_s / self.factor))
        request = max(1, math.floor(expected))
        while request < most and self._granted(request) < expected * reserve:
            request += 1
        return Estimate(expected, min(request, most), self._granted(min(request, most)), len(ratios))

    def _alike(self, kind: str) -> list[float]:
        """Ratios of all sizes of a kind."""
        return [r for name, observed in self._observed.items() if name.endswith(kind) for r in observed.ratios]

    def estimate_seconds(self, work: Work) -> int:
        """The return value of `duration`, which the page also shows."""
        return self.estimate(work).request_s

    def record(self, work: Work, seconds: float) -> None:
        """Learn from a completed call.

        Args:
            work: The call.
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
        """Learn from a call that the platform cut short: the next of its kind requests more, until one succeeds."""
        with self._lock:
            own = self._observed.setdefault(work.bucket, _Observed())
            own.aborted = min(own.aborted + 1, MAX_ABORTED)
            self._write()

    def _granted(self, request_s: int) -> int:
        """Seconds that the platform grants for a request."""
        return round(request_s * self.factor)

    def _reserve(self, own: int, alike: int) -> float:
        """Granted over expected seconds, by the number of observations."""
        if own:
            deviation = spread(o.ratios for o in self._observed.values()) * math.sqrt(1 + 1 / own)
            return min(STRAGGLER_MULTIPLE, (1 + max(LEAST_MARGIN, DEVIATIONS * deviation)) * self.factor)
        return max(NEW_SHAPE_MARGIN, self.factor) if alike else NEW_GPU_MARGIN

    def _write(self) -> None:
        """Store everything on disk; a failure is only logged."""
        if self._path is None:
            return
        data = {
            gpu: {bucket: {"ratios": o.ratios, "aborted": o.aborted} for bucket, o in buckets.items()}
            for gpu, buckets in self._everything.items()
        }
        try:
            write_atomically(self._path, json.dumps({"format": FORMAT, "gpus": data}))
        except OSError as error:
            logger.warning("%s: durations cannot be stored: %s", self._path, error)


def weighted_median(ratios: Iterable[float]) -> float:
    """The weighted median of the newest ratios, without outliers.

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


def spread(kinds: Iterable[list[float]]) -> float:
    """Relative standard deviation of the newest ratios about the median of their kind, by the median deviation, which
    stragglers raise little.

    Args:
        kinds: Ratios of each kind of call, oldest first.
    """
    deviations: list[float] = []
    for ratios in kinds:
        newest = ratios[-HALF_LIFE:]
        if len(newest) < ENOUGH_RATIOS:
            continue
        middle, small = statistics.median(newest), math.sqrt(len(newest) / (len(newest) - 1))
        deviations += [small * abs(math.log(ratio / middle)) for ratio in newest]
    observed = NORMAL * statistics.median(deviations) if deviations else 0.0
    return (len(deviations) * observed + SPREAD_WEIGHT * SPREAD) / (len(deviations) + SPREAD_WEIGHT)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file atomically."""
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
    """The stored observations; a damaged file is renamed to `.bad` and ignored."""
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
        logger.warning("%s is damaged; renamed to .bad and ignored: %s", path, error)
        try:
            path.replace(path.with_name(path.name + ".bad"))
        except OSError as problem:
            logger.warning("%s is damaged and cannot be renamed: %s", path, problem)
        return {}


def _observed(row: Mapping[str, object]) -> _Observed:
    ratios = [float(r) for r in row["ratios"]]  # type: ignore[union-attr]
    if not all(math.isfinite(r) and r > 0 for r in ratios):
        raise ValueError("ratios must be finite and above 0")
    return _Observed(ratios[-KEPT_RATIOS:], int(row["aborted"]))  # type: ignore[call-overload]
