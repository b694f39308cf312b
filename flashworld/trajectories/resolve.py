"""From any source of a camera path (preset, cameras, keyframes, JSON) to checked cameras, one per frame.

Checks run in float64 before anything is rounded to float32, so that the error for 1e308 names the value, not infinity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, cast, get_args

import torch

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov
from flashworld.checks import echo, one_of, real_number, true_or_false
from flashworld.config import DEFAULT_FOV_Y_DEG, FULL
from flashworld.errors import TrajectoryError
from flashworld.io.images.crops import Crop, photo_intrinsics
from flashworld.io.images.reading import Photo
from flashworld.limits import (
    MAX_CAMERAS,
    MAX_COORDINATE,
    MAX_FOV_DEG,
    MAX_PRINCIPAL_POINT,
    MIN_CAMERAS,
    MIN_FOV_DEG,
)
from flashworld.trajectories import EASINGS, build_trajectory, resample
from flashworld.trajectories.json_forms import parse_trajectory
from flashworld.trajectories.keyframes import Keyframe, Mode, path_from_keyframes
from flashworld.trajectories.presets import find_preset
from flashworld.types import Intrinsics

PathSource: TypeAlias = "str | Cameras | Sequence[Keyframe] | Mapping[str, object] | Sequence[Mapping[str, object]]"
"""A preset's name, cameras, keyframes, or the parsed JSON of a path (INRIA's is a list)."""
FROM_CAMERAS = "cameras"
"""Name of a path that does not come from a preset."""
UNIT_TOLERANCE = 1e-6
"""Quaternions this close to length 1 are not normalised again; float32 rounding reaches 2e-7."""
SHAPE_PARAMS = ("loop", "easing")
"""Parameters that every preset takes in addition to its own."""


@dataclass(frozen=True)
class PathOrigin:
    """The origin of a path.

    Attributes:
        name: A preset's name, or "cameras".
        params: Every parameter of the preset, defaults filled in; read-only.
        notes: Notes on a path's file for the user, one sentence each.
    """

    name: str = FROM_CAMERAS
    params: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[type[PathOrigin], tuple[str, dict[str, object], tuple[str, ...]]]:
        # requests are pickled for the GPU process, read-only views cannot be
        return PathOrigin, (self.name, dict(self.params), self.notes)


def lens(fov_deg: float | None, photo: Photo | None, crop: Crop | None, height: int, width: int) -> Intrinsics:
    """Intrinsics of the output: the requested field of view, else the photo's, else 60 degrees. (4,)

    Raises:
        TrajectoryError: the field of view is not a number within its limits.
    """
    if fov_deg is not None:
        fov_deg = real_number(fov_deg, "fov_y_deg", MIN_FOV_DEG, MAX_FOV_DEG, TrajectoryError, unit=" degrees")
        return intrinsics_from_fov(fov_deg, height, width)
    own = photo_intrinsics(photo, crop, height, width) if photo and crop else None
    if own is not None and MIN_FOV_DEG <= float(fov_y_deg(own)) <= MAX_FOV_DEG:
        return own
    return intrinsics_from_fov(DEFAULT_FOV_Y_DEG, height, width)


def build_path(
    source: PathSource,
    params: Mapping[str, object],
    *,
    frames: int | None,
    height: int,
    width: int,
    intrinsics: Intrinsics,
    picture_size: tuple[int, int] | None = None,
) -> tuple[Cameras, PathOrigin]:
    """Cameras for a request, and their origin.

    Args:
        source: See `PathSource`.
        params: Parameters of the preset, plus `loop` and `easing`; for keyframes `mode` and `loop`.
        frames: Number of cameras; longer and shorter paths are resampled. None: as many as the path has, and the model's
            usual number of a preset or of keyframes.
        height: Rows of the output.
        width: Columns of the output.
        intrinsics: Lens if the path has none. (4,)
        picture_size: (height, width) of the picture before cropping, whose pixels are the unit of the original's fx, fy,
            cx, cy. None without a picture.

    Raises:
        TrajectoryError: the path is invalid; the message names the camera or parameter.
    """
    if not isinstance(params, Mapping):
        raise TrajectoryError(f"trajectory parameters must be an object of names and values, got {echo(params)}")
    count = FULL.frames if frames is None else frames
    if isinstance(source, str):
        values = preset_values(source, params)
        return build_trajectory(source, frames=count, intrinsics=intrinsics, **values), PathOrigin(source, values)
    fov = float(fov_y_deg(intrinsics))
    notes: tuple[str, ...] = ()
    if isinstance(source, Cameras):
        cameras = source
    elif isinstance(source, Mapping) or _is_list_of_objects(source):
        parsed = parse_trajectory(source, height=height, width=width, fov_y_deg=fov, pixel_size=picture_size)
        cameras, notes = parsed.cameras, parsed.notes
    elif isinstance(source, Sequence) and all(isinstance(key, Keyframe) for key in source):
        mode = cast("Mode", one_of(params.get("mode", "spline"), "mode", get_args(Mode), TrajectoryError))
        loop = true_or_false(params.get("loop", False), "loop", TrajectoryError)
        cameras = path_from_keyframes(
            cast("Sequence[Keyframe]", source),
            frames=count,
            fov_y_deg=fov,
            height=height,
            width=width,
            mode=mode,
            loop=loop,
        )
    else:
        raise TrajectoryError(
            f"trajectory must be a preset's name, cameras, keyframes or path JSON, got {echo(source)}"
        )
    cameras = checked_cameras(cameras)
    return cameras if frames is None else resample(cameras, frames), PathOrigin(notes=notes)


def _is_list_of_objects(source: object) -> bool:
    return isinstance(source, list | tuple) and len(source) > 0 and all(isinstance(entry, Mapping) for entry in source)


def checked_cameras(cameras: Cameras) -> Cameras:
    """Refuse cameras that cannot be rendered; return the others in float32 on the CPU, with unit quaternions.

    Idempotent, bit by bit.

    Raises:
        TrajectoryError: too few or too many cameras, a position, lens or quaternion out of range.
    """
    if not MIN_CAMERAS <= len(cameras) <= MAX_CAMERAS:
        raise TrajectoryError(f"a path needs {MIN_CAMERAS} to {MAX_CAMERAS} cameras, got {len(cameras)}")
    cameras = cameras.to("cpu", torch.float64)
    far = (cameras.positions.abs() > MAX_COORDINATE).any(dim=1)
    _refuse(far, f"position must stay within {MAX_COORDINATE:g} scene units of the origin")
    angles = torch.rad2deg(2 * torch.atan(0.5 / cameras.intrinsics[:, :2]))
    wrong = (angles[:, 1] < MIN_FOV_DEG) | (angles[:, 1] > MAX_FOV_DEG)
    _refuse(wrong, f"vertical field of view must be {MIN_FOV_DEG:g} to {MAX_FOV_DEG:g} degrees (fy in which pixels?)")
    wrong = (angles[:, 0] < MIN_FOV_DEG / 4) | (angles[:, 0] > (180 + MAX_FOV_DEG) / 2)
    _refuse(wrong, "fx does not fit the picture's width (fx in which pixels?)")
    wrong = (cameras.intrinsics[:, 2:].abs() > MAX_PRINCIPAL_POINT).any(dim=1)
    _refuse(wrong, f"cx and cy must lie within {MAX_PRINCIPAL_POINT:g} picture sizes (in which pixels?)")
    largest = cameras.quats_wxyz.abs().amax(dim=1, keepdim=True)  # first: squares of 1e200 overflow
    scaled = cameras.quats_wxyz / largest
    length = scaled.norm(dim=1, keepdim=True)
    unit = (length * largest - 1).abs() < UNIT_TOLERANCE
    quats = torch.where(unit, cameras.quats_wxyz, scaled / length)
    return Cameras(quats.float(), cameras.positions.float(), cameras.intrinsics.float())


def _refuse(wrong: torch.Tensor, why: str) -> None:
    found = wrong.nonzero()
    if len(found):
        raise TrajectoryError(f"camera {int(found[0])}: {why}")


def preset_values(name: str, params: Mapping[str, object]) -> dict[str, Any]:
    """Every parameter of a preset, checked, defaults filled in; `loop` and `easing` only when given.

    Raises:
        TrajectoryError: no such preset or parameter, or a value out of range.
    """
    preset = find_preset(name)
    values: dict[str, Any] = dict(preset.resolve({k: v for k, v in params.items() if k not in SHAPE_PARAMS}))
    if params.get("loop") is not None:
        values["loop"] = true_or_false(params["loop"], f"{name}: loop", TrajectoryError)
    if params.get("easing") is not None:
        values["easing"] = one_of(params["easing"], f"{name}: easing", tuple(EASINGS), TrajectoryError)
    return values
