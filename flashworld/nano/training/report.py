"""The benchmark's table: one row a measure, one column a contestant, with the bars beside them. Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

EXACT_DB = 99.0
"""PSNR from here on is no difference at all."""
COLUMNS = ("nano", "billboard", "random weights", "truth")

Unit = Literal["dB", "gain", "error", "%", "s", "yes"]
LOW_IS_GOOD: tuple[Unit, ...] = ("error", "s")


@dataclass(frozen=True)
class Row:
    """One measure.

    Attributes:
        name: What was measured, on how many.
        unit: "dB", "gain" (dB more than another) and "%" are better high, "error" and "s" low, "yes" is a fact.
        values: By contestant; missing: does not apply.
        must: The least that is acceptable; None: shown for information.
        aim: What was hoped for.
    """

    name: str
    unit: Unit
    values: Mapping[str, float] = field(default_factory=dict)
    must: float | None = None
    aim: float | None = None

    @property
    def verdict(self) -> str:
        """Which bar nano meets: "aim", "must" or "missed"; empty where there is none."""
        if self.must is None or "nano" not in self.values:
            return ""
        sign = -1 if self.unit in LOW_IS_GOOD else 1
        value = sign * self.values["nano"]
        if self.aim is not None and value >= sign * self.aim:
            return "aim"
        return "must" if value >= sign * self.must else "missed"

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"values": dict(self.values), "verdict": self.verdict}


def table(rows: list[Row]) -> str:
    """All rows as a Markdown table."""
    head = ["measure", "must", "aim", *COLUMNS, "met"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        bars = [_show(row.must, row.unit), _show(row.aim, row.unit)]
        cells = [_show(row.values.get(name), row.unit) for name in COLUMNS]
        lines.append("| " + " | ".join([row.name, *bars, *cells, row.verdict]) + " |")
    return "\n".join(lines)


def _show(value: float | None, unit: Unit) -> str:
    if value is None:
        return ""
    if unit == "dB":
        return "exact" if value >= EXACT_DB else f"{value:.1f} dB"
    if unit == "gain":
        return f"{value:+.1f} dB"
    if unit == "s":
        return f"{value:.0f} s"
    if unit == "error":
        return f"{value:.3f}"
    if unit == "%":
        return f"{100 * value:.1f} %"
    return "yes" if value else "no"
