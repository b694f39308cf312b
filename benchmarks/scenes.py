"""A synthetic room of Gaussians and a path through it, for benchmarks and tests of the renderer.

Gaussians lie flat on the walls of a room and on six spheres, a little larger than the distance between them, as a
feed-forward model makes them. OpenGL axes: the room is in front of the origin, along -z.
"""

from __future__ import annotations

import math

import torch

from flashworld.cameras import Cameras, intrinsics_from_fov, quat_from_axis_angle, quat_multiply
from flashworld.gaussians import SH_C0, Gaussians

ROOM_HALF = (3.0, 2.0, 4.0)
ROOM_CENTER = (0.0, 0.0, -5.0)
WALLS = ((1, -1.0, 8.0), (1, 1.0, 8.0), (0, -1.0, 6.0), (0, 1.0, 6.0), (2, -1.0, 10.0))
"""Axis of the normal, side, share of the Gaussians."""
SPHERES = (
    ((-1.2, -0.8, -4.0), 0.7, 3.0), ((1.1, -0.9, -3.4), 0.6, 3.0), ((0.2, -1.0, -5.5), 0.9, 3.0),
    ((-0.6, 0.7, -4.4), 0.5, 2.0), ((1.6, 0.4, -6.0), 0.6, 2.0), ((-1.9, -0.2, -6.5), 0.7, 2.0),
)  # fmt: skip
"""Centre, radius, share of the Gaussians."""


def room_scene(count: int = 100_000, seed: int = 0, sh_degree: int = 2) -> Gaussians:
    """Make the room with `count` Gaussians; quaternions are not normalised, on purpose."""
    generator = torch.Generator().manual_seed(seed)
    means, normals, spacing = _surface_points(count, generator)
    stretch = torch.exp(torch.randn(count, 3, generator=generator) * 0.35 - 0.2)
    scales = 1.3 * spacing[:, None] * stretch * torch.tensor([1.0, 1.0, 0.25])  # flat along the normal
    turn = quat_from_axis_angle((0.0, 0.0, 1.0), 2 * math.pi * torch.rand(count, generator=generator))
    quats = quat_multiply(_quats_from_z_to(normals), turn) * (0.8 + 0.4 * torch.rand(count, 1, generator=generator))
    waves = torch.sin(means * torch.tensor([4.2, 6.6, 3.4]) + torch.tensor([0.0, 1.0, 2.0]))
    shade = (0.5 + 0.5 * waves) * (0.7 + 0.6 * torch.rand(count, 1, generator=generator))
    sh = 0.12 * torch.randn(count, (sh_degree + 1) ** 2, 3, generator=generator)
    sh[:, 0] = (shade.clamp(0, 1) - 0.5) / SH_C0
    opacities = torch.rand(count, generator=generator).sqrt().clamp(1e-4, 1 - 1e-4)
    order = torch.randperm(count, generator=generator)
    return Gaussians(means, quats, scales, opacities, sh)[order]


def room_cameras(frames: int, height: int, width: int, fov_x_deg: float = 70.0) -> Cameras:
    """A loop of cameras swaying inside the room, the principal point a little off centre."""
    phase = 2 * math.pi * torch.arange(frames) / frames
    yaw = quat_from_axis_angle((0.0, 1.0, 0.0), 0.35 * phase.sin())
    pitch = quat_from_axis_angle((1.0, 0.0, 0.0), 0.12 * phase.cos())
    positions = torch.stack([0.5 * phase.sin(), torch.full_like(phase, -0.1), -0.3 * phase.cos()], dim=1)
    fov_y_deg = 2 * math.degrees(math.atan(math.tan(math.radians(fov_x_deg) / 2) * height / width))
    intrinsics = intrinsics_from_fov(fov_y_deg, height, width) + torch.tensor([0.0, 0.0, 0.01, -0.01])
    return Cameras(quat_multiply(yaw, pitch), positions, intrinsics.expand(frames, 4))


def _surface_points(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points (N, 3) spread over walls and spheres, their normals (N, 3) and the distance to neighbours (N,)."""
    shares = torch.tensor([wall[2] for wall in WALLS] + [sphere[2] for sphere in SPHERES])
    counts = (shares / shares.sum() * count).int().tolist()
    counts[0] += count - sum(counts)
    half = torch.tensor(ROOM_HALF)
    points, normals, spacing = [], [], []
    for (axis, side, _), n in zip(WALLS, counts, strict=False):
        local = 2 * torch.rand(n, 3, generator=generator) - 1
        local[:, axis] = side
        points.append(local * half + torch.tensor(ROOM_CENTER))
        normals.append(torch.eye(3)[axis].expand(n, 3))
        area = 4 * float(half.prod() / half[axis])
        spacing.append(torch.full((n,), math.sqrt(area / max(n, 1))))
    for (center, radius, _), n in zip(SPHERES, counts[len(WALLS) :], strict=True):
        normal = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1)
        points.append(torch.tensor(center) + radius * normal)
        normals.append(normal)
        spacing.append(torch.full((n,), math.sqrt(4 * math.pi * radius**2 / max(n, 1))))
    return torch.cat(points), torch.cat(normals), torch.cat(spacing)


def _quats_from_z_to(normals: torch.Tensor) -> torch.Tensor:
    """The shortest rotations taking +z to unit normals. (N, 4)"""
    x, y, z = normals.unbind(1)
    quats = torch.stack([1 + z, -y, x, torch.zeros_like(x)], dim=1)
    upside_down = torch.tensor([0.0, 1.0, 0.0, 0.0])
    return torch.nn.functional.normalize(torch.where((1 + z < 1e-6)[:, None], upside_down, quats), dim=1)
