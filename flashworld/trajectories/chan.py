"""`.chan` files, the text format in which Nuke exports and imports a camera, and Houdini, trackers and Blender's add-on with it.

One line per frame: number, position x y z, rotation x y z in degrees, vertical field of view in degrees. The camera looks along
its -z with y up, as here. The world is the exporters' with y up (Blender's add-on turns Blender's unless told not to), which is this
project's. A file does not state the order of its rotations. It is read from the file's name if one of the six
is a word of it, as Blender's manual recommends; otherwise ZXY is assumed (z first, y last), Nuke's default, with a note.
Cameras without roll have the same angles in ZXY and in XYZ, the default of Blender's add-on.

Source: Foundry's documentation, rotation order of cameras; Blender's manual, "Nuke Animation (chan)".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from flashworld.checks import echo, one_of
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS
from flashworld.trajectories.matrices import quat_of
from flashworld.trajectories.own_json import FORMAT, VERSION

COLUMNS = 8
ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
"""Orders of the rotations, the one applied first on the left."""
NUKE_ORDER = "ZXY"
ASSUMED_ORDER = "assumed_rotation_order"
"""The field of a converted path that says which order was assumed, for the note."""
_ORDER_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(ORDERS)})(?![A-Za-z])")


def read_chan(text: str, name: str = "") -> dict[str, object]:
    """Convert the text to a decoded path of this project's format, with cameras in the order of their frames' numbers.

    Args:
        text: The file's text.
        name: The file's name, which may state the order of the rotations, as in `camera_XYZ.chan`.

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
    stated = set(_ORDER_WORD.findall(name))
    order = stated.pop() if len(stated) == 1 else None
    cameras = [_camera(row, order or NUKE_ORDER) for row in rows]
    path: dict[str, object] = {"format": FORMAT, "version": VERSION, "cameras": cameras}
    if order is None and any(_order_matters(row) for row in rows):
        path[ASSUMED_ORDER] = NUKE_ORDER
    return path


def order_notes(data: Mapping[str, object]) -> tuple[str, ...]:
    """A note on the order of rotations that was assumed for a converted `.chan` file; empty for other paths.

    Raises:
        TrajectoryError: the field is not an order.
    """
    if ASSUMED_ORDER not in data:
        return ()
    order = one_of(data[ASSUMED_ORDER], f"camera path: {ASSUMED_ORDER}", (NUKE_ORDER,), TrajectoryError)
    return (
        f"the rotation order of the .chan file is assumed to be {order}, Nuke's default: another one is read from the file's name, "
        "as in camera_XYZ.chan",
    )


def _order_matters(row: list[float]) -> bool:
    return sum(degrees % 360 != 0 for degrees in row[4:7]) > 1


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


def _camera(row: list[float], order: str) -> dict[str, object]:
    rotation = np.eye(3)
    for axis in ("XYZ".index(letter) for letter in order):
        angle = math.radians(row[4 + axis])
        c, s = math.cos(angle), math.sin(angle)
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, one, other, other], [one, other, one, other]] = c, -s, s, c
        rotation = turn @ rotation
    quat = quat_of(rotation, "rotation")
    return {"position": row[1:4], "quaternion_wxyz": quat, "fov_y_deg": row[7]}
