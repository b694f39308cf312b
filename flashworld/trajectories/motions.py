"""The camera motions: from progress (0 to 1) to poses relative to the start camera.

Every motion is written in the start camera's own axes (OpenGL: x right, y up, looking along -z) and is the identity pose
at progress 0, so that composing with any start pose is one rigid transform. Orientations are built as yaw about the
camera's up, then pitch about its right, so there is no roll. Where a motion looks at a point, that point is straight ahead
of the start camera at `distance` and stays in the centre of the image.

Parameters: `amplitude` is how far the camera itself travels, `distance` is how far ahead the look-at point is (scene units).
Numerics: the dtype of `progress`; `build_trajectory` passes float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from flashworld.cameras import quat_from_axis_angle, quat_multiply

RIGHT = (1.0, 0.0, 0.0)
UP = (0.0, 1.0, 0.0)
BACK = (0.0, 0.0, 1.0)
WEAVE_PEAK = 0.75 * math.sin(2 * math.pi / 3)
"""Largest value of sin(2 pi p) sin(pi p)^2, at p = 1/3: makes `amplitude` the widest swing of the fly-through."""


@dataclass(frozen=True)
class Motion:
    """Poses relative to the start camera, and factors of the focal length.

    Attributes:
        quats_wxyz: Camera-to-start rotations, unit. (N, 4)
        positions: Camera centres in the start camera's axes, scene units. (N, 3)
        focal_scale: Factor of the start's focal lengths. (N,)
    """

    quats_wxyz: torch.Tensor
    positions: torch.Tensor
    focal_scale: torch.Tensor


def travel(progress: torch.Tensor, axis: tuple[float, float, float], amplitude: float) -> Motion:
    """Move straight along one camera axis, looking the same way."""
    return _motion(progress, positions=progress[:, None] * amplitude * progress.new_tensor(axis))


def turn(progress: torch.Tensor, axis: tuple[float, float, float], angle_deg: float) -> Motion:
    """Turn in place about one camera axis (right-handed)."""
    return _motion(progress, quats=quat_from_axis_angle(axis, progress * math.radians(angle_deg)))


def orbit(progress: torch.Tensor, axis: tuple[float, float, float], angle_deg: float, distance: float) -> Motion:
    """Circle about an axis through the point ahead (right-handed): the pose turns rigidly about that point."""
    angle = progress * math.radians(angle_deg)
    swing, rise = distance * angle.sin(), distance * (1 - angle.cos())
    # The offset from the point to the camera is `distance` along +z; turning it about y moves it to +x, about x to -y.
    positions = torch.stack([swing * axis[1], -swing * axis[0], -rise], dim=-1)
    return _motion(progress, quats=quat_from_axis_angle(axis, angle), positions=positions)


def spiral(progress: torch.Tensor, amplitude: float, turns: float, distance: float) -> Motion:
    """Widen circle by circle around the start, looking at the point ahead."""
    angle = progress * (2 * math.pi * turns)
    radius = progress * amplitude
    return _watching(progress, _planar(radius * angle.cos(), radius * angle.sin()), distance)


def lemniscate(progress: torch.Tensor, amplitude: float, distance: float) -> Motion:
    """Trace a figure of eight lying on its side (Bernoulli's), from its crossing, looking at the point ahead."""
    angle = progress * (2 * math.pi)
    x = amplitude * angle.sin() / (1 + angle.cos() ** 2)
    return _watching(progress, _planar(x, x * angle.cos()), distance)


def swipe(progress: torch.Tensor, amplitude: float, distance: float) -> Motion:
    """Slide to the right, across to the left and back, looking at the point ahead."""
    x = amplitude * torch.sin(progress * (2 * math.pi))
    return _watching(progress, _planar(x, torch.zeros_like(x)), distance)


def shake(progress: torch.Tensor, amplitude: float, distance: float) -> Motion:
    """Slide side to side, then up and down, looking at the point ahead."""
    wave = amplitude * torch.sin(progress * (4 * math.pi))
    nothing = torch.zeros_like(wave)
    sideways = progress < 0.5
    positions = _planar(torch.where(sideways, wave, nothing), torch.where(sideways, nothing, wave))
    return _watching(progress, positions, distance)


def rotate_forward(progress: torch.Tensor, amplitude: float, advance: float, distance: float) -> Motion:
    """Trace an oval on the ground ahead (right, forward, left, back), looking at the point ahead."""
    angle = progress * (2 * math.pi)
    x, z = amplitude * angle.sin(), -advance * (1 - angle.cos()) / 2
    return _watching(progress, torch.stack([x, torch.zeros_like(x), z], dim=-1), distance)


def crane(progress: torch.Tensor, amplitude: float, distance: float) -> Motion:
    """Rise straight up, tilting down to keep looking at the point ahead."""
    y = progress * amplitude
    return _watching(progress, _planar(torch.zeros_like(y), y), distance)


def fly_through(progress: torch.Tensor, advance: float, amplitude: float) -> Motion:
    """Fly forward along an S, always facing the direction of travel; starts and ends straight ahead."""
    half, whole = math.pi * progress, 2 * math.pi * progress
    weave = amplitude / WEAVE_PEAK
    x = weave * whole.sin() * half.sin() ** 2
    slope = weave * math.pi * (2 * whole.cos() * half.sin() ** 2 + whole.sin() ** 2)  # dx / d progress
    heading = torch.atan2(-slope, torch.full_like(slope, advance))
    positions = torch.stack([x, torch.zeros_like(x), -advance * progress], dim=-1)
    return _motion(progress, quats=quat_from_axis_angle(UP, heading), positions=positions)


def zoom(progress: torch.Tensor, factor: float) -> Motion:
    """Zoom to `factor` times the focal length, by equal ratios; the camera does not move."""
    return _motion(progress, focal_scale=torch.exp(progress * math.log(factor)))


def dolly_zoom(progress: torch.Tensor, factor: float, distance: float) -> Motion:
    """Zoom by `factor` while moving so that an object `distance` ahead keeps its size in the image."""
    stretch = 1 + (factor - 1) * progress
    positions = (distance * (stretch - 1))[:, None] * progress.new_tensor(BACK)
    return _motion(progress, positions=positions, focal_scale=stretch)


def look_at(positions: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Rotations that put a point in the centre of the image: yaw, then pitch, never roll. (N, 4)

    Args:
        positions: Camera centres. (N, 3)
        target: The point to look at, same axes. (3,)
    """
    x, y, z = (target - positions).unbind(-1)
    yaw = quat_from_axis_angle(UP, torch.atan2(-x, -z))
    pitch = quat_from_axis_angle(RIGHT, torch.atan2(y, torch.hypot(x, z)))
    return quat_multiply(yaw, pitch)


def _watching(progress: torch.Tensor, positions: torch.Tensor, distance: float) -> Motion:
    """Cameras at `positions` looking at the point `distance` ahead of the start."""
    return _motion(progress, quats=look_at(positions, progress.new_tensor([0.0, 0.0, -distance])), positions=positions)


def _planar(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Positions in the start camera's image plane. (N, 3)"""
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1)


def _motion(
    progress: torch.Tensor,
    *,
    quats: torch.Tensor | None = None,
    positions: torch.Tensor | None = None,
    focal_scale: torch.Tensor | None = None,
) -> Motion:
    """A motion; anything not given stays as at the start."""
    count = len(progress)
    return Motion(
        progress.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4) if quats is None else quats,
        progress.new_zeros(count, 3) if positions is None else positions,
        progress.new_ones(count) if focal_scale is None else focal_scale,
    )
