"""Our own format of a camera path, version 1, in and out.

It is self-describing: format, version, axes, units, and the size of the picture that intrinsics are relative to. A camera
has a position, a quaternion, and a vertical field of view or intrinsics.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_FOV_DEG, MIN_FOV_DEG
from flashworld.trajectories.camera_json import (
    CameraValues,
    LensTarget,
    read_angle,
    read_cameras,
    read_numbers,
    read_position,
    read_quaternion,
    read_size,
)

FORMAT = "flashworld-trajectory"
VERSION = 1
AXES = "opengl: x right, y up, camera looks along -z; camera-to-world; quaternion w, x, y, z"


def read_own(data: Mapping[str, object], target: LensTarget) -> Cameras:
    """Cameras of a decoded path in our own format.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """
    axes = data.get("axes", AXES)
    if not isinstance(axes, str) or axes.partition(":")[0].strip().lower() != "opengl":
        raise TrajectoryError(f"camera path: axes must be opengl, got {echo(axes)}")
    size = read_size(data["image_size"], "camera path: image_size") if "image_size" in data else None

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        return read_quaternion(entry, "quaternion_wxyz", where), read_position(entry, where), read_lens(entry, where)

    def read_lens(entry: Mapping[str, object], where: str) -> torch.Tensor:
        if "intrinsics" not in entry:
            return target.lens_from_fov(read_angle(entry.get("fov_y_deg", target.fov_y_deg), f"{where}: fov_y_deg"))
        if "fov_y_deg" in entry:
            raise TrajectoryError(f"{where}: expected fov_y_deg or intrinsics, got both")
        if size is None:
            raise TrajectoryError(f"{where}: intrinsics need the path's image_size, which is missing")
        relative = read_numbers(entry["intrinsics"], f"{where}: intrinsics", 4)
        sides = (size[1], size[0], size[1], size[0])
        return target.lens_from_px([v * s for v, s in zip(relative, sides, strict=True)], size, where)

    return read_cameras(data.get("cameras"), "cameras", read)


def trajectory_to_json(cameras: Cameras, *, height: int, width: int) -> dict[str, object]:
    """The path in our own format; `read_own` gives the same float32 numbers back.

    Args:
        cameras: The path.
        height: Rows of the picture that the intrinsics are relative to.
        width: Columns of that picture.
    """
    cameras = cameras.to("cpu", torch.float32)
    rows = []
    for quat, position, lens in zip(cameras.quats_wxyz, cameras.positions, cameras.intrinsics, strict=True):
        angle = _plain_fov(lens, height, width)
        view = {"intrinsics": _short(lens)} if angle is None else {"fov_y_deg": angle}
        rows.append({"position": _short(position), "quaternion_wxyz": _short(quat), **view})
    return {
        "format": FORMAT,
        "version": VERSION,
        "axes": AXES,
        "units": "positions in scene units; fov_y_deg vertical, in degrees; intrinsics fx / W, fy / H, cx / W, cy / H",
        "image_size": [height, width],
        "cameras": rows,
    }


def _plain_fov(lens: torch.Tensor, height: int, width: int) -> float | None:
    """The shortest field of view that gives exactly this lens; None for lenses that are not centred and square."""
    exact = float(fov_y_deg(lens.double()))
    for digits in range(12):
        angle = round(exact, digits)
        if MIN_FOV_DEG <= angle <= MAX_FOV_DEG and torch.equal(intrinsics_from_fov(angle, height, width), lens):
            return angle
    return None


def _short(values: torch.Tensor) -> list[float]:
    """Float32 numbers as the shortest decimals that read back the same."""
    return [float(str(value)) + 0.0 for value in values.numpy()]
