"""The lens of a frame of `transforms.json`: which level applies, all fields that tools write, and which lenses are refused.

Levels are not mixed: a frame that has any lens field has a lens of its own, and nothing of the one at the top level remains
but the size (`w`, `h`), if the frame has none. A level with a principal point or unknown fields but without a focal length
is refused by name, and so is a frame whose size differs from that of the shared lens it uses. Fields that contradict each
other or are unknown beside known ones are reported in notes. Only pinholes are supported; fisheye and panorama are refused
however they are flagged.

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
from flashworld.trajectories.camera_json import LensTarget, Size, read_angle, read_number, read_numbers, read_size

Level = Mapping[str, object]
"""A frame, or the top of the file."""

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "FULL_OPENCV", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE")
"""Those with distortion count as pinholes; see `DISTORTION_FIELDS`."""
FIELDS_X = ("fl_x", "camera_angle_x", "x_fov")
FIELDS_Y = ("fl_y", "camera_angle_y", "y_fov")
"""Focal length in pixels, angle in radians, angle in degrees; the first one there is used."""
FOCAL_FIELDS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
CENTRE_FIELDS = ("cx", "cy")
FOREIGN_FIELDS = (
    "fx", "fy", "fov", "fov_x", "fov_y", "fovx", "fovy", "FovX", "FovY", "FoVx", "FoVy", "hfov", "vfov", "fov_y_deg",
    "focal", "focal_length", "focal_x", "focal_y", "fl", "intrinsics", "intrinsic", "intrinsic_matrix", "camera_intrinsics",
    "camera_matrix", "camera_angle", "K",
)  # fmt: skip
"""Lens fields of unknown unit: refused by name where they would be the lens, reported beside known ones."""
PROJECTION_FLAGS = (
    "is_fisheye", "fisheye", "is_panorama", "panorama", "equirectangular", "latlong", "fisheye_crop_radius",
)  # fmt: skip
DISTORTION_FIELDS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
DISTORTION_LIST, LISTED_FIELDS = "distortion_params", ("k1", "k2", "k3", "k4", "p1", "p2")
"""nerfstudio's list of coefficients, which it reads instead of the single fields, and its elements."""
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


def read_lens(
    frame: Level, top: Level, where: str, target: LensTarget, pixel_size: Size | None
) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """The lens of one frame relative to the output image, and notes.

    Args:
        frame: The frame.
        top: The file's top level.
        where: Names the camera in messages.
        target: The output image that the lens refers to.
        pixel_size: (height, width) of the images, if neither level has w and h.

    Returns:
        fx / W, fy / H, cx / W, cy / H (4,), or None if neither level has a lens; one sentence for each contradiction.

    Raises:
        TrajectoryError: a field is not a number, out of range, of an unknown name, in pixels of an unknown size, or
            without the others that make a lens.
    """
    own = any(name in frame for name in (*FOCAL_FIELDS, *CENTRE_FIELDS, *FOREIGN_FIELDS))
    level = frame if own else top
    _refuse_fragment(frame, where)
    _refuse_fragment(top, where)
    used = next((name for name in FOCAL_FIELDS if name in level), None)
    if used is None:
        _refuse_foreign(level, where)
        return None, ()
    size = _size(frame, top, own, where) or pixel_size
    height, width = size or (target.height, target.width)
    fx = _focal(level, FIELDS_X, width, size is not None, where)
    fy = _focal(level, FIELDS_Y, height, size is not None, where)
    cx, cy = (read_number(level, name, where) if name in level else None for name in CENTRE_FIELDS)
    square = next(value for value in (fx, fy) if value is not None)
    lens_px = [
        square if fx is None else fx,
        square if fy is None else fy,
        width / 2 if cx is None else cx,
        height / 2 if cy is None else cy,
    ]
    notes = (
        _contradiction(level, FIELDS_X, fx, width),
        _contradiction(level, FIELDS_Y, fy, height),
        _ignored(level, used),
    )
    return target.lens_from_px(lens_px, (height, width), where), tuple(note for note in notes if note)


def _size(frame: Level, top: Level, own: bool, where: str) -> Size | None:
    """(height, width) of the frame's image; `own` says that the frame has a lens of its own."""
    sized = [level for level in (frame, top) if "w" in level or "h" in level]
    sizes = [
        read_size([level.get("h"), level.get("w")], f"{where}: h and w") for level in (sized[:1] if own else sized)
    ]
    if len(sizes) == 2 and sizes[0] != sizes[1]:
        (height, width), (shared_height, shared_width) = sizes
        raise TrajectoryError(
            f"{where}: w and h are {width} x {height}, but the shared lens is for {shared_width} x {shared_height}: give "
            "the frame a focal length of its own"
        )
    return sizes[0] if sizes else None


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


def _refuse_fragment(level: Level, where: str) -> None:
    """Refuse a principal point that belongs to no focal length of its level."""
    name = next((name for name in CENTRE_FIELDS if name in level), None)
    if name is not None and not any(other in level for other in (*FOCAL_FIELDS, *FOREIGN_FIELDS)):
        raise TrajectoryError(
            f"{where}: {name} has no focal length beside it, expected one of {', '.join(FOCAL_FIELDS)}"
        )


def _refuse_foreign(level: Level, where: str) -> None:
    name = next((name for name in FOREIGN_FIELDS if name in level), None)
    if name is not None:
        raise TrajectoryError(f"{where}: lens field {name} is not known, expected one of {', '.join(FOCAL_FIELDS)}")


def _contradiction(level: Level, names: tuple[str, str, str], focal_px: float | None, side: int) -> str | None:
    """A note if another field of one axis disagrees with the one that gave the focal length."""
    given = [name for name in names if level.get(name) is not None]
    for name in given[1:]:
        angle = _half_angle(level[name], name == names[1])
        if angle is None or focal_px is None or abs(2 * focal_px * math.tan(angle) / side - 1) > AGREEMENT:
            return f"{given[0]} and {name} disagree: using {given[0]}"
    return None


def _half_angle(value: object, radians: bool) -> float | None:
    """Half of a field of view in radians; None if the value is not one."""
    straight = math.pi if radians else 180.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < straight:
        return None
    return math.pi / 2 * (value / straight)


def _ignored(level: Level, used: str) -> str | None:
    """A note about unknown fields beside the known one that is used."""
    names = [name for name in FOREIGN_FIELDS if level.get(name) is not None]
    known = "lens fields {} are not known" if len(names) > 1 else "lens field {} is not known"
    return f"{known.format(', '.join(names))}: using {used}" if names else None


class Distortion:
    """The largest distortion coefficients of all cameras, for one note about them."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}

    def look(self, frame: Level, top: Level, where: str) -> None:
        """Add a frame's coefficients: its own, or else the top level's, which hold for frames with their own lens too.

        Raises:
            TrajectoryError: one is not a number, or the list is not one of 6.
        """
        level = frame if any(name in frame for name in (*DISTORTION_FIELDS, DISTORTION_LIST)) else top
        for name, value in _coefficients(level, where).items():
            if abs(value) > abs(self._worst.get(name, DISTORTION_BOUND)):
                self._worst[name] = value

    def note(self) -> str | None:
        """A note on the ignored distortion, with the largest values; None if it is hardly visible."""
        if not self._worst:
            return None
        found = ", ".join(f"{name} = {value:.4g}" for name, value in self._worst.items())
        return f"lens distortion is ignored ({found}): cameras are treated as pinholes"


def _coefficients(level: Level, where: str) -> dict[str, float]:
    """Distortion coefficients of one level by name."""
    listed = level.get(DISTORTION_LIST)
    if listed is not None:
        values = read_numbers(listed, f"{where}: {DISTORTION_LIST}", len(LISTED_FIELDS))
        return dict(zip(LISTED_FIELDS, values, strict=True))
    return {name: read_number(level, name, where) for name in DISTORTION_FIELDS if name in level}
