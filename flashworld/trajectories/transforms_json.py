"""nerfstudio's `transforms.json`, in and out.

It holds OpenGL camera-to-world matrices by rows, one a frame in the order of the path, and a pinhole lens in pixels: at
the top, or in a frame where it differs. Lens distortion is ignored; fisheye and panorama cameras are refused.

Source: nerfstudio's documentation, "Data conventions"; `camera_angle_x` is the older form of NeRF's own data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from flashworld.cameras import Cameras, matrix_to_quat
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.trajectories.camera_json import (
    CameraValues,
    Output,
    Size,
    read_angle,
    read_cameras,
    read_number,
    read_numbers,
    read_size,
)

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "FULL_OPENCV", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE")
LENS_FIELDS = ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x")
"""At the top, or in a frame where it differs."""
RIGID_TOLERANCE = 1e-3
"""Largest deviation of R^T R from the identity: files are often rounded to three or four digits."""
MAX_FOV_X_DEG = 165.0


def read_transforms(data: Mapping[str, object], output: Output, pixel_size: Size | None) -> Cameras:
    """Cameras of a decoded `transforms.json`.

    Args:
        data: The decoded object, with a "frames" list.
        output: The picture that the lenses are wanted for.
        pixel_size: (height, width) of the pictures, where the file has no w and h.

    Raises:
        TrajectoryError: what is wrong, with the camera's index.
    """
    model = data.get("camera_model", "PINHOLE")
    if model not in PINHOLE_MODELS:
        raise TrajectoryError(
            f"camera path: camera_model must be one of {', '.join(PINHOLE_MODELS)}, got {echo(model)}"
        )

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        rotation, position = _rigid(entry, where)
        quat = matrix_to_quat(torch.from_numpy(rotation)).tolist()
        lens = {name: entry.get(name, data.get(name)) for name in LENS_FIELDS if name in entry or name in data}
        return quat, position, _lens(lens, where, output, pixel_size)

    return read_cameras(data["frames"], "frames", read)


def to_transforms_json(cameras: Cameras, *, height: int, width: int) -> dict[str, object]:
    """The path as `transforms.json`; every frame carries its lens, and a file name for the picture it would have.

    Args:
        cameras: The path.
        height: Rows of the pictures that the intrinsics are relative to.
        width: Columns of those pictures.
    """
    cameras = cameras.to("cpu", torch.float64)
    lenses_px = cameras.intrinsics * cameras.intrinsics.new_tensor([width, height, width, height])
    frames = []
    for index, (c2w, lens) in enumerate(zip(cameras.c2w.tolist(), lenses_px.tolist(), strict=True)):
        fx, fy, cx, cy = map(_nine_digits, lens)
        picture = f"images/frame_{index + 1:05d}.png"
        matrix = [[*map(_nine_digits, row)] for row in c2w]
        frames.append({"file_path": picture, "transform_matrix": matrix, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy})
    return {"camera_model": "PINHOLE", "w": width, "h": height, "frames": frames}


def _lens(fields: Mapping[str, object], where: str, output: Output, pixel_size: Size | None) -> torch.Tensor:
    """From fl_x (fl_y, cx, cy) with w and h, or from camera_angle_x, or the output's own field of view. (4,)"""
    if "w" in fields or "h" in fields:
        pixel_size = read_size([fields.get("h"), fields.get("w")], f"{where}: h and w")
    height, width = pixel_size or (output.height, output.width)
    if "fl_x" in fields:
        if pixel_size is None:
            raise TrajectoryError(f"{where}: fl_x is in pixels, but w and h are missing")
        fx = read_number(fields, "fl_x", where)
    elif "camera_angle_x" in fields:
        angle = math.degrees(read_number(fields, "camera_angle_x", where))
        fx = 0.5 * width / math.tan(math.radians(read_angle(angle, f"{where}: camera_angle_x", MAX_FOV_X_DEG)) / 2)
    else:
        return output.lens_from_fov(output.fov_y_deg)
    fy = read_number(fields, "fl_y", where) if "fl_y" in fields else fx
    cx = read_number(fields, "cx", where) if "cx" in fields else width / 2
    cy = read_number(fields, "cy", where) if "cy" in fields else height / 2
    return output.lens_from_px([fx, fy, cx, cy], (height, width), where)


def _rigid(entry: Mapping[str, object], where: str) -> tuple[np.ndarray, list[float]]:
    """Rotation (3, 3) and position of a transform_matrix of 3 or 4 rows."""
    rows = entry.get("transform_matrix")
    if not isinstance(rows, list | tuple) or len(rows) not in (3, 4):
        raise TrajectoryError(f"{where}: transform_matrix must be 4 rows of 4 numbers, got {echo(rows)}")
    matrix = np.array([read_numbers(row, f"{where}: transform_matrix[{i}]", 4) for i, row in enumerate(rows)])
    if len(rows) == 4 and np.abs(matrix[3] - [0, 0, 0, 1]).max() > RIGID_TOLERANCE:
        raise TrajectoryError(f"{where}: last row of transform_matrix must be [0, 0, 0, 1], got {matrix[3].tolist()}")
    rotation = matrix[:3, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise TrajectoryError(f"{where}: transform_matrix must turn and move only, without scale, shear or mirror")
    return rotation, matrix[:3, 3].tolist()


def _nine_digits(value: float) -> float:
    """Enough digits to read the same float32 back."""
    return float(f"{value:.9g}") + 0.0
