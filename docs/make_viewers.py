"""Write the figures and pictures of docs/viewers.md and docs/files.md from a report of `benchmarks.viewers`.

    python -m benchmarks.viewers --out out/viewers
    python -m docs.make_viewers out/viewers                # `make viewers` does both

The report becomes `docs/viewers.json`, the pictures `docs/images/viewers/`, and the tables between the markers
`<!-- viewers: NAME -->` and `<!-- viewers end -->` are made from it. A report of some viewers (`--only`) replaces their rows.
Without a report only the tables are written.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURES = HERE / "viewers.json"
PICTURES = HERE / "images" / "viewers"
PICTURE_NAMES = ("ours", "spark", "supersplat", "blender")
MAX_PICTURE_BYTES = 150_000
TARGETS = (HERE / "viewers.md", HERE / "files.md")
MARKED = re.compile(r"(?P<start><!-- viewers: (?P<name>\w+) -->\n).*?(?P<end><!-- viewers end -->)", re.DOTALL)
NAMES = {
    "spark": "Spark, as in the recipe",
    "spark-defaults": "Spark, its own defaults",
    "supersplat": "SuperSplat's viewer",
    "blender": "Blender, points",
    "splat-transform": "splat-transform, rendered here",
}
READERS = {
    "splat-transform": "splat-transform",
    "spark": "Spark",
    "supersplat": "SuperSplat's viewer",
    "blender": "Blender",
}
LOSSLESS_DB = 100


def decibels(value: float) -> str:
    """A PSNR, without digits that say nothing."""
    return "equal" if value >= LOSSLESS_DB else f"{value:.1f} dB"


def viewer_table(report: dict[str, Any]) -> list[str]:
    """Every viewer and format."""
    lines = ["| Viewer | File | Gaussians | Orientation | PSNR against our render |", "|---|---|---|---|---|"]
    for row in report["viewers"]:
        way = row.get("orientation", "as read")
        failed = "" if row["passed"] else " (fails)"
        lines.append(
            f"| {NAMES[row['viewer']]} | `{row['format']}` | {row['count']:,} | {way} | {decibels(row['psnr_db'])}{failed} |"
        )
    return lines


def size_table(report: dict[str, Any]) -> list[str]:
    """Bytes and PSNR of every format, and who reads it."""
    lines = [
        "| Name ends in | Bytes per Gaussian | PSNR, read here | PSNR, read by splat-transform | Also opened correctly by |",
        "|---|---|---|---|---|",
    ]
    count = report["sizes"]["gaussians"]
    for row in report["sizes"]["formats"]:
        if row["format"].startswith("."):
            readers = [
                READERS[found["viewer"]]
                for found in report["viewers"]
                if found["format"] == row["format"]
                and found["passed"]
                and found["viewer"] in READERS
                and found["viewer"] != "splat-transform"
            ]
            lines.append(
                f"| `{row['format']}` | {row['bytes'] / count:.1f} | {decibels(row['psnr_db'])} | "
                f"{decibels(row['other_reader_db'])} | {', '.join(readers)} |"
            )
    return lines


def light_table(report: dict[str, Any]) -> list[str]:
    """Light editions of the scene."""
    lines = ["| Gaussians kept | PSNR | PSNR, dropping alone |", "|---|---|---|"]
    for row in report["sizes"]["formats"]:
        if "dropping_db" in row:
            part = row["format"].removeprefix("light ").partition(",")[0]
            lines.append(f"| {part} | {decibels(row['psnr_db'])} | {decibels(row['dropping_db'])} |")
    return lines


def version_table(report: dict[str, Any]) -> list[str]:
    """What was run."""
    lines = ["| Package | Version |", "|---|---|"]
    return lines + [f"| `{name}` | {version} |" for name, version in report["versions"].items()]


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "viewers": viewer_table,
    "sizes": size_table,
    "light": light_table,
    "versions": version_table,
}


def filled(text: str, report: dict[str, Any]) -> str:
    """The text with its tables rewritten."""

    def block(match: re.Match[str]) -> str:
        return match["start"] + "\n".join(TABLES[match["name"]](report)) + "\n" + match["end"]

    return MARKED.sub(block, text)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old report with everything that the new one has; viewers in the order of NAMES."""
    seen = {row["viewer"] for row in new["viewers"]}
    rows = [row for row in old.get("viewers", []) if row["viewer"] not in seen] + new["viewers"]
    return {**old, **new, "viewers": sorted(rows, key=lambda row: list(NAMES).index(row["viewer"]))}


def main(argv: Sequence[str] | None = None) -> int:
    """Take over a report and its pictures, and write the tables."""
    report = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    if argv:
        folder = Path(argv[0])
        report = merged(report, json.loads((folder / "viewers.json").read_text(encoding="utf-8")))
        FIGURES.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        PICTURES.mkdir(parents=True, exist_ok=True)
        for source in (folder / f"{name}.webp" for name in PICTURE_NAMES):
            if source.is_file():
                if source.stat().st_size > MAX_PICTURE_BYTES:
                    raise SystemExit(f"{source}: expected at most {MAX_PICTURE_BYTES} bytes")
                shutil.copyfile(source, PICTURES / source.name)
    for target in TARGETS:
        target.write_text(filled(target.read_text(encoding="utf-8"), report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
