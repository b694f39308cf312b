"""The benchmark's table: one row per measure, one column per method, and the thresholds. Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

EXACT_DB = 99.0
"""PSNR from which two images count as identical, dB."""
COLUMNS = ("nano", "billboard", "random weights", "truth")

Unit = Literal["dB", "gain", "error", "%", "s", "yes"]
LOW_IS_GOOD: tuple[Unit, ...] = ("error", "s")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: The measure, and the number of samples.
        unit: "dB", "gain" (dB over a baseline) and "%": higher is better; "error" and "s": lower is better;
            "yes": 1 or 0.
        values: By method; absent where it does not apply.
        must: Required threshold; None: for information only.
        aim: Target threshold.
    """

    name: str
    unit: Unit
    values: Mapping[str, float] = field(default_factory=dict)
    must: float | None = None
    aim: float | None = None

    @property
    def verdict(self) -> str:
        """The threshold that nano meets: "aim", "must" or "missed"; empty without a threshold."""
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
