"""The smooth, order-independent splat that replaces the rasterizer in the golden loop; formulas in README.md.

Float64 inside, float32 out. Not for any other use: no occlusion, no covariance.
"""

from __future__ import annotations

import torch

from flashworld.cameras import Cameras, quat_to_matrix, to_opencv
from flashworld.gaussians import Gaussians

SH_A, SH_B = 0.48860251190292, 1.092548430592079


def render_standin(scene: Gaussians, cameras: Cameras, height: int, width: int) -> torch.Tensor:
    """Images in [-1, 1], (N, 3, height, width)."""
    scene, cameras = scene.to(torch.float64), cameras.to(torch.float64)
    return torch.stack([_view(scene, cameras[i], height, width) for i in range(len(cameras))]).float()


def _view(scene: Gaussians, camera: Cameras, height: int, width: int) -> torch.Tensor:
    c2w = to_opencv(camera.c2w)[0]
    local = (scene.means - c2w[:3, 3]) @ c2w[:3, :3]
    z = local[:, 2]
    seen = z > 0.01
    local, z = local[seen], z[seen]
    K = camera.K_px(height, width)[0]
    fx, fy = K[0, 0], K[1, 1]
    u, v = fx * local[:, 0] / z + K[0, 2], fy * local[:, 1] / z + K[1, 2]

    direction = scene.means[seen] - camera.positions
    colour = _colour(direction / direction.norm(dim=1, keepdim=True), scene.sh[seen])
    m = quat_to_matrix(scene.quats_wxyz[seen])[:, 0, 2]
    s0, s1, s2 = scene.scales[seen].unbind(1)
    sx, sy = (fx * s0 / z) ** 2, (fy * s1 / z) ** 2
    variance = 0.5 + sx / (1 + sx) + sy / (1 + sy) + s2 / (1 + s2)
    strength = scene.opacities[seen] * (1 + 0.25 * m) / (1 + z**2)

    columns = torch.arange(width, dtype=torch.float64) + 0.5
    rows = torch.arange(height, dtype=torch.float64) + 0.5
    # the kernel is a product of a column and a row factor, so the sum over Gaussians is a matrix product
    across = torch.exp(-((columns - u[:, None]) ** 2) / (2 * variance[:, None]))
    down = strength[:, None] * torch.exp(-((rows - v[:, None]) ** 2) / (2 * variance[:, None]))
    total = 0.05 + down.T @ across
    rgb = torch.stack([(0.05 + (down * colour[:, c : c + 1]).T @ across) / total for c in range(3)])
    return (2 * rgb - 1).clamp(-1, 1)


def _colour(d: torch.Tensor, sh: torch.Tensor) -> torch.Tensor:
    x, y, z = d.unbind(1)
    basis = torch.stack(
        [
            torch.full_like(x, 0.2820947917738781),
            -SH_A * y,
            SH_A * z,
            -SH_A * x,
            SH_B * x * y,
            -SH_B * y * z,
            0.9461746957575601 * z**2 - 0.3153915652525201,
            -SH_B * x * z,
            SH_B / 2 * (x**2 - y**2),
        ],
        dim=1,
    )
    return (0.5 + torch.einsum("nk,nkc->nc", basis, sh)).clamp(min=0)
