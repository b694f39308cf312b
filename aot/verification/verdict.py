"""A verification job and its possible results."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from aot.shapes import SizeRange

VERIFIED, REFUSED, UNABLE, NO_DEVICE = "verified", "refused", "unable", "no device"
TRIALS_AT_START = 3
EVERY_TRIAL = 100


@dataclass(frozen=True)
class Job:
    """One graph to verify.

    Attributes:
        folder: Folder of its artifact.
        block: Name of the network.
        sizes: Sizes it was compiled for.
        most: Maximum number of sizes to test, of `comparison.trials`.
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
    """The result of verifying a graph.

    Attributes:
        status: VERIFIED; REFUSED: it is wrong or crashes; UNABLE: it could not be verified; NO_DEVICE: no graph could.
        reason: Why it is not verified.
        rows: Fields of each `Comparison`.
        lasting: Whether verifying it again on this machine would give the same result.
    """

    status: str
    reason: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    lasting: bool = False

    @property
    def verified(self) -> bool:
        """Whether the graph may be used."""
        return self.status == VERIFIED
