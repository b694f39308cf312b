"""The measurements of a soak test, and whether its requirements were met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tests.load.visits import LOST, RESULT, Outcome

PAGE_S = 1.0
"""The page answers within this, at the worst moment."""
GROWTH_MIB = 20.0
"""Allowed between warm and end, a hundredth of a MiB per request."""
THREADS = 44
"""Gradio's pool makes up to 40 threads when many visitors wait, and keeps them."""


@dataclass
class Report:
    """The measurements of one soak test."""

    visitors: int
    requests: int
    outcomes: dict[str, Counter[Outcome]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: list[tuple[int, float]] = field(default_factory=list)
    page: dict[str, list[float]] = field(default_factory=dict)
    page_failures: list[str] = field(default_factory=list)
    threads_before: int = 0
    threads_after: int = 0
    children: list[int] = field(default_factory=list)
    folders: int = 0
    half_files: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    tracebacks: int = 0

    def note(self, part: str, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes of a part."""
        self.outcomes.setdefault(part, Counter()).update(outcomes)

    @property
    def results(self) -> int:
        """The number of scenes made."""
        return sum(n for part in self.outcomes.values() for outcome, n in part.items() if outcome.end == RESULT)

    @property
    def growth_mib(self) -> float:
        """Memory at the end minus memory when warm."""
        return self.memory[-1][1] - self.memory[0][1]

    @property
    def trend_mib(self) -> float:
        """Growth by a straight line through all readings, which vary by up to 60 MiB within a run."""
        requests, mib = np.array(self.memory).T
        if requests[0] == requests[-1]:  # too few requests for a second reading on the way
            return self.growth_mib
        per_request, _ = np.polyfit(requests, mib, 1)
        return float(per_request * (requests[-1] - requests[0]))

    def unmet_requirements(self) -> list[str]:
        """The requirements that were not met, as sentences."""
        lost = sum(n for part in self.outcomes.values() for outcome, n in part.items() if outcome.end == LOST)
        slowest = max(max(seconds) for seconds in self.page.values())
        checks = {
            f"{lost} requests got no answer": lost > 0,
            f"memory grew by {self.growth_mib:.0f} MiB": self.growth_mib > GROWTH_MIB,
            f"the page took {slowest:.2f} s": slowest > PAGE_S,
            f"{len(self.page_failures)} times the page did not answer": bool(self.page_failures),
            f"{self.folders} folders for {self.results} results": self.folders != self.results,
            f"{len(self.half_files)} half-written files": bool(self.half_files),
            f"processes are left: {self.children}": bool(self.children),
            f"threads grew from {self.threads_before} to {self.threads_after}": self.threads_after
            > self.threads_before + THREADS,
            f"folders are left after the end: {self.left_behind}": bool(self.left_behind),
        }
        return [text for text, broken in checks.items() if broken]

    def text(self) -> str:
        """All measurements, one per line."""
        lines = [f"{self.visitors} visitors at once, then {self.requests} requests in a row"]
        for part, counts in self.outcomes.items():
            took = f", {self.seconds[part]:.0f} s" if part in self.seconds else ""
            lines.append(f"{part}: {sum(counts.values())} requests{took}")
            lines += [f"  {n:4d}  {o.kind:16s} {o.end:10s} {o.sentence}" for o, n in sorted(counts.items())]
        for path, seconds in self.page.items():
            p50, p99 = np.percentile(seconds, [50, 99])
            lines.append(
                f"GET {path}: {len(seconds)} samples, median {p50:.3f} s, p99 {p99:.3f} s, longest {max(seconds):.3f} s"
            )
        lines.append("memory (request: MiB): " + ", ".join(f"{number}: {mib:.0f}" for number, mib in self.memory))
        lines.append(
            f"memory grew by {self.growth_mib:.0f} MiB between request {self.memory[0][0]} and the end, "
            f"by a line through all readings {self.trend_mib:.0f}"
        )
        lines.append(f"threads {self.threads_before} -> {self.threads_after}, child processes {len(self.children)}")
        lines.append(
            f"result folders {self.folders}, results {self.results}, half-written files {len(self.half_files)}"
        )
        lines.append(f"tracebacks in the log {self.tracebacks}, stopped in {self.seconds['to stop']:.1f} s")
        return "\n".join([*lines, *(f"NOT MET: {text}" for text in self.unmet_requirements())])
