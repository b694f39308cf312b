"""A small float64 reference renderer: no tiles, no approximations, Gaussian by Gaussian in depth order.

Written from the equations of 3D Gaussian Splatting with gsplat 1.5.3's "classic" constants, and sharing no code with
`flashworld.rendering` (nor its camera conversion).
"""

from __future__ import annotations

import numpy as np

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians

BLUR_PX2 = 0.3
ALPHA_CUT = 1 / 255
ALPHA_MAX = 0.999
STOP = 1e-4
SLOPE_MARGIN = 0.3  # of half the field of view's tangent, past the picture's border


def render_reference(
    scene: Gaussians,
    cameras: Cameras,
    height: int,
    width: int,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    near: float = 0.01,
    far: float = 1000.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB (N, H, W, 3), alpha (N, H, W) and accumulated depth (N, H, W), float64."""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    arrays = [field.detach().cpu().double().numpy() for field in fields]
    vectors = cameras.to_vectors().detach().cpu().double().numpy()
    pictures = [_render_view(*arrays, vector, height, width, np.array(background), near, far) for vector in vectors]
    rgb, alpha, depth = (np.stack(part) for part in zip(*pictures, strict=True))
    return rgb, alpha, depth


def psnr_db(picture, reference) -> float:
    """Peak signal-to-noise ratio for a peak of 1."""
    error = np.mean((np.asarray(picture, np.float64) - np.asarray(reference, np.float64)) ** 2)
    return float("inf") if error == 0 else -10 * np.log10(error)


def _render_view(means, quats, scales, opacities, sh, camera, height, width, background, near, far):
    flip = np.diag([1.0, -1.0, -1.0])  # OpenGL camera axes to OpenCV ones
    to_camera = flip @ _rotations(camera[None, :4])[0].T
    local = (means - camera[4:7]) @ to_camera.T
    keep = (local[:, 2] >= near) & (local[:, 2] <= far) & (opacities >= ALPHA_CUT)
    order = np.nonzero(keep)[0]
    order = order[np.argsort(local[order, 2], kind="stable")]
    local, opacities = local[order], opacities[order]
    fx, fy, cx, cy = camera[7:11] * (width, height, width, height)
    axes = to_camera @ (_rotations(quats[order]) * scales[order][:, None, :])
    covariances = _projected_covariances(local, axes @ axes.transpose(0, 2, 1), fx, fy, cx, cy, height, width)
    centers = np.stack([fx * local[:, 0] / local[:, 2] + cx, fy * local[:, 1] / local[:, 2] + cy], axis=1)
    colors = _colors(means[order] - camera[4:7], sh[order])
    return _composite(centers, covariances, opacities, colors, local[:, 2], height, width, background)


def _projected_covariances(local, covariances, fx, fy, cx, cy, height, width):
    x, y, z = local.T
    margin_x, margin_y = SLOPE_MARGIN * 0.5 * width / fx, SLOPE_MARGIN * 0.5 * height / fy
    slope_x = np.clip(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    slope_y = np.clip(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    jacobian = np.zeros((len(z), 2, 3))
    jacobian[:, 0, 0], jacobian[:, 0, 2] = fx / z, -fx * slope_x / z
    jacobian[:, 1, 1], jacobian[:, 1, 2] = fy / z, -fy * slope_y / z
    return jacobian @ covariances @ jacobian.transpose(0, 2, 1) + BLUR_PX2 * np.eye(2)


def _composite(centers, covariances, opacities, colors, depths, height, width, background):
    rgb, depth, light = np.zeros((height, width, 3)), np.zeros((height, width)), np.ones((height, width))
    done = np.zeros((height, width), bool)
    conics = np.linalg.inv(covariances)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    for (u, v), covariance, conic, opacity, color, z in zip(
        centers, covariances, conics, opacities, colors, depths, strict=True
    ):
        reach_x, reach_y = 4 * np.sqrt(np.diag(covariance)) + 1  # beyond 4 sigma alpha is always cut
        xs = slice(*np.clip([u - reach_x, u + reach_x + 1], 0, width).astype(int))
        ys = slice(*np.clip([v - reach_y, v + reach_y + 1], 0, height).astype(int))
        dx, dy = u - columns[ys, xs], v - rows[ys, xs]
        sigma = 0.5 * (conic[0, 0] * dx**2 + conic[1, 1] * dy**2) + conic[0, 1] * dx * dy
        alpha = np.minimum(ALPHA_MAX, opacity * np.exp(-sigma))
        alpha[(sigma < 0) | (alpha < ALPHA_CUT)] = 0
        after = light[ys, xs] * (1 - alpha)
        done[ys, xs] |= (alpha > 0) & (after <= STOP)
        weight = np.where(done[ys, xs], 0, alpha * light[ys, xs])
        rgb[ys, xs] += weight[..., None] * color
        depth[ys, xs] += weight * z
        light[ys, xs] = np.where(done[ys, xs], light[ys, xs], after)
    return rgb + light[..., None] * background, 1 - light, depth


def _rotations(quats):
    """Rotation matrices of quaternions (w, x, y, z) of any length, by rotating the three unit vectors."""
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    w, axis = unit[:, :1, None], unit[:, None, 1:]
    basis = np.eye(3)[None]
    cross = np.cross(axis, basis)
    return (basis + 2 * w * cross + 2 * np.cross(axis, cross)).transpose(0, 2, 1)


def _colors(directions, sh):
    x, y, z = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T
    pi = np.pi
    basis = [
        np.full_like(x, np.sqrt(1 / (4 * pi))),
        -np.sqrt(3 / (4 * pi)) * y, np.sqrt(3 / (4 * pi)) * z, -np.sqrt(3 / (4 * pi)) * x,
        np.sqrt(15 / (4 * pi)) * x * y, -np.sqrt(15 / (4 * pi)) * y * z, np.sqrt(5 / (16 * pi)) * (3 * z**2 - 1),
        -np.sqrt(15 / (4 * pi)) * x * z, np.sqrt(15 / (16 * pi)) * (x**2 - y**2),
        -np.sqrt(35 / (32 * pi)) * y * (3 * x**2 - y**2), np.sqrt(105 / (4 * pi)) * x * y * z,
        -np.sqrt(21 / (32 * pi)) * y * (5 * z**2 - 1), np.sqrt(7 / (16 * pi)) * z * (5 * z**2 - 3),
        -np.sqrt(21 / (32 * pi)) * x * (5 * z**2 - 1), np.sqrt(105 / (16 * pi)) * z * (x**2 - y**2),
        -np.sqrt(35 / (32 * pi)) * x * (x**2 - 3 * y**2),
    ]  # fmt: skip
    return np.maximum(0, np.einsum("kn,nkc->nc", np.stack(basis[: sh.shape[1]]), sh) + 0.5)
