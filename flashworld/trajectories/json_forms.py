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

from flashworld.cameras import Cameras
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.io.json_text import read_json
from flashworld.trajectories import resample
from flashworld.trajectories.camera_json import LensTarget, Size, read_angle
from flashworld.trajectories.inria_cameras import read_inria
from flashworld.trajectories.nerfstudio_path import read_camera_path
from flashworld.trajectories.ordering import jump_note
from flashworld.trajectories.original_json import REQUEST_FIELDS, read_original, read_resolution
from flashworld.trajectories.own_json import FORMAT, VERSION, read_own, trajectory_to_json
from flashworld.trajectories.transforms_json import read_transforms, to_transforms_json

__all__ = ["ParsedTrajectory", "detect_format", "parse_trajectory", "to_transforms_json", "trajectory_to_json"]

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
    target = LensTarget(height, width, read_angle(fov_y_deg, "field of view"))
    source_format = detect_format(read)  # anything but objects and lists ends here
    asked, size, extras, notes = None, None, {}, ()
    if not isinstance(read, Mapping):
        cameras, notes = read_inria(cast("list", read), target)
    elif source_format == FORMAT:
        cameras = read_own(read, target)
    elif source_format == "transforms.json":
        cameras, notes = read_transforms(read, target, pixel_size)
    elif source_format == "camera_path.json":
        cameras, notes = read_camera_path(read, target)
    else:
        if source_format == "original-request":
            extras = {name: read[name] for name in REQUEST_FIELDS if name in read}
            if read.get("resolution") is not None:
                asked, size = read_resolution(read["resolution"])
        cameras = read_original(read, target, pixel_size or (None if read.get("image_prompt") else size))
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
