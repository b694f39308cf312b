"""The fuzz targets, the share of cases each gets, and the summary of outcomes."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.law import Case, judge

CASES_VARIABLE = "FLASHWORLD_FUZZ_CASES"
DEFAULT_CASES = 2000


@dataclass(frozen=True)
class Target:
    """One entry point for external input.

    Attributes:
        name: For the report.
        weight: Relative share of all cases.
        make: Makes a case from a seeded generator and its own empty folder.
    """

    name: str
    weight: int
    make: Callable[[random.Random, Path], Case]


@dataclass
class Tally:
    """Outcomes by target."""

    counts: dict[str, Counter] = field(default_factory=dict)

    def add(self, target: str, outcome: str) -> None:
        self.counts.setdefault(target, Counter())[outcome] += 1

    def lines(self) -> list[str]:
        """A readable table."""
        rows = [("target", "cases", "accepted", "refused")]
        for name, counter in sorted(self.counts.items()):
            rows.append((name, str(counter.total()), str(counter["accepted"]), str(counter["refused"])))
        total = sum((counter for counter in self.counts.values()), Counter())
        rows.append(("all", str(total.total()), str(total["accepted"]), str(total["refused"])))
        return [f"{name:28} {cases:>8} {accepted:>10} {refused:>10}" for name, cases, accepted, refused in rows]


TALLY = Tally()


def wanted_cases() -> int:
    """The total number of cases of all targets."""
    return int(os.environ.get(CASES_VARIABLE, DEFAULT_CASES))


def share(weight: int, all_weights: int) -> int:
    """The number of cases of one target; at least ten."""
    return max(10, round(wanted_cases() * weight / all_weights))


def run(target: Target, count: int, folder: Path) -> None:
    """Run `count` cases. The number in a failure's message reproduces the case."""
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        case = target.make(random.Random(f"{target.name} {number}"), place)
        try:
            outcome = judge(case)
        except BaseException as error:
            error.add_note(f"fuzz target {target.name!r}, case {number}, files in {place}")
            raise
        TALLY.add(target.name, outcome)
        remove(place)


def remove(folder: Path) -> None:
    """Delete a case's folder and its contents."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
