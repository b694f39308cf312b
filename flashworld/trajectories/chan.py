"""`.chan` files, the text that Blender's add-on "Nuke Animation Format" (and Nuke, and Houdini) exports of a camera.

One line a frame: number, place x y z, rotation x y z in degrees, vertical field of view in degrees. The camera looks along
its -z with y up, in Blender as here. A file does not say in which order its rotations apply; XYZ (x first), the add-on's
own default, is taken.

Source: Blender's manual, "Nuke Animation (chan)".
"""

from __future__ import annotations

import math

import numpy as np

from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS

COLUMNS = 8
NOTE = "rotations of the .chan file are taken in the order XYZ, the exporter's default"


def read_chan(text: str) -> dict[str, object]:
    """Turn the text into what `transforms.json` would decode to, frames in the order of their numbers.

    Raises:
        TrajectoryError: a line is not 8 numbers, or too many lines.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(rows) == MAX_CAMERAS:
            raise TrajectoryError(f"camera path: expected at most {MAX_CAMERAS} cameras, got more")
        rows.append(_row(words, number))
    rows.sort(key=lambda row: row[0])
    return {"frames": [{"transform_matrix": _matrix(row), "y_fov": row[7]} for row in rows]}


def _row(words: list[str], number: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != COLUMNS or not np.isfinite(values).all():
        raise TrajectoryError(
            f"camera path: line {number} of a .chan file must be {COLUMNS} numbers (frame, place, rotation, field of "
            f"view), got {echo(' '.join(words[:8]))}"
        )
    return values


def _matrix(row: list[float]) -> list[list[float]]:
    """Camera-to-world, 3 rows."""
    rotation = np.eye(3)
    for axis, degrees in enumerate(row[4:7]):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, one, other, other], [one, other, one, other]] = c, -s, s, c
        rotation = turn @ rotation
    return np.concatenate([rotation, np.array(row[1:4])[:, None]], axis=1).tolist()
