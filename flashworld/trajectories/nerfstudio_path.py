"""nerfstudio's `camera_path.json`, which its viewer and its Blender add-on save for rendering.

`camera_path` is the list of views, each a camera-to-world matrix of 16 numbers by rows in OpenGL axes and a vertical
field of view in degrees, of pictures of render_height x render_width. The keyframes in the same file are ignored: the path
was computed from them. Its world is that of the scene in the viewer, which is also that of the exported one.

Source: nerfstudio's `cameras/camera_paths.py` (what is read) and `scripts/blender/nerfstudio_blender.py` (what is written).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from flashworld.cameras import Cameras
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.trajectories.camera_json import CameraValues, LensTarget, read_angle, read_cameras, read_size
from flashworld.trajectories.lenses import refuse_other_projections
from flashworld.trajectories.matrices import read_matrix, turn_world


def read_camera_path(data: Mapping[str, object], target: LensTarget) -> tuple[Cameras, tuple[str, ...]]:
    """Cameras of a decoded `camera_path.json` in this project's world, and notes.

    Args:
        data: The decoded object, with a "camera_path" list.
        target: The output image that the lenses refer to.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """
    refuse_other_projections(data, "camera path")
    size = None
    if "render_height" in data or "render_width" in data:
        size = read_size(
            [data.get("render_height"), data.get("render_width")], "camera path: render_height and render_width"
        )
    without_lens: list[str] = []

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        refuse_other_projections(entry, where)
        quat, position = read_matrix(_rows(entry.get("camera_to_world"), where), f"{where}: camera_to_world")
        return quat, position, lens(entry, where)

    def lens(entry: Mapping[str, object], where: str) -> torch.Tensor:
        if entry.get("fov") is None:
            without_lens.append(where)
            return target.lens_from_fov(target.fov_y_deg)
        angle = read_angle(entry["fov"], f"{where}: fov")
        if size is None:
            return target.lens_from_fov(angle)
        height, width = size
        focal = 0.5 * height / math.tan(math.radians(angle) / 2)
        return target.lens_from_px([focal, focal, width / 2, height / 2], size, where)

    cameras = turn_world(read_cameras(data["camera_path"], "camera_path", read))
    return cameras, (target.no_lens_note(),) if without_lens else ()


def _rows(value: object, where: str) -> object:
    """16 numbers by rows as 4 rows; 4 rows unchanged."""
    if isinstance(value, list | tuple) and len(value) == 16:
        return [value[start : start + 4] for start in range(0, 16, 4)]
    if isinstance(value, list | tuple) and len(value) in (3, 4):
        return value
    raise TrajectoryError(f"{where}: camera_to_world must be 16 numbers by rows, got {echo(value)}")
