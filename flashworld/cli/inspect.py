"""`flashworld inspect`: the contents of a scene file, and anything suspicious about it."""

from __future__ import annotations

import argparse
from typing import Any

from flashworld.checks import file_name
from flashworld.cli.output import Output

BAR_CHARS = 24


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser(
        "inspect", help="count, bounds, up direction, histograms and suspicious values of a scene file"
    )
    parser.add_argument("scene", metavar="SCENE", help="a file in any format that `convert` reads")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, output: Output) -> None:
    """Read the scene and print the report."""
    from flashworld.io.scenes import read_scene, scene_bytes, scene_suffix
    from flashworld.scene_report import inspect_scene

    report = inspect_scene(read_scene(args.scene))
    size = scene_bytes(args.scene)
    data = {"file": str(args.scene), "format": scene_suffix(args.scene), "bytes": size, **report.as_dict()}
    low, high = report.lowest, report.highest
    lines = [
        f"{file_name(args.scene)}: {report.count:,} Gaussians, SH degree {report.sh_degree}, {size / 1e6:.1f} MB, "
        f"{size / report.count:.0f} bytes each",
        f"axes guess: {report.axes.words}",
        *(f"{axis}: {a:.4g} to {b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True)),
        f"middle 98 %: {_triple(report.middle_lowest)} to {_triple(report.middle_highest)}",
        *_bars("opacity", report.opacity_histogram, lambda edge: f"{edge:.1f}"),
        *_bars("largest scale", report.scale_histogram, lambda edge: f"{edge:.1g}"),
        *(f"odd: {sentence}" for sentence in report.odd),
    ]
    output.result(data, "\n".join(lines))


def _triple(values: tuple[float, float, float]) -> str:
    return f"({', '.join(f'{value:.4g}' for value in values)})"


def _bars(title: str, histogram: list[tuple[float, float, int]], edge: Any) -> list[str]:  # noqa: ANN401 - a function
    """A histogram as text, one line per bin."""
    most, total = max(count for _, _, count in histogram), sum(count for _, _, count in histogram)
    lines = [f"{title}:"]
    for low, high, count in histogram:
        bar = "#" * round(BAR_CHARS * count / max(most, 1))
        lines.append(f"  {edge(low):>7} to {edge(high):>7}  {count / max(total, 1):6.1%}  {bar}")
    return lines
