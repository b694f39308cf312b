"""INRIA's `cameras.json`: the list that the Gaussian splatting trainer writes next to a scene.

Each entry holds a camera-to-world rotation by rows in OpenCV axes, the camera's position, the image's width and height, and
fx, fy in its pixels; the principal point is the centre. The entries are sorted by `img_name`. Its world is that of the scene
beside it.

Source: graphdeco-inria/gaussian-splatting, `camera_to_JSON` in `utils/camera_utils.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flashworld.cameras import Cameras
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.trajectories.camera_json import (
    CameraValues,
    LensTarget,
    read_cameras,
    read_number,
    read_numbers,
    read_position,
    read_size,
)
from flashworld.trajectories.matrices import OPENCV_TO_OPENGL, quat_of, turn_world
from flashworld.trajectories.ordering import in_order


def read_inria(entries: Sequence[Any], target: LensTarget) -> tuple[Cameras, tuple[str, ...]]:
    """Cameras of a decoded `cameras.json` in this project's world, and notes.

    Args:
        entries: The decoded list.
        target: The output image that the lenses refer to.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        rows = entry.get("rotation")
        if not isinstance(rows, list | tuple) or len(rows) != 3:
            raise TrajectoryError(f"{where}: rotation must be 3 rows of 3 numbers, got {echo(rows)}")
        rotation = np.array([read_numbers(row, f"{where}: rotation[{i}]", 3) for i, row in enumerate(rows)])
        quat = quat_of(rotation @ OPENCV_TO_OPENGL, f"{where}: rotation")
        size = read_size([entry.get("height"), entry.get("width")], f"{where}: height and width")
        fx, fy = read_number(entry, "fx", where), read_number(entry, "fy", where)
        lens = target.lens_from_px([fx, fy, size[1] / 2, size[0] / 2], size, where)
        return quat, read_position(entry, where), lens

    cameras = turn_world(read_cameras(entries, "the list", read))
    return in_order(cameras, [entry.get("img_name") for entry in entries])
