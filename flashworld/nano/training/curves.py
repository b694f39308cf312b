"""Training curves from the logs of one or more runs (`log.jsonl`), as one PNG. Needs matplotlib."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

from flashworld.errors import DependencyError
from flashworld.io.atomic import replacing

log = logging.getLogger(__name__)
JUDGED = "judged_"
"""Before the names of what was measured on unseen worlds, photographs and captions; the rest is of training steps."""
PANELS = {
    "picture loss": ("picture", "words_picture"),
    "depth loss": ("depth", "words_depth"),
    "PSNR: single views (stage 1), unseen data; dB": (
        "psnr", "judged_input", "judged_path", "judged_photos", "judged_words_psnr",
    ),
    "named colours found": ("judged_found_ground", "judged_found_sky", "judged_found_wall", "judged_found_thing"),
}  # fmt: skip
"""Titles and what the log calls the numbers."""

Points = dict[str, list[tuple[float, float]]]


def read_logs(paths: list[Path]) -> Points:
    """Points (minutes of training so far, value) of every number in the logs, runs one after the other.

    A log's lines are training steps, or looks at unseen data ("look"), whose names get `JUDGED` before them.
    """
    found: Points = {}
    before = minutes = 0.0
    for path in paths:
        stage = None
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry.get("stage", stage) != stage:  # each stage has a clock of its own
                stage, before, minutes = entry["stage"], before + minutes, 0.0
            minutes = entry.get("seconds", minutes * 60) / 60
            prefix = JUDGED if "look" in entry else ""
            for name, value in entry.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    found.setdefault(prefix + name, []).append((before + minutes, value))
        before, minutes = before + minutes, 0.0
    return found


def draw_curves(paths: list[Path], out: Path) -> None:
    """Draw what `PANELS` names.

    Raises:
        DependencyError: matplotlib is not installed.
        WriteError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("curves need matplotlib: pip install -r requirements-dev.txt") from error
    points = read_logs(paths)
    figure = Figure(figsize=(9, 5), layout="constrained")
    for axis, (title, names) in zip(figure.subplots(2, 2).ravel(), PANELS.items(), strict=True):
        known = [name for name in names if name in points]
        for name in known:
            minutes, values = zip(*points[name], strict=True)
            axis.plot(minutes, values, linewidth=1, label=name.removeprefix(JUDGED))
        if len(known) > 1:
            axis.legend(fontsize=7)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("minutes of training", fontsize=8)
        axis.grid(alpha=0.3)
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    log.info("%s: %d kB", out, out.stat().st_size // 1000)
