"""The original project's camera paths: a plain list of cameras, or one within a request.

Source: FlashWorld's own demo (arXiv 2510.13678), whose requests hold image_prompt, text_prompt, image_index and resolution.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from flashworld.cameras import Cameras
from flashworld.checks import echo, whole_number
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS
from flashworld.trajectories.camera_json import (
    LENS_FIELDS,
    CameraValues,
    LensTarget,
    Size,
    read_cameras,
    read_number,
    read_position,
    read_quaternion,
    read_size,
)

REQUEST_FIELDS = ("image_prompt", "text_prompt", "image_index", "resolution")


def read_original(data: Mapping[str, object], target: LensTarget, size: Size | None) -> Cameras:
    """Cameras of the original project: fx, fy, cx, cy, all or none, in pixels of a picture of `size`.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        return read_quaternion(entry, "quaternion", where), read_position(entry, where), read_lens(entry, where)

    def read_lens(entry: Mapping[str, object], where: str) -> torch.Tensor:
        if not any(name in entry for name in LENS_FIELDS):
            return target.lens_from_fov(target.fov_y_deg)
        lens_px = [read_number(entry, name, where) for name in LENS_FIELDS]
        if size is None:
            missing = "the size of the image" if data.get("image_prompt") else "resolution [frames, height, width]"
            raise TrajectoryError(f"{where}: fx, fy, cx, cy are in pixels, but {missing} is not known")
        return target.lens_from_px(lens_px, size, where)

    return read_cameras(data["cameras"], "cameras", read)


def read_resolution(value: object) -> tuple[int, Size]:
    """Frames and size of the original's [frames, height, width].

    Raises:
        TrajectoryError: it has another form.
    """
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise TrajectoryError(f"camera path: resolution must be [frames, height, width], got {echo(value)}")
    frames = whole_number(value[0], "camera path: frames in resolution", 1, MAX_CAMERAS, TrajectoryError)
    return frames, read_size(list(value[1:]), "camera path: resolution")
