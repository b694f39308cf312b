"""Camera paths as JSON: our own format, the original project's two formats, and those of nerfstudio and INRIA.

The format is recognised by its fields, never by their values:

    "format": "flashworld-trajectory"   our own, version 1
    "frames"                            nerfstudio's transforms.json
    "camera_path"                       nerfstudio's camera_path.json
    "cameras" and a request's fields    the original's request (image_prompt, text_prompt, image_index, resolution)
    "cameras" alone                     the original's trajectory
    a list                              INRIA's cameras.json

All but INRIA's contain camera-to-world transforms in OpenGL axes (x right, y up, looking along -z). Those of nerfstudio and INRIA
are in the world of the scene that was trained with them, and are turned as such a scene is (see `matrices`); the others are in this
project's. Resulting lenses are
relative to the output image. If a file states the size of its own images, its lens is converted by the same centre crop as a
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
from flashworld.trajectories.chan import order_notes
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
    """A parsed camera path.

    Attributes:
        cameras: The path, float32, intrinsics relative to the output image; quaternions unchanged.
        source_format: The recognised format.
        frames: Number of views in the text (the original's `resolution`), if given.
        size: (height, width) in the text, if given.
        extras: The original request's other fields, unchecked: image_prompt, text_prompt, image_index,
            resolution.
        notes: Notes for the user on anything that was sorted, ignored or looks wrong, one sentence each.
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
        height: Rows of the output image.
        width: Columns of the output image.
        fov_y_deg: Vertical field of view of cameras without a lens.
        frames: Resample the path to this number of cameras; None leaves it unchanged.
        pixel_size: (height, width) of the image whose pixels the original's fx, fy, cx, cy are in: the request's
            image before cropping. Not needed for a request without one, where they are in pixels of `resolution`.
            transforms.json uses it if it has no w and h.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """
    read = read_json(data, "camera path", TrajectoryError) if isinstance(data, str | bytes) else data
    target = LensTarget(height, width, read_angle(fov_y_deg, "field of view"))
    source_format = detect_format(read)  # refuses anything but objects and lists
    asked, size, extras, notes = None, None, {}, ()
    if not isinstance(read, Mapping):
        cameras, notes = read_inria(cast("list", read), target)
    elif source_format == FORMAT:
        cameras, notes = read_own(read, target), order_notes(read)
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
    """The format of a decoded text, determined only by its fields.

    Raises:
        TrajectoryError: none of them, or our own in an unknown version.
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
