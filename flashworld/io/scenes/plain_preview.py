"""A small .splat for viewers whose camera cannot be set: Gradio's Model3D (gsplat.js 1.2.9).

That viewer always starts on the same orbit: ORBIT_ANGLE to the side and above, ORBIT_RADIUS from the origin, with a focal
length of FOCAL_PX pixels whatever the size of its canvas. The scene is moved, turned and scaled (a similarity, nothing
is distorted) so that this initial view looks along the given camera, from far enough behind it to show the whole width of the
image at `focus_distance`. Colours are those seen from that position, because the viewer ignores SH.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from flashworld.cameras import Cameras, matrix_to_quat, quat_multiply, to_opencv
from flashworld.gaussians import SH_C0, Gaussians, prune_to_count
from flashworld.io.scenes.splat import write_splat

ORBIT_ANGLE = 0.5
"""Radians, both azimuth and height."""
ORBIT_RADIUS = 5.0
FOCAL_PX = 1132.0
USUAL_WIDTH_PX = 720.0
"""Aspect ratio of the viewer's canvas on a desktop page; narrower canvases show a narrower part."""
MAX_COUNT = 300_000
_SH_1 = 0.4886025119029199
_SH_2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)


def write_plain_preview(
    scene: Gaussians, camera: Cameras, focus_distance: float, path: str | Path, *, count: int = MAX_COUNT
) -> None:
    """Write the preview.

    Args:
        scene: OpenGL axes, any device.
        camera: The viewpoint; only the first camera is used.
        focus_distance: Distance ahead of the camera that the view turns about, scene units, above 0.
        path: A name ending in .splat.
        count: Maximum number of Gaussians.

    Raises:
        SceneError: the scene is empty or not finite.
        WriteError: the file cannot be written.
    """
    kept = prune_to_count(scene, count, camera[0])
    write_splat(to_orbit_start(kept, camera[0], focus_distance), path)


def start_camera(camera: Cameras, focus_distance: float) -> tuple[torch.Tensor, float]:
    """World to the viewer's start, OpenCV axes (4, 4), and its distance to the point it turns about."""
    distance = focus_distance * max(1.0, FOCAL_PX / (float(camera.intrinsics[0, 0]) * USUAL_WIDTH_PX))
    w2c = torch.linalg.inv(to_opencv(camera.c2w[:1].double()))[0]
    back = torch.eye(4, dtype=torch.float64)
    back[2, 3] = distance - focus_distance
    return back @ w2c, distance


def to_orbit_start(scene: Gaussians, camera: Cameras, focus_distance: float) -> Gaussians:
    """The scene, still in OpenGL axes, placed so that the viewer's start shows it as requested; SH degree 0."""
    w2c, distance = start_camera(camera, focus_distance)
    scale = ORBIT_RADIUS / distance
    turn, place = _orbit_pose()
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    rotation = flip @ turn @ w2c[:3, :3]
    offset = flip @ (scale * turn @ w2c[:3, 3] + place)
    rotation32, offset32 = rotation.to(scene.means), offset.to(scene.means)
    eye = -(w2c[:3, :3].T @ w2c[:3, 3]).to(scene.means)
    quat = matrix_to_quat(rotation32).expand(len(scene), 4)
    return Gaussians(
        scale * scene.means @ rotation32.T + offset32,
        quat_multiply(quat, scene.quats_wxyz),
        scene.scales * scale,
        scene.opacities,
        _flat_colours(scene, eye),
    )


def _orbit_pose() -> tuple[torch.Tensor, torch.Tensor]:
    """Camera-to-world rotation (3, 3) and place (3,) of the viewer's start, OpenCV axes."""
    sine, cosine = math.sin(ORBIT_ANGLE), math.cos(ORBIT_ANGLE)
    place = ORBIT_RADIUS * torch.tensor([sine * cosine, -sine, -cosine * cosine], dtype=torch.float64)
    forward = -place / ORBIT_RADIUS
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), forward)
    right = right / right.norm()
    return torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1), place


def _flat_colours(scene: Gaussians, eye: torch.Tensor) -> torch.Tensor:
    """Band 0 with the colour of the whole SH from one position; bands above 2 are ignored. (N, 1, 3)"""
    direction = scene.means - eye
    x, y, z = (direction / direction.norm(dim=1, keepdim=True).clamp(min=1e-12)).unbind(1)
    xy, zz, xx = _SH_2
    basis = [
        torch.full_like(x, SH_C0), -_SH_1 * y, _SH_1 * z, -_SH_1 * x,
        xy * x * y, -xy * y * z, zz * (3 * z * z - 1), -xy * x * z, xx * (x * x - y * y),
    ]  # fmt: skip
    used = min(len(basis), scene.sh.shape[1])
    colour = torch.einsum("kn,nkc->nc", torch.stack(basis[:used]), scene.sh[:, :used])
    return (colour / SH_C0)[:, None]
