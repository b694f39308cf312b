"""Paths through keyframes: linear by the model's own rule, or a smooth spline.

Every segment between two keys gets the same share of the frames. The spline is one cubic Bezier curve per segment, for positions,
for rotations (by repeated slerp) and for the lens (its logarithm), with Catmull-Rom tangents at the keys. Where one
neighbour is much nearer than the other the tangent is shortened, so that the path does not overshoot, and two keys at
the same place keep the camera still. Numerics: float64, rounded to float32 once.

Source: Catmull and Rom 1974; Shoemake 1985 (Bezier curves of quaternions); tangent limit after Fritsch and Carlson 1980.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from flashworld.cameras import Cameras, intrinsics_from_fov, quat_multiply, slerp
from flashworld.checks import echo, one_of, real_number, whole_number
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS, MAX_COORDINATE, MAX_FOV_DEG, MIN_CAMERAS, MIN_FOV_DEG
from flashworld.trajectories import resample

Mode = Literal["spline", "linear"]
TANGENT_LIMIT = 2.0
"""Longest tangent, in lengths of the shorter neighbouring segment; a cubic stays monotone up to 3."""


@dataclass(frozen=True)
class Keyframe:
    """One recorded pose.

    Attributes:
        position: Camera centre, OpenGL axes, scene units.
        quat_wxyz: Camera-to-world rotation, any length above zero.
        fov_y_deg: Vertical field of view at this key; None for the path's.
    """

    position: tuple[float, float, float]
    quat_wxyz: tuple[float, float, float, float]
    fov_y_deg: float | None = None


def path_from_keyframes(
    keys: Sequence[Keyframe],
    *,
    frames: int,
    fov_y_deg: float,
    height: int,
    width: int,
    mode: Mode = "spline",
    loop: bool = False,
) -> Cameras:
    """A path that starts at the first key, passes all of them and ends at the last, or at the first again.

    Args:
        keys: At least two; they may coincide.
        frames: Number of cameras of the path; fewer than keys leaves some keys between two cameras.
        fov_y_deg: Vertical field of view of keys that have none.
        height: Rows of the picture.
        width: Columns of the picture.
        mode: "spline" for smooth motion through the keys, "linear" for straight lines between them.
        loop: Close the path: one more segment leads from the last key to the first.

    Returns:
        The cameras, float32, unit quaternions, centred square-pixel intrinsics.

    Raises:
        TrajectoryError: too few or too many keys or frames, an unknown mode, or a key with a value out of range.
    """
    one_of(mode, "keyframes: mode", get_args(Mode), TrajectoryError)
    if not MIN_CAMERAS <= len(keys) <= MAX_CAMERAS:
        raise TrajectoryError(f"keyframes: expected {MIN_CAMERAS} to {MAX_CAMERAS}, got {len(keys)}")
    frames = whole_number(frames, "keyframes: frames", MIN_CAMERAS, MAX_CAMERAS, TrajectoryError)
    _check_fov("keyframes: field of view", fov_y_deg)
    cameras = _key_cameras(keys, fov_y_deg, height, width)
    if loop:
        cameras = cameras[[*range(len(keys)), 0]]
    path = resample(cameras, frames) if mode == "linear" else _spline(cameras, frames, loop)
    quats = path.quats_wxyz / path.quats_wxyz.norm(dim=1, keepdim=True)
    return Cameras(quats, path.positions, path.intrinsics).to(torch.float32)


def _key_cameras(keys: Sequence[Keyframe], fov_y_deg: float, height: int, width: int) -> Cameras:
    """The keys as float64 cameras, each checked. (M,)"""
    lenses = []
    for index, key in enumerate(keys):
        where = f"keyframe {index}"
        _check_numbers(f"{where}: position", key.position, 3)
        _check_numbers(f"{where}: quaternion", key.quat_wxyz, 4)
        if math.hypot(*key.quat_wxyz) < 1e-8:
            raise TrajectoryError(f"{where}: quaternion must not be zero, got {list(key.quat_wxyz)}")
        fov = fov_y_deg if key.fov_y_deg is None else key.fov_y_deg
        _check_fov(f"{where}: field of view", fov)
        lenses.append(intrinsics_from_fov(fov, height, width).double())
    quats = torch.tensor([key.quat_wxyz for key in keys], dtype=torch.float64)
    positions = torch.tensor([key.position for key in keys], dtype=torch.float64)
    return Cameras(quats / quats.norm(dim=1, keepdim=True), positions, torch.stack(lenses))


def _spline(keys: Cameras, frames: int, loop: bool) -> Cameras:
    """Bezier segments through the keys; for a loop the last key repeats the first. Float64."""
    place = torch.linspace(0, 1, frames, dtype=torch.float64) * (len(keys) - 1)
    left = place.floor().long().clamp(max=len(keys) - 2)
    fraction = (place - left)[:, None]
    quats = _short_way(keys.quats_wxyz)
    focal = keys.intrinsics[:, :2].log()
    return Cameras(
        _bezier_rotations(quats, _tangents(_turns(quats), loop), left, fraction),
        _bezier(keys.positions, _tangents(keys.positions.diff(dim=0), loop), left, fraction),
        torch.cat(
            [
                _bezier(focal, _tangents(focal.diff(dim=0), loop, monotone=True), left, fraction).exp(),
                torch.lerp(keys.intrinsics[left, 2:], keys.intrinsics[left + 1, 2:], fraction),
            ],
            dim=1,
        ),
    )


def _tangents(steps: torch.Tensor, loop: bool, monotone: bool = False) -> torch.Tensor:
    """Speed at every key, from the steps between neighbours (M - 1, d): their mean, limited by the shorter. (M, d)

    `monotone` also stops where the direction reverses, so that no value goes beyond its keys'.
    """
    before, after = steps[:-1], steps[1:]
    if loop:
        before, after = torch.cat([steps[-1:], before, steps[-1:]]), torch.cat([steps[:1], after, steps[:1]])
    mean = (before + after) / 2
    limit = TANGENT_LIMIT * torch.minimum(before.norm(dim=1), after.norm(dim=1))
    length = mean.norm(dim=1).clamp(min=1e-300)
    inner = mean * (limit / length).clamp(max=1)[:, None]
    if monotone:
        inner = inner * (before * after > 0)
    if loop:
        return inner
    # At a free end the segment has no curvature: half of (3 x chord - other tangent).
    if len(steps) == 1:
        return steps.expand(2, -1)
    ends = (3 * steps[[0, -1]] - inner[[0, -1]]) / 2
    return torch.cat([ends[:1], inner, ends[1:]])


def _bezier(values: torch.Tensor, tangents: torch.Tensor, left: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """Cubic through values (M, d) with the given speeds, at `fraction` of the segment after key `left`. (N, d)"""
    a, d = values[left], values[left + 1]
    b, c = a + tangents[left] / 3, d - tangents[left + 1] / 3
    f, g = fraction, 1 - fraction
    return g**3 * a + 3 * g**2 * f * b + 3 * g * f**2 * c + f**3 * d


def _bezier_rotations(
    quats: torch.Tensor, tangents: torch.Tensor, left: torch.Tensor, fraction: torch.Tensor
) -> torch.Tensor:
    """The same for rotations, De Casteljau's construction with slerp in place of straight lines. (N, 4)"""
    a, d = quats[left], quats[left + 1]
    b, c = quat_multiply(a, _exp(tangents[left] / 3)), quat_multiply(d, _exp(-tangents[left + 1] / 3))
    ab, bc, cd = slerp(a, b, fraction), slerp(b, c, fraction), slerp(c, d, fraction)
    return slerp(slerp(ab, bc, fraction), slerp(bc, cd, fraction), fraction)


def _short_way(quats: torch.Tensor) -> torch.Tensor:
    """The same rotations with signs such that neighbours are on the same half of the sphere. (M, 4)"""
    signs = torch.where((quats[:-1] * quats[1:]).sum(1) < 0, -1.0, 1.0).cumprod(0)
    return torch.cat([quats[:1], quats[1:] * signs[:, None]])


def _turns(quats: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (radians, in the camera's own axes) from each key to the next. (M - 1, 3)"""
    conjugate = quats[:-1] * quats.new_tensor([1.0, -1.0, -1.0, -1.0])
    step = quat_multiply(conjugate, quats[1:])
    sine = step[:, 1:].norm(dim=1, keepdim=True)
    angle = 2 * torch.atan2(sine, step[:, :1])
    return step[:, 1:] / sine.clamp(min=1e-300) * angle


def _exp(vectors: torch.Tensor) -> torch.Tensor:
    """Unit quaternions of rotation vectors in radians. (..., 4)"""
    angle = vectors.norm(dim=-1, keepdim=True)
    # sin(angle / 2) / angle, with its limit 1/2 at zero; torch.sinc(x) is sin(pi x) / (pi x)
    return torch.cat([torch.cos(angle / 2), vectors * torch.sinc(angle / (2 * math.pi)) / 2], dim=-1)


def _check_numbers(where: str, values: Sequence[float], count: int) -> None:
    """Refuse anything but `count` finite numbers of a usable size."""
    if not isinstance(values, tuple | list) or len(values) != count:
        raise TrajectoryError(f"{where} must be {count} numbers, got {echo(values)}")
    for index, value in enumerate(values):
        real_number(value, f"{where}[{index}]", -MAX_COORDINATE, MAX_COORDINATE, TrajectoryError)


def _check_fov(where: str, value: float) -> None:
    """Refuse a field of view outside the model's range."""
    real_number(value, where, MIN_FOV_DEG, MAX_FOV_DEG, TrajectoryError, unit=" degrees")
