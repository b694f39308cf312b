"""What is asked about a graph, and what the answer may be."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from aot.shapes import SizeRange

PROVED, REFUSED, UNABLE, NO_DEVICE = "proved", "refused", "unable", "no device"
TRIALS_AT_START = 3
EVERY_TRIAL = 100


@dataclass(frozen=True)
class Job:
    """One graph to try.

    Attributes:
        folder: Of its artifact.
        block: Which network.
        sizes: What it was compiled for.
        most: Sizes to try, of `comparison.trials`.
        rounds: Timed calls at each size.
    """

    folder: str
    block: str
    sizes: SizeRange
    most: int = TRIALS_AT_START
    rounds: int = 1

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """Read `to_json`'s line."""
        data = json.loads(line)
        sizes = data.pop("sizes")
        ranges = {name: tuple(sizes[name]) for name in ("frames", "height", "width")}
        return cls(**data, sizes=SizeRange(**ranges, max_pixels=sizes["max_pixels"]))


@dataclass(frozen=True)
class Verdict:
    """What came of trying a graph.

    Attributes:
        status: PROVED; REFUSED, it is wrong or crashes; UNABLE, it could not be tried; NO_DEVICE, nothing could.
        reason: Why it is not proved.
        rows: Fields of each `Comparison`.
        lasting: Whether trying it again on this machine would give the same.
    """

    status: str
    reason: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    lasting: bool = False

    @property
    def proved(self) -> bool:
        """Whether the graph may serve."""
        return self.status == PROVED
