"""Training curves from the logs of one or more runs (`log.jsonl`), as one PNG. Needs matplotlib."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

from flashworld.errors import DependencyError
from flashworld.io.atomic import replacing

log = logging.getLogger(__name__)
HELD_OUT = "held_out_"
"""Prefix of measures on held-out worlds, photographs and captions; the others come from training steps."""
PANELS = {
    "picture loss": ("picture", "words_picture"),
    "depth loss": ("depth", "words_depth"),
    "PSNR: single views (stage 1), unseen data; dB": (
        "psnr", "held_out_input", "held_out_path", "held_out_photos", "held_out_words_psnr",
    ),
    "named colours found": ("held_out_found_ground", "held_out_found_sky", "held_out_found_wall", "held_out_found_thing"),
}  # fmt: skip
"""Panel titles, and the log keys that each panel shows."""

Points = dict[str, list[tuple[float, float]]]


def read_logs(paths: list[Path]) -> Points:
    """Points (cumulative training minutes, value) of every log key, with runs concatenated.

    Log lines are training steps or validations ("look"); keys of the latter get the prefix `HELD_OUT`.
    """
    found: Points = {}
    before = minutes = 0.0
    for path in paths:
        stage = None
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry.get("stage", stage) != stage:  # elapsed time restarts with each stage
                stage, before, minutes = entry["stage"], before + minutes, 0.0
            minutes = entry.get("seconds", minutes * 60) / 60
            prefix = HELD_OUT if "look" in entry else ""
            for name, value in entry.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    found.setdefault(prefix + name, []).append((before + minutes, value))
        before, minutes = before + minutes, 0.0
    return found


def draw_curves(paths: list[Path], out: Path) -> None:
    """Draw the panels of `PANELS`.

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
            axis.plot(minutes, values, linewidth=1, label=name.removeprefix(HELD_OUT))
        if len(known) > 1:
            axis.legend(fontsize=7)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("minutes of training", fontsize=8)
        axis.grid(alpha=0.3)
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=90)
    log.info("%s: %d kB", out, out.stat().st_size // 1000)
