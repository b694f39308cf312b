"""Reading cameras from untrusted JSON values: numbers, sizes, lenses, lists. Every error names its camera.

Numbers are checked in float64 and rounded to float32 at the end, so that the error for 1e308 names the value, not infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.checks import echo, real_number, whole_number
from flashworld.errors import TrajectoryError
from flashworld.io.images.crops import crop_box
from flashworld.limits import (
    MAX_CAMERAS,
    MAX_COORDINATE,
    MAX_FOV_DEG,
    MAX_LENS_SIDE_PX,
    MAX_PRINCIPAL_POINT,
    MIN_CAMERAS,
    MIN_FOV_DEG,
)

Size = tuple[int, int]
"""(height, width) in pixels."""
CameraValues = tuple[list[float], list[float], torch.Tensor]
"""Quaternion wxyz, position, intrinsics relative to the output image (4,) in float64."""
LENS_FIELDS = ("fx", "fy", "cx", "cy")
MIN_QUATERNION = 1e-6
"""Shorter ones have lost their direction to rounding."""
FOV_SLACK_DEG = 1e-3
"""Tolerance of a field of view at its limit after rounding to float32."""


@dataclass(frozen=True)
class LensTarget:
    """The output image that lenses refer to, and the field of view of cameras without a lens.

    Attributes:
        height: Rows.
        width: Columns.
        fov_y_deg: Vertical field of view in degrees.
    """

    height: int
    width: int
    fov_y_deg: float

    def lens_from_fov(self, angle_deg: float) -> torch.Tensor:
        """Centred, square pixels. (4,)"""
        return intrinsics_from_fov(angle_deg, self.height, self.width).double()

    def no_lens_note(self) -> str:
        """The note for a path whose cameras have no lens."""
        return f"the path has no lens: using a vertical field of view of {self.fov_y_deg:.4g} degrees"

    def lens_from_px(self, lens_px: Sequence[float], size: Size, where: str) -> torch.Tensor:
        """A lens in pixels of a picture of `size`, after the centre crop that such a picture would get. (4,)

        Raises:
            TrajectoryError: focal length or principal point do not fit a picture of that size.
        """
        height, width = size
        hint = f"for pixels of a picture of {height} x {width}"
        for name, value, side in zip(LENS_FIELDS, lens_px, (width, height, width, height), strict=True):
            if name.startswith("f"):
                _check_focal(value / side, f"{where}: {name} {hint}", MIN_FOV_DEG / 4, (180 + MAX_FOV_DEG) / 2)
            elif abs(value / side) > MAX_PRINCIPAL_POINT:
                raise TrajectoryError(
                    f"{where}: {name} must lie within {MAX_PRINCIPAL_POINT:g} picture sizes, got {value:g} {hint}"
                )
        moved = crop_box(height, width, self.height, self.width).to_output_px(
            torch.tensor(lens_px, dtype=torch.float64)
        )
        return moved / moved.new_tensor([self.width, self.height, self.width, self.height])


def read_cameras(entries: object, name: str, read: Callable[[Mapping[str, object], str], CameraValues]) -> Cameras:
    """A list of cameras, float32.

    Args:
        entries: The decoded JSON value.
        name: The list's key, for messages.
        read: Converts one entry to numbers; receives the name of the camera for messages.

    Raises:
        TrajectoryError: not a list, too few or too many, or an entry is wrong.
    """
    if not isinstance(entries, list | tuple):
        raise TrajectoryError(f"camera path: {name} must be a list, got {echo(entries)}")
    if not MIN_CAMERAS <= len(entries) <= MAX_CAMERAS:
        raise TrajectoryError(f"camera path: expected {MIN_CAMERAS} to {MAX_CAMERAS} cameras, got {len(entries)}")
    quats, positions, lenses = [], [], []
    for index, entry in enumerate(entries):
        where = f"camera {index}"
        if not isinstance(entry, Mapping):
            raise TrajectoryError(f"{where}: expected an object, got {echo(entry)}")
        quat, position, lens = read(entry, where)
        focal = float(lens[1])
        _check_focal(focal, f"{where}: lens", MIN_FOV_DEG - FOV_SLACK_DEG, MAX_FOV_DEG + FOV_SLACK_DEG)
        quats.append(quat)
        positions.append(position)
        lenses.append(lens)
    return Cameras(torch.tensor(quats), torch.tensor(positions), torch.stack(lenses).float())


def read_quaternion(entry: Mapping[str, object], name: str, where: str) -> list[float]:
    """Four numbers of any length that is not zero."""
    quat = read_numbers(entry.get(name), f"{where}: {name}", 4)
    if math.hypot(*quat) < MIN_QUATERNION:
        raise TrajectoryError(f"{where}: quaternion must not be zero, got [{', '.join(f'{v:g}' for v in quat)}]")
    return quat


def read_position(entry: Mapping[str, object], where: str) -> list[float]:
    """Three numbers in scene units."""
    return read_numbers(entry.get("position"), f"{where}: position", 3)


def read_numbers(value: object, where: str, count: int) -> list[float]:
    """A list of `count` finite numbers of a usable size."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise TrajectoryError(f"{where} must be a list of {count} numbers, got {echo(value)}")
    return [_number(element, f"{where}[{index}]") for index, element in enumerate(value)]


def read_number(entry: Mapping[str, object], name: str, where: str) -> float:
    """One required field."""
    if name not in entry:
        raise TrajectoryError(f"{where}: {name} is missing")
    return _number(entry[name], f"{where}: {name}")


def read_angle(value: object, where: str, maximum: float = MAX_FOV_DEG) -> float:
    """A field of view in degrees."""
    return real_number(value, where, MIN_FOV_DEG, maximum, TrajectoryError, unit=" degrees")


def read_size(value: object, where: str) -> Size:
    """[height, width] in pixels."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise TrajectoryError(f"{where} must be [height, width], got {echo(value)}")
    height, width = (whole_number(v, f"{where} in pixels", 1, MAX_LENS_SIDE_PX, TrajectoryError) for v in value)
    return height, width


def _number(value: object, where: str) -> float:
    return real_number(value, where, -MAX_COORDINATE, MAX_COORDINATE, TrajectoryError)


def _check_focal(relative: float, where: str, low_deg: float, high_deg: float) -> None:
    """Refuse a focal length (relative to the image size) outside a range of fields of view."""
    if relative <= 0:
        raise TrajectoryError(f"{where}: focal length must be positive")
    angle = math.degrees(2 * math.atan(0.5 / relative))
    if not low_deg <= angle <= high_deg:
        raise TrajectoryError(
            f"{where}: field of view must be {low_deg:.4g} to {high_deg:.4g} degrees, got {angle:.4g}"
        )
