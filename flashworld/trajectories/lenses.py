"""The lens of a frame of `transforms.json`: which level applies, all fields that tools write, and which lenses are refused.

A frame's own lens replaces the one at the top level completely, not field by field: a level has a lens if it has one of
`FOCAL_FIELDS`. The size (`w`, `h`) may still come from the top level, and a frame with only `cx` and `cy` moves the
principal point of the top level's lens. Only pinholes are supported; fisheye and panorama are refused however they are flagged.

Source: nerfstudio's documentation, "Data conventions"; instant-ngp's `docs/nerf_dataset_tips.md` and loader (`x_fov`,
`y_fov` in degrees, `is_fisheye`, `ftheta_*`, `latlong`, `equirectangular`); NeRF's own data (`camera_angle_x`, radians).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_FOV_DEG
from flashworld.trajectories.camera_json import LensTarget, Size, read_angle, read_number, read_size

Level = Mapping[str, object]
"""A frame, or the top of the file."""

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "FULL_OPENCV", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE")
"""Those with distortion count as pinholes; see `DISTORTION_FIELDS`."""
FOCAL_FIELDS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
FOREIGN_FIELDS = (
    "fx", "fy", "fov", "fov_x", "fov_y", "fovx", "fovy", "focal", "focal_length", "focal_x", "focal_y", "intrinsics", "K",
)  # fmt: skip
"""Lens fields of unknown unit: refused by name if no other field gives a lens."""
PROJECTION_FLAGS = (
    "is_fisheye", "fisheye", "is_panorama", "panorama", "equirectangular", "latlong", "fisheye_crop_radius",
)  # fmt: skip
DISTORTION_FIELDS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
DISTORTION_BOUND = 0.02
"""Moves a corner of a 60 degree image by about 2 % of its distance from the centre, which is hardly visible."""
MAX_FOV_X_DEG = 165.0
AGREEMENT = 0.01
"""Largest relative difference at which two fields agree on the focal length."""


def refuse_other_projections(level: Level, where: str) -> None:
    """Refuse cameras that are not pinholes.

    Raises:
        TrajectoryError: with the field's name.
    """
    for name in ("camera_model", "camera_type"):
        model = level.get(name, "PINHOLE")
        if not isinstance(model, str) or model.upper() not in PINHOLE_MODELS:
            raise TrajectoryError(f"{where}: {name} must be one of {', '.join(PINHOLE_MODELS)}, got {echo(model)}")
    for name in (*PROJECTION_FLAGS, *(key for key in level if key.startswith("ftheta_"))):
        if level.get(name) not in (None, False):
            raise TrajectoryError(
                f"{where}: only pinhole cameras are read, but {echo(name)} is set: undistort the images first"
            )


def read_lens(frame: Level, top: Level, where: str, target: LensTarget, pixel_size: Size | None) -> torch.Tensor | None:
    """The lens of one frame relative to the output image. (4,)

    Args:
        frame: The frame.
        top: The file's top level.
        where: Names the camera in messages.
        target: The output image that the lens refers to.
        pixel_size: (height, width) of the images, if neither level has w and h.

    Returns:
        None if neither level has a lens.

    Raises:
        TrajectoryError: a field is not a number, out of range, of an unknown name, or in pixels of an unknown size.
    """
    own = any(name in frame for name in FOCAL_FIELDS)
    level = frame if own else top
    if not any(name in level for name in FOCAL_FIELDS):
        _refuse_foreign(frame, top, where)
        return None
    sized = next((side for side in (frame, top) if "w" in side or "h" in side), None)
    if sized is not None:
        pixel_size = read_size([sized.get("h"), sized.get("w")], f"{where}: h and w")
    height, width = pixel_size or (target.height, target.width)
    known = pixel_size is not None
    fx = _focal(level, ("fl_x", "camera_angle_x", "x_fov"), width, known, where)
    fy = _focal(level, ("fl_y", "camera_angle_y", "y_fov"), height, known, where)
    centre = [_centre(name, side / 2, frame, level, where) for name, side in (("cx", width), ("cy", height))]
    square = next(value for value in (fx, fy) if value is not None)
    return target.lens_from_px(
        [square if fx is None else fx, square if fy is None else fy, *centre], (height, width), where
    )


def _focal(level: Level, names: tuple[str, str, str], side: int, size_known: bool, where: str) -> float | None:
    """Focal length in pixels along one side, from the first field there is; None without any."""
    pixels, radians, degrees = names
    if pixels in level:
        if not size_known:
            raise TrajectoryError(f"{where}: {pixels} is in pixels, but w and h are missing")
        return read_number(level, pixels, where)
    widest = MAX_FOV_X_DEG if pixels == "fl_x" else MAX_FOV_DEG
    if radians in level:
        angle = read_angle(math.degrees(read_number(level, radians, where)), f"{where}: {radians}", widest)
    elif degrees in level:
        angle = read_angle(level[degrees], f"{where}: {degrees}", widest)
    else:
        return None
    return 0.5 * side / math.tan(math.radians(angle) / 2)


def _centre(name: str, middle: float, frame: Level, level: Level, where: str) -> float:
    found = frame if name in frame else level
    return read_number(found, name, where) if name in found else middle


def _refuse_foreign(frame: Level, top: Level, where: str) -> None:
    name = next((name for level in (frame, top) for name in FOREIGN_FIELDS if name in level), None)
    if name is not None:
        raise TrajectoryError(f"{where}: lens field {name} is not known, expected one of {', '.join(FOCAL_FIELDS)}")


def contradiction(level: Level) -> str | None:
    """A note if fl_x and camera_angle_x of one level (or their y) disagree; fl_x is used."""
    for axis, side in (("x", "w"), ("y", "h")):
        values = [level.get(name) for name in (f"fl_{axis}", f"camera_angle_{axis}", side)]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            focal, angle, size = values
            if 0 < angle < math.pi and abs(2 * focal * math.tan(angle / 2) / size - 1) > AGREEMENT:  # type: ignore[operator]
                return f"fl_{axis} and camera_angle_{axis} disagree: using fl_{axis}"
    return None


class Distortion:
    """The largest distortion coefficients of all cameras, for one note about them."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}

    def look(self, frame: Level, top: Level, where: str) -> None:
        """Add a frame's coefficients; its own replace the top level's completely, as its lens does.

        Raises:
            TrajectoryError: one is not a number.
        """
        own = any(name in frame for name in (*FOCAL_FIELDS, *DISTORTION_FIELDS))
        level = frame if own else top
        for name in DISTORTION_FIELDS:
            if name in level:
                value = read_number(level, name, where)
                if abs(value) > abs(self._worst.get(name, DISTORTION_BOUND)):
                    self._worst[name] = value

    def note(self) -> str | None:
        """A note on the ignored distortion, with the largest values; None if it is hardly visible."""
        if not self._worst:
            return None
        found = ", ".join(f"{name} = {value:.4g}" for name, value in self._worst.items())
        return f"lens distortion is ignored ({found}): cameras are treated as pinholes"
