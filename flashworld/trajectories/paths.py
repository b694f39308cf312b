"""Camera paths: build one from a preset, resample one by the model's rule, resample one for a video.

A path is a `Cameras`: a list of views, evenly spread in time. Numerics: presets are computed in float64 and rounded to
float32 once; `resample` runs in the dtype it is given, float32 for the model, whose acos rounds very small rotations to
the preceding pose, as in the reference code.

Source of the resampling rule: FlashWorld (arXiv 2510.13678) reference code, run on eight example paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from flashworld.cameras import Cameras, fov_y_deg, normalize, quat_multiply, quat_to_matrix, slerp
from flashworld.checks import real_number, true_or_false, whole_number
from flashworld.errors import TrajectoryError
from flashworld.limits import (
    MAX_CAMERAS,
    MAX_COORDINATE,
    MAX_FOV_DEG,
    MAX_FPS,
    MAX_VIDEO_FRAMES,
    MAX_VIDEO_SECONDS,
    MIN_CAMERAS,
    MIN_FOV_DEG,
    MIN_FPS,
    MIN_VIDEO_SECONDS,
)
from flashworld.trajectories.presets import PRESETS, Easing, Param, Preset, find_preset, unknown_name

__all__ = [
    "EASINGS", "PRESETS", "Easing", "Param", "Preset", "build_trajectory", "ease", "from_first_camera", "resample", "video_path",
]  # fmt: skip

ROUNDING = 12
"""Decimals of a preset's float64 numbers, so that sin(2 pi) is 0 in files instead of -2.4e-16."""
CLOSED_MIN_CAMERAS = 3
"""A closed path of two cameras would consist of the start twice."""
EASINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda t: t,
    "smooth": lambda t: (1 - torch.cos(math.pi * t)) / 2,
    "ease_in": lambda t: t * t,
    "ease_out": lambda t: t * (2 - t),
}
"""Time (0 to 1) to progress (0 to 1), ends exact."""


def build_trajectory(
    name: str,
    *,
    frames: int,
    intrinsics: torch.Tensor | Sequence[float],
    start: Cameras | None = None,
    loop: bool | None = None,
    easing: Easing | None = None,
    **params: object,
) -> Cameras:
    """A preset's path from a start pose, float32 on the CPU; camera 0 is the start pose exactly.

    Args:
        name: A key of `PRESETS`.
        frames: Number of cameras.
        intrinsics: The start's lens: fx / W, fy / H, cx / W, cy / H. (4,)
        start: The camera the move starts from and whose axes it uses (only the pose of the first one is used); the origin,
            looking along -z, if not given. Quaternions keep the length of the start's.
        loop: End where the path began. For a closed move False omits the last step, so that no view
            is repeated; for others True goes there and back. None: closed moves close if there are enough frames.
        easing: How the speed changes along the path ("linear", "smooth", "ease_in", "ease_out"); None: the preset's own.
        **params: The preset's parameters; defaults where not given.

    Raises:
        TrajectoryError: unknown preset, parameter or easing, a value out of range, too few or too many frames, or a
            field of view that the move would take beyond the model's range.
    """
    preset = find_preset(name)
    values = preset.resolve(params)
    lens = _checked_lens(intrinsics)
    frames = whole_number(frames, f"{name}: frames", MIN_CAMERAS, MAX_CAMERAS, TrajectoryError)
    progress = _progress(preset, frames, loop, easing)
    motion = preset.build(progress, **values)
    focal = motion.focal_scale[:, None]
    lenses = torch.cat([lens[:2] * focal, lens[2:].expand(frames, 2)], dim=1)
    _check_fov(name, lenses)
    quats = motion.quats_wxyz.round(decimals=ROUNDING)
    positions = motion.positions.round(decimals=ROUNDING)
    if start is not None:
        origin, turn = start.positions[:1].double().cpu(), start.quats_wxyz[:1].double().cpu()
        positions = origin + positions @ quat_to_matrix(turn)[0].T
        quats = quat_multiply(turn.expand(frames, 4), quats)
        if float(positions.abs().max()) > MAX_COORDINATE:
            raise TrajectoryError(f"{name}: start position must stay within ±{MAX_COORDINATE:g} scene units")
    return Cameras(quats.float() + 0.0, positions.float() + 0.0, lenses.float())  # + 0.0 turns -0.0 into 0.0


def ease(easing: str, fraction: torch.Tensor) -> torch.Tensor:
    """Time (0 to 1) to progress (0 to 1).

    Raises:
        TrajectoryError: no easing of that name.
    """
    curve = EASINGS.get(easing) if isinstance(easing, str) else None
    if curve is None:
        raise TrajectoryError(f"unknown easing {unknown_name(easing, EASINGS)}")
    return curve(fraction)


def resample(cameras: Cameras, count: int) -> Cameras:
    """Resample a path to another number of cameras by the model's own rule, in the given dtype.

    Uniform in list index, not in arc length: camera k sits at u = k / (count - 1) * (len - 1) of the list. Rotations
    are slerped along the shorter arc, positions and intrinsics are linear. A path that already has `count` cameras
    is returned unchanged.

    Raises:
        TrajectoryError: the path has one camera, or `count` is not between 2 and MAX_VIDEO_FRAMES.
    """
    if len(cameras) < MIN_CAMERAS:
        raise TrajectoryError(f"a camera path needs at least {MIN_CAMERAS} cameras, got {len(cameras)}")
    count = whole_number(count, "camera path: number of cameras", MIN_CAMERAS, MAX_VIDEO_FRAMES, TrajectoryError)
    if count == len(cameras):
        return cameras
    place = torch.linspace(0, 1, count, dtype=cameras.positions.dtype) * (len(cameras) - 1)
    place = place.to(cameras.positions.device)
    left = place.floor().long().clamp(max=len(cameras) - 2)
    fraction = (place - left)[:, None]
    before, after = cameras[left], cameras[left + 1]
    return Cameras(
        slerp(before.quats_wxyz, after.quats_wxyz, fraction),
        torch.lerp(before.positions, after.positions, fraction),
        torch.lerp(before.intrinsics, after.intrinsics, fraction),
    )


def from_first_camera(cameras: Cameras) -> Cameras:
    """Move a path as generation does: the first camera becomes the origin and its axes those of the world.

    Args:
        cameras: OpenGL axes, any world, scene units.

    Returns:
        The cameras in the world of a scene that was generated along them, same units; those of the result's `path.json`.
    """
    normalized, normalization = normalize(cameras)
    return normalization.to_scene_units(normalized)


def video_path(cameras: Cameras, *, fps: int, seconds: float | None = None) -> Cameras:
    """The path with one camera per video frame.

    Args:
        cameras: The views the scene was made from.
        fps: Frames per second.
        seconds: Length of the video; if not given, one second from each camera to the next, both ends shown.

    Raises:
        TrajectoryError: fewer than two cameras, fps or length out of range, or more than MAX_VIDEO_FRAMES frames.
    """
    fps = whole_number(fps, "video: frames per second", MIN_FPS, MAX_FPS, TrajectoryError)
    if seconds is not None:
        seconds = real_number(
            seconds, "video: length", MIN_VIDEO_SECONDS, MAX_VIDEO_SECONDS, TrajectoryError, unit=" seconds"
        )
    frames = (len(cameras) - 1) * fps + 1 if seconds is None else max(MIN_CAMERAS, round(seconds * fps))
    if frames > MAX_VIDEO_FRAMES:
        raise TrajectoryError(f"video: at most {MAX_VIDEO_FRAMES} frames, got {frames}; lower its fps or its length")
    return resample(cameras, frames)


def _progress(preset: Preset, frames: int, loop: bool | None, easing: str | None) -> torch.Tensor:
    """Progress of each camera, 0 to 1, float64; exactly 0 at the start and at the end of a closed path. (N,)"""
    if loop is None:
        loop = preset.closed and frames >= CLOSED_MIN_CAMERAS
    true_or_false(loop, f"{preset.name}: loop", TrajectoryError)
    if loop and frames < CLOSED_MIN_CAMERAS:
        raise TrajectoryError(f"{preset.name}: a closed path needs at least {CLOSED_MIN_CAMERAS} cameras, got {frames}")
    easing = preset.easing if easing is None else easing
    time = torch.linspace(0, 1, frames, dtype=torch.float64)
    if preset.closed and loop:
        return ease(easing, time) % 1
    if preset.closed:
        return ease(easing, torch.arange(frames, dtype=torch.float64) / frames)
    return ease(easing, 1 - (2 * time - 1).abs() if loop else time)


def _checked_lens(intrinsics: torch.Tensor | Sequence[float]) -> torch.Tensor:
    """Intrinsics as four float64 numbers on the CPU. (4,)"""
    try:
        lens = torch.as_tensor(intrinsics).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):  # strings, ragged lists, integers beyond 1e308
        lens = torch.empty(0)
    if lens.shape != (4,) or not bool(torch.isfinite(lens).all()) or bool((lens[:2] <= 0).any()):
        raise TrajectoryError("intrinsics: expected fx / W, fy / H, cx / W, cy / H, finite and focal lengths above 0")
    return lens


def _check_fov(name: str, intrinsics: torch.Tensor) -> None:
    """Refuse lenses outside the range of the training data."""
    angles = fov_y_deg(intrinsics)
    low, high = float(angles.min()), float(angles.max())
    if low < MIN_FOV_DEG or high > MAX_FOV_DEG:
        reached = low if low < MIN_FOV_DEG else high
        raise TrajectoryError(
            f"{name}: field of view must stay between {MIN_FOV_DEG:g} and {MAX_FOV_DEG:g} degrees, reaches {reached:.1f}"
        )
