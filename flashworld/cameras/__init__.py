"""Cameras and their rays: `Cameras`, quaternions, axes, intrinsics, normalisation; `raymaps` turns them into channels."""

from __future__ import annotations

from flashworld.cameras.cameras import (
    PARALLEL_ANGLE,
    SCALE_MARGIN,
    STATIC_EXTENT,
    Cameras,
    Normalization,
    compose,
    concatenate,
    fov_y_deg,
    intrinsics_from_fov,
    invert_rigid,
    matrix_to_quat,
    normalize,
    quat_from_axis_angle,
    quat_multiply,
    quat_to_matrix,
    slerp,
    to_opencv,
)

__all__ = [
    "PARALLEL_ANGLE",
    "SCALE_MARGIN",
    "STATIC_EXTENT",
    "Cameras",
    "Normalization",
    "compose",
    "concatenate",
    "fov_y_deg",
    "intrinsics_from_fov",
    "invert_rigid",
    "matrix_to_quat",
    "normalize",
    "quat_from_axis_angle",
    "quat_multiply",
    "quat_to_matrix",
    "raymaps",
    "slerp",
    "to_opencv",
]
