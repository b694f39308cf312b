"""A Gaussian scene after activation, and operations on it: prune, scale, measure.

Axes are OpenGL (right, up, back), units are scene units, SH is in world axes. Tensors are float32, on one device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from flashworld.cameras import Cameras, to_opencv
from flashworld.errors import SceneError

VECTOR_WIDTH = 38
"""Numbers per Gaussian in the model's flat form: xyz 3, opacity 1, scale 3, rotation wxyz 4, SH 27 (9 x RGB)."""
SH_C0 = 0.28209479177387814


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians.

    Attributes:
        means: Centres. (N, 3)
        quats_wxyz: Rotations, real part first, any length above zero. (N, 4)
        scales: Standard deviations along the rotated axes, above 0. (N, 3)
        opacities: In [0, 1]. (N,)
        sh: Spherical harmonics, coefficient-major RGB, K = (degree + 1)^2. (N, K, 3)

    Raises:
        SceneError: shapes disagree.
    """

    means: torch.Tensor
    quats_wxyz: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    sh: torch.Tensor

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        shapes = {"means": (n, 3), "quats_wxyz": (n, 4), "scales": (n, 3), "opacities": (n,)}
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise SceneError(f"gaussians: {name} must have shape {shape}, got {tuple(getattr(self, name).shape)}")
        if self.sh.ndim != 3 or self.sh.shape[0] != n or self.sh.shape[2] != 3:
            raise SceneError(f"gaussians: sh must have shape ({n}, K, 3), got {tuple(self.sh.shape)}")
        if math.isqrt(self.sh.shape[1]) ** 2 != self.sh.shape[1]:
            raise SceneError(f"gaussians: sh must have 1, 4, 9 or 16 coefficients, got {self.sh.shape[1]}")

    def __len__(self) -> int:
        return self.means.shape[0]

    def __getitem__(self, index: torch.Tensor | slice) -> Gaussians:
        return Gaussians(
            self.means[index], self.quats_wxyz[index], self.scales[index], self.opacities[index], self.sh[index]
        )

    @property
    def sh_degree(self) -> int:
        """Degree d with (d + 1)^2 coefficients."""
        return math.isqrt(self.sh.shape[1]) - 1

    @classmethod
    def from_vectors(cls, vectors: torch.Tensor) -> Gaussians:
        """Split the model's flat form without copying. (N, 38)"""
        return cls(
            vectors[:, 0:3], vectors[:, 7:11], vectors[:, 4:7], vectors[:, 3], vectors[:, 11:38].unflatten(1, (9, 3))
        )

    def to_vectors(self) -> torch.Tensor:
        """The model's flat form (degree 2 only). (N, 38)"""
        return torch.cat([self.means, self.opacities[:, None], self.scales, self.quats_wxyz, self.sh.flatten(1)], dim=1)

    def to(self, *args: Any) -> Gaussians:  # noqa: ANN401 - whatever `torch.Tensor.to` takes
        """The same scene on another device or in another dtype."""
        fields = (self.means, self.quats_wxyz, self.scales, self.opacities, self.sh)
        return Gaussians(*(field.to(*args) for field in fields))

    def scaled(self, factor: float) -> Gaussians:
        """Scale positions and sizes about the origin."""
        return Gaussians(self.means * factor, self.quats_wxyz, self.scales * factor, self.opacities, self.sh)


def require_finite(scene: Gaussians, where: str) -> None:
    """Refuse a scene that is empty or holds NaN or infinity.

    Raises:
        SceneError: the message names `where` and the field.
    """
    if len(scene) == 0:
        raise SceneError(f"{where}: the scene holds no Gaussians")
    for name in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        if not bool(torch.isfinite(getattr(scene, name)).all()):
            raise SceneError(f"{where}: {name} of the scene must be finite, found NaN or infinity")


def prune_by_opacity(scene: Gaussians, threshold: float) -> Gaussians:
    """Keep Gaussians with opacity >= threshold (0 keeps all); returns the scene itself if that is all of them."""
    if threshold <= 0:
        return scene
    kept = torch.nonzero(scene.opacities >= threshold).squeeze(1)  # once, not per field
    return scene if len(kept) == len(scene) else scene[kept]


def prune_to_count(scene: Gaussians, count: int, cameras: Cameras) -> Gaussians:
    """Keep the `count` Gaussians that contribute most to the images: opacity x projected area, maximum over the cameras.

    Args:
        scene: The scene, OpenGL axes.
        count: Maximum number to keep.
        cameras: Views to consider, same units as the scene.
    """
    if len(scene) <= count:
        return scene
    importance = picture_importance(scene, cameras)
    keep = torch.topk(importance, count, sorted=False).indices
    return scene[keep.sort().values]


def picture_importance(scene: Gaussians, cameras: Cameras, near: float = 0.01) -> torch.Tensor:
    """Opacity x (two largest scales / depth) area, maximum over cameras that see the centre. (N,)"""
    areas = scene.scales.topk(2, dim=1).values.prod(dim=1) * scene.opacities
    best = torch.zeros_like(areas)
    w2c = torch.linalg.inv(to_opencv(cameras.c2w)).to(scene.means)
    for view, (fx, fy, cx, cy) in zip(w2c, cameras.intrinsics.to(scene.means), strict=True):
        local = scene.means @ view[:3, :3].T + view[:3, 3]
        depth = local[:, 2].clamp(min=near)
        u, v = fx * local[:, 0] / depth + cx, fy * local[:, 1] / depth + cy
        margin = 0.1  # a Gaussian with its centre slightly outside the frame still contributes
        seen = (local[:, 2] > near) & (u > -margin) & (u < 1 + margin) & (v > -margin) & (v < 1 + margin)
        best = torch.maximum(best, torch.where(seen, areas * fx * fy / depth**2, torch.zeros_like(areas)))
    return best


def bounding_box(scene: Gaussians, quantile: float = 0.01) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest corner after excluding `quantile` of the centres at each end of each axis. (3,), (3,)"""
    ordered = scene.means.sort(dim=0).values
    n = len(ordered)
    low = min(n - 1, int(quantile * n))
    return ordered[low], ordered[n - 1 - low]


def focus_point(scene: Gaussians, camera: Cameras, quantile: float = 0.1) -> torch.Tensor:
    """A point to orbit about: straight ahead of the first camera, at a near quantile of visible depth. (3,)"""
    c2w = to_opencv(camera.c2w[:1]).to(scene.means)[0]
    local = (scene.means - c2w[:3, 3]) @ c2w[:3, :3]
    fx, fy, cx, cy = camera.intrinsics[0].to(scene.means)
    depth = local[:, 2]
    safe = depth.clamp(min=1e-6)
    u, v = fx * local[:, 0] / safe + cx, fy * local[:, 1] / safe + cy
    seen = (depth > 0.01) & (u > 0) & (u < 1) & (v > 0) & (v < 1) & (scene.opacities > 0.1)
    ahead = depth[seen]
    distance = ahead.sort().values[int(quantile * (len(ahead) - 1))] if len(ahead) else depth.new_tensor(1.0)
    return c2w[:3, 3] + distance * c2w[:3, 2]
