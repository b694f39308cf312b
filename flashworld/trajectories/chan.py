"""`.chan` files, the text format that Blender's add-on "Nuke Animation Format" (and Nuke, and Houdini) exports for a camera.

One line per frame: number, position x y z, rotation x y z in degrees, vertical field of view in degrees. The camera looks along
its -z with y up, in Blender as here. A file does not state the order of its rotations; XYZ (x first), the add-on's
default, is assumed.

Source: Blender's manual, "Nuke Animation (chan)".
"""

from __future__ import annotations

import math

import numpy as np

from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS

COLUMNS = 8
NOTE = "the rotation order of the .chan file is assumed to be XYZ, the exporter's default"


def read_chan(text: str) -> dict[str, object]:
    """Convert the text to the form of a decoded `transforms.json`, with frames in the order of their numbers.

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
            f"camera path: line {number} of a .chan file must be {COLUMNS} numbers (frame, position, rotation, field of "
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
