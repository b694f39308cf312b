"""Camera paths as JSON: our own format, the original project's two forms, and those of nerfstudio and INRIA.

Which format a text is in is read from its fields, never from its values:

    "format": "flashworld-trajectory"   our own, version 1
    "frames"                            nerfstudio's transforms.json
    "camera_path"                       nerfstudio's camera_path.json
    "cameras" and a request's fields    the original's request (image_prompt, text_prompt, image_index, resolution)
    "cameras" alone                     the original's trajectory
    a list                              INRIA's cameras.json

All but INRIA's hold camera-to-world poses in OpenGL axes (x right, y up, looking along -z). Lenses come out relative to
the output picture. Where a file says how large its own picture was, its lens goes through the same centre crop as a
photograph of that size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import torch

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov
from flashworld.checks import echo, whole_number
from flashworld.errors import TrajectoryError
from flashworld.io.json_text import read_json
from flashworld.limits import MAX_CAMERAS, MAX_FOV_DEG, MIN_FOV_DEG
from flashworld.trajectories import resample
from flashworld.trajectories.camera_json import (
    LENS_FIELDS,
    CameraValues,
    Output,
    Size,
    read_angle,
    read_cameras,
    read_number,
    read_numbers,
    read_position,
    read_quaternion,
    read_size,
)
from flashworld.trajectories.inria_cameras import read_inria
from flashworld.trajectories.nerfstudio_path import read_camera_path
from flashworld.trajectories.ordering import jump_note
from flashworld.trajectories.transforms_json import read_transforms, to_transforms_json

__all__ = ["ParsedTrajectory", "detect_format", "parse_trajectory", "to_transforms_json", "trajectory_to_json"]

FORMAT = "flashworld-trajectory"
VERSION = 1
AXES = "opengl: x right, y up, camera looks along -z; camera-to-world; quaternion w, x, y, z"
REQUEST_FIELDS = ("image_prompt", "text_prompt", "image_index", "resolution")

SourceFormat = Literal[
    "flashworld-trajectory", "original-request", "original-trajectory", "transforms.json", "camera_path.json", "cameras.json"
]  # fmt: skip


@dataclass(frozen=True)
class ParsedTrajectory:
    """What a text said.

    Attributes:
        cameras: The path, float32, intrinsics relative to the output picture; quaternions as they came.
        source_format: Which of the formats it was.
        frames: Number of views the text asks for (the original's `resolution`), if it does.
        size: (height, width) that the text asks for, if it does.
        extras: The original request's other fields as they came, unchecked: image_prompt, text_prompt, image_index,
            resolution.
        notes: Remarks for whoever gave the text: what was sorted, left out or looks wrong. One sentence each.
    """

    cameras: Cameras
    source_format: SourceFormat
    frames: int | None = None
    size: Size | None = None
    extras: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def parse_trajectory(
    data: str | bytes | Mapping[str, object] | Sequence[object],
    *,
    height: int,
    width: int,
    fov_y_deg: float,
    frames: int | None = None,
    pixel_size: Size | None = None,
) -> ParsedTrajectory:
    """Read a camera path in any of the formats.

    Args:
        data: JSON text, its UTF-8 bytes, or the decoded object or list.
        height: Rows of the output picture.
        width: Columns of the output picture.
        fov_y_deg: Vertical field of view of cameras that bring no lens.
        frames: Resample the path to so many cameras; None leaves it as it is.
        pixel_size: (height, width) of the picture whose pixels the original's fx, fy, cx, cy are in: the request's
            image before cropping. Not needed for a request without one, where they are in pixels of `resolution`.
            transforms.json uses it where it has no w and h of its own.

    Raises:
        TrajectoryError: what is wrong, with the camera's index.
    """
    read = read_json(data, "camera path", TrajectoryError) if isinstance(data, str | bytes) else data
    output = Output(height, width, read_angle(fov_y_deg, "field of view"))
    source_format = detect_format(read)  # anything but objects and lists ends here
    asked, size, extras, notes = None, None, {}, ()
    if not isinstance(read, Mapping):
        cameras, notes = read_inria(cast("list", read), output)
    elif source_format == FORMAT:
        cameras = _own(read, output)
    elif source_format == "transforms.json":
        cameras, notes = read_transforms(read, output, pixel_size)
    elif source_format == "camera_path.json":
        cameras, notes = read_camera_path(read, output)
    else:
        if source_format == "original-request":
            extras = {name: read[name] for name in REQUEST_FIELDS if name in read}
            if read.get("resolution") is not None:
                asked, size = _resolution(read["resolution"])
        cameras = _original(read, output, pixel_size or (None if read.get("image_prompt") else size))
    hint = jump_note(cameras)
    if frames is not None:
        cameras = resample(cameras, frames)
    return ParsedTrajectory(cameras, source_format, asked, size, extras, (*notes, *([hint] if hint else [])))


def detect_format(data: object) -> SourceFormat:
    """Which format a decoded text is in, by its fields alone.

    Raises:
        TrajectoryError: none of them, or our own in a version that is not known.
    """
    if isinstance(data, list | tuple):
        return "cameras.json"
    if not isinstance(data, Mapping):
        raise TrajectoryError(f"camera path: expected a JSON object, got {echo(data)}")
    if "format" in data:
        if data["format"] != FORMAT:
            raise TrajectoryError(f"camera path: format must be {FORMAT!r}, got {echo(data['format'])}")
        version = data.get("version")
        if isinstance(version, bool) or version != VERSION:
            raise TrajectoryError(f"camera path: version must be {VERSION}, got {echo(version)}")
        return FORMAT
    if "frames" in data and "cameras" not in data:
        return "transforms.json"
    if "camera_path" in data and "cameras" not in data:
        return "camera_path.json"
    if "cameras" in data and "frames" not in data:
        return "original-request" if any(name in data for name in REQUEST_FIELDS) else "original-trajectory"
    keys = ", ".join(echo(key) for key in list(data)[:8]) or "none"
    raise TrajectoryError(
        f"camera path: expected 'format': {FORMAT!r}, or one of 'cameras', 'frames' and 'camera_path', got the keys {keys}"
    )


def trajectory_to_json(cameras: Cameras, *, height: int, width: int) -> dict[str, object]:
    """The path in our own format; `parse_trajectory` gives the same float32 numbers back.

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


def _own(data: Mapping[str, object], output: Output) -> Cameras:
    """Our own format, version 1."""
    axes = data.get("axes", AXES)
    if not isinstance(axes, str) or axes.partition(":")[0].strip().lower() != "opengl":
        raise TrajectoryError(f"camera path: axes must be opengl, got {echo(axes)}")
    size = read_size(data["image_size"], "camera path: image_size") if "image_size" in data else None

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        return read_quaternion(entry, "quaternion_wxyz", where), read_position(entry, where), read_lens(entry, where)

    def read_lens(entry: Mapping[str, object], where: str) -> torch.Tensor:
        if "intrinsics" not in entry:
            return output.lens_from_fov(read_angle(entry.get("fov_y_deg", output.fov_y_deg), f"{where}: fov_y_deg"))
        if "fov_y_deg" in entry:
            raise TrajectoryError(f"{where}: expected fov_y_deg or intrinsics, got both")
        if size is None:
            raise TrajectoryError(f"{where}: intrinsics need the path's image_size, which is missing")
        relative = read_numbers(entry["intrinsics"], f"{where}: intrinsics", 4)
        sides = (size[1], size[0], size[1], size[0])
        return output.lens_from_px([v * s for v, s in zip(relative, sides, strict=True)], size, where)

    return read_cameras(data.get("cameras"), "cameras", read)


def _original(data: Mapping[str, object], output: Output, size: Size | None) -> Cameras:
    """The original project's cameras: fx, fy, cx, cy, all or none, in pixels of a picture of `size`."""

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        return read_quaternion(entry, "quaternion", where), read_position(entry, where), read_lens(entry, where)

    def read_lens(entry: Mapping[str, object], where: str) -> torch.Tensor:
        if not any(name in entry for name in LENS_FIELDS):
            return output.lens_from_fov(output.fov_y_deg)
        lens_px = [read_number(entry, name, where) for name in LENS_FIELDS]
        if size is None:
            missing = "the size of the image" if data.get("image_prompt") else "resolution [frames, height, width]"
            raise TrajectoryError(f"{where}: fx, fy, cx, cy are in pixels, but {missing} is not known")
        return output.lens_from_px(lens_px, size, where)

    return read_cameras(data["cameras"], "cameras", read)


def _resolution(value: object) -> tuple[int, Size]:
    """The original's [frames, height, width]."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise TrajectoryError(f"camera path: resolution must be [frames, height, width], got {echo(value)}")
    frames = whole_number(value[0], "camera path: frames in resolution", 1, MAX_CAMERAS, TrajectoryError)
    return frames, read_size(list(value[1:]), "camera path: resolution")


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
