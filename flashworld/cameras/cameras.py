"""Cameras: quaternions, OpenGL and OpenCV axes, intrinsics, and the normalisation the model expects.

A camera is a camera-to-world transform in OpenGL axes (x right, y up, looking along -z), kept as a quaternion
(w, x, y, z) and a position, plus intrinsics divided by the image size. Everything here runs in the dtype it is
given (float32 in the pipeline, float64 in tests); nothing is rounded to bfloat16.

Source: conventions and constants of FlashWorld (arXiv 2510.13678) and its reference code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from flashworld.errors import TrajectoryError
from flashworld.types import Intrinsics, Quaternions, Transforms

SCALE_MARGIN = 0.01
"""Added to the largest camera distance before dividing by it; the trained weights expect it."""
STATIC_EXTENT = 1e-5
"""Paths that move less than this (scene units) count as rotation only: their scene keeps its own size."""
PARALLEL_ANGLE = 1e-5
"""Below this angle (radians) slerp returns its left end."""


@dataclass(frozen=True)
class Cameras:
    """N cameras in OpenGL axes.

    Attributes:
        quats_wxyz: Camera-to-world rotations; any length above zero. (N, 4)
        positions: Camera centres in scene units. (N, 3)
        intrinsics: fx / W, fy / H, cx / W, cy / H. (N, 4)

    Raises:
        TrajectoryError: not tensors of floats, shapes disagree, a value is not finite, a quaternion is zero, a focal length is not positive.
    """

    quats_wxyz: Quaternions
    positions: torch.Tensor
    intrinsics: Intrinsics

    def __post_init__(self) -> None:
        for name in ("quats_wxyz", "positions", "intrinsics"):
            value = getattr(self, name)
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
                raise TrajectoryError(f"cameras: {name} must be a tensor of floats, got {kind}")
        count = self.quats_wxyz.shape[0] if self.quats_wxyz.ndim == 2 else -1
        expected = {"quats_wxyz": (count, 4), "positions": (count, 3), "intrinsics": (count, 4)}
        for name, shape in expected.items():
            value = getattr(self, name)
            if tuple(value.shape) != shape:
                raise TrajectoryError(f"cameras: {name} must have shape {shape}, got {tuple(value.shape)}")
        if self.quats_wxyz.is_meta or torch.compiler.is_compiling() or self.quats_wxyz.is_cuda:
            return  # checked when they were built on the CPU; reading values back would stall the GPU
        for name in expected:
            bad = (~torch.isfinite(getattr(self, name))).any(dim=1).nonzero()
            if len(bad):
                raise TrajectoryError(f"camera {int(bad[0])}: {name} must be finite numbers")
        zero = (self.quats_wxyz.norm(dim=1) < 1e-8).nonzero()
        if len(zero):
            raise TrajectoryError(f"camera {int(zero[0])}: quaternion must not be zero, got [0, 0, 0, 0]")
        flat = (self.intrinsics[:, :2] <= 0).any(dim=1).nonzero()
        if len(flat):
            raise TrajectoryError(f"camera {int(flat[0])}: focal length must be positive")

    def __len__(self) -> int:
        return self.quats_wxyz.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | torch.Tensor) -> Cameras:
        if isinstance(index, int):
            index = [index]
        return Cameras(self.quats_wxyz[index], self.positions[index], self.intrinsics[index])

    @property
    def c2w(self) -> Transforms:
        """Camera-to-world transforms, OpenGL axes. (N, 4, 4)"""
        return compose(quat_to_matrix(self.quats_wxyz), self.positions)

    @property
    def w2c(self) -> Transforms:
        """World-to-camera transforms, OpenGL axes. (N, 4, 4)"""
        return invert_rigid(self.c2w)

    @classmethod
    def from_c2w(cls, c2w: Transforms, intrinsics: Intrinsics) -> Cameras:
        """Build from camera-to-world transforms (N, 4, 4) and intrinsics (N, 4) or (4,)."""
        return cls(matrix_to_quat(c2w[:, :3, :3]), c2w[:, :3, 3], intrinsics.expand(len(c2w), 4))

    @classmethod
    def from_vectors(cls, vectors: torch.Tensor) -> Cameras:
        """Build from the model's 11 numbers: quaternion, position, intrinsics. (N, 11)"""
        return cls(vectors[:, :4], vectors[:, 4:7], vectors[:, 7:11])

    def to_vectors(self) -> torch.Tensor:
        """The model's 11 numbers per camera. (N, 11)"""
        return torch.cat([self.quats_wxyz, self.positions, self.intrinsics], dim=1)

    def to(self, *args: Any) -> Cameras:  # noqa: ANN401 - whatever Tensor.to takes
        """The same cameras on another device or in another dtype."""
        return Cameras(self.quats_wxyz.to(*args), self.positions.to(*args), self.intrinsics.to(*args))

    def K_px(self, height: int, width: int) -> torch.Tensor:
        """Pinhole matrices in pixels of a height x width image. (N, 3, 3)"""
        size = self.intrinsics.new_tensor([width, height, width, height])
        fx, fy, cx, cy = (self.intrinsics * size).unbind(-1)
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        return torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], dim=-1).reshape(-1, 3, 3)


def concatenate(parts: Sequence[Cameras]) -> Cameras:
    """Join camera lists end to end."""
    return Cameras(
        torch.cat([p.quats_wxyz for p in parts]),
        torch.cat([p.positions for p in parts]),
        torch.cat([p.intrinsics for p in parts]),
    )


def compose(rotation: torch.Tensor, translation: torch.Tensor) -> Transforms:
    """Rigid transforms from rotations (..., 3, 3) and translations (..., 3). (..., 4, 4)"""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def invert_rigid(transform: Transforms) -> Transforms:
    """Inverse of rigid transforms by transposition. (..., 4, 4)"""
    rotation = transform[..., :3, :3].transpose(-1, -2)
    return compose(rotation, -(rotation @ transform[..., :3, 3:]).squeeze(-1))


def to_opencv(c2w: Transforms) -> Transforms:
    """Turn OpenGL camera axes into OpenCV ones (y and z of the camera frame negated), a new tensor. (..., 4, 4)"""
    return c2w * c2w.new_tensor([1.0, -1.0, -1.0, 1.0])


def quat_multiply(a: Quaternions, b: Quaternions) -> Quaternions:
    """Hamilton product: rotate by b, then by a. (..., 4)"""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def quat_from_axis_angle(axis: Sequence[float] | torch.Tensor, angle_rad: torch.Tensor) -> Quaternions:
    """Unit quaternions of a rotation by `angle_rad` (...) about one unit axis (3). (..., 4)"""
    axis = torch.as_tensor(axis, dtype=angle_rad.dtype, device=angle_rad.device)
    half = angle_rad[..., None] / 2
    return torch.cat([half.cos(), half.sin() * axis / axis.norm()], dim=-1)


def quat_to_matrix(quats_wxyz: Quaternions) -> torch.Tensor:
    """Rotation matrices; quaternions of any length above zero are accepted. (..., 3, 3)"""
    w, x, y, z = quats_wxyz.unbind(-1)
    s = 2.0 / (quats_wxyz * quats_wxyz).sum(-1)
    rows = [
        1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
        s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
        s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*quats_wxyz.shape[:-1], 3, 3)


def matrix_to_quat(rotation: torch.Tensor) -> Quaternions:
    """Unit quaternions with w >= 0, from the best conditioned of the four classic formulas. (..., 4)"""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotation.flatten(-2).unbind(-1)
    one = torch.ones_like(r00)
    squares = torch.stack(  # 4 * (w^2, x^2, y^2, z^2)
        [one + r00 + r11 + r22, one + r00 - r11 - r22, one - r00 + r11 - r22, one - r00 - r11 + r22], dim=-1
    )
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], r21 - r12, r02 - r20, r10 - r01], dim=-1),
            torch.stack([r21 - r12, squares[..., 1], r10 + r01, r02 + r20], dim=-1),
            torch.stack([r02 - r20, r10 + r01, squares[..., 2], r12 + r21], dim=-1),
            torch.stack([r10 - r01, r20 + r02, r21 + r12, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    best = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quats = candidates.gather(-2, best).squeeze(-2)
    quats = quats / quats.norm(dim=-1, keepdim=True)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def slerp(left: Quaternions, right: Quaternions, fraction: torch.Tensor) -> Quaternions:
    """Shortest-arc spherical interpolation, regardless of sign; unit result; `fraction` (..., 1) from 0 to 1. (..., 4)"""
    left = left / left.norm(dim=-1, keepdim=True)
    right = right / right.norm(dim=-1, keepdim=True)
    dot = (left * right).sum(-1, keepdim=True)
    right = torch.where(dot < 0, -right, right)
    angle = torch.acos(dot.abs().clamp(max=1.0))
    sine = torch.sin(angle)
    parallel = angle < PARALLEL_ANGLE
    safe = torch.where(parallel, torch.ones_like(sine), sine)
    mixed = (torch.sin((1 - fraction) * angle) * left + torch.sin(fraction * angle) * right) / safe
    mixed = torch.where(parallel, left, mixed)
    return mixed / mixed.norm(dim=-1, keepdim=True)


def intrinsics_from_fov(fov_y_deg: float, height: int, width: int) -> Intrinsics:
    """Centred square-pixel intrinsics with the given vertical field of view, float32. (4,)"""
    fy = 0.5 / math.tan(math.radians(fov_y_deg) / 2)
    return torch.tensor([fy * height / width, fy, 0.5, 0.5])


def fov_y_deg(intrinsics: Intrinsics) -> torch.Tensor:
    """Vertical field of view in degrees, as if the principal point were centred. (...)"""
    return torch.rad2deg(2 * torch.atan(0.5 / intrinsics[..., 1]))


@dataclass(frozen=True)
class Normalization:
    """The transform of a path into the model's frame, and its inverse.

    Attributes:
        reference_w2c: World to first camera, OpenGL axes. (4, 4)
        divisor: Divisor of camera distances: largest distance from the first camera + SCALE_MARGIN.
        scene_scale: Factor of the scene on export. Equal to `divisor`, but 1 for a path that only rotates,
            whose scene has no size of its own.
    """

    reference_w2c: Transforms
    divisor: float
    scene_scale: float

    def apply(self, cameras: Cameras) -> Cameras:
        """Transform any cameras of the same world into the model's frame, rotations as quaternions with w >= 0."""
        c2w = self.reference_w2c.to(cameras.positions) @ cameras.c2w
        return Cameras(matrix_to_quat(c2w[:, :3, :3]), c2w[:, :3, 3] / self.divisor, cameras.intrinsics)

    def to_scene_units(self, normalized: Cameras) -> Cameras:
        """Transform cameras of the model's frame into the exported scene's: first camera's axes, request's units."""
        return Cameras(normalized.quats_wxyz, normalized.positions * self.scene_scale, normalized.intrinsics)


def normalize(cameras: Cameras) -> tuple[Cameras, Normalization]:
    """Put the first camera at the origin and the farthest one just inside distance 1.

    Args:
        cameras: The path, any world frame, scene units.

    Returns:
        The path in the model's frame, and the normalisation that was applied.
    """
    reference = torch.linalg.inv(cameras.c2w[0])
    extent = float((reference @ cameras.c2w)[:, :3, 3].norm(dim=1).max())
    divisor = extent + SCALE_MARGIN
    norm = Normalization(reference, divisor, 1.0 if extent < STATIC_EXTENT else divisor)
    return norm.apply(cameras), norm
