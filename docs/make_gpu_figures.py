"""Write the GPU figures of the README and of docs/speed.md from measured reports.

    python -m benchmarks.gpu_all --out out/gpu
    python -m docs.make_gpu_figures out/gpu/gpu_all.json      # `make bench-gpu` does both

Complete parts of the given reports replace those in `docs/gpu_figures.json`, from which the tables between the markers
`<!-- gpu: NAME -->` and `<!-- gpu end -->` are made. Without a report only the tables are written.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.gpu_tables import TABLES

ROOT = Path(__file__).parents[1]
FIGURES = Path(__file__).with_name("gpu_figures.json")
TARGETS = (ROOT / "README.md", ROOT / "docs/speed.md")
FORMAT = 2
"""Of `benchmarks.gpu_all`'s reports."""
MARKED = re.compile(r"(?P<start><!-- gpu: (?P<name>\w+) -->\n).*?(?P<end><!-- gpu end -->)", re.DOTALL)
LEFT_OUT = ("log", "tail", "graphs", "all_s")
DIGITS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Merge reports into the figures and write the files."""
    parts = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    for path in argv or ():
        report = json.loads(Path(path).read_text())
        if report.get("format") != FORMAT:
            raise SystemExit(
                f"{path}: expected a report of benchmarks.gpu_all, format {FORMAT}, got {report.get('format')}"
            )
        parts |= whole(report["parts"])
    FIGURES.write_text(json.dumps(parts, indent=1) + "\n")
    for target in TARGETS:
        target.write_text(filled(target.read_text(), parts))
    return 0


def whole(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts whose measurement completed on a GPU, without what no table shows."""
    return {
        name: rounded({key: value for key, value in row.items() if key not in LEFT_OUT})
        for name, row in parts.items()
        if not {"error", "skipped"} & row.keys() and row.get("card") != "CPU"
    }


def rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Numbers to a few digits: more is noise, and every run would change every line."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def filled(text: str, parts: dict[str, Any]) -> str:
    """The text with its tables rewritten."""

    def block(match: re.Match[str]) -> str:
        part, make = TABLES[match["name"]]
        lines = make(parts) if part in parts else [f"Not measured yet: `python -m benchmarks.gpu_all --only {part}`."]
        return match["start"] + "\n".join(lines) + "\n" + match["end"]

    return MARKED.sub(block, text)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
