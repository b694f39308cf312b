"""The small preview starts, in Gradio's viewer, where the picture was taken."""

from __future__ import annotations

import math

import torch

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.gaussians import Gaussians
from flashworld.io.scenes.plain_preview import (
    FOCAL_PX,
    ORBIT_ANGLE,
    ORBIT_RADIUS,
    USUAL_WIDTH_PX,
    start_camera,
    to_orbit_start,
    write_plain_preview,
)
from flashworld.io.scenes.splat import read_splat

QUAT = torch.tensor([[0.9, 0.1, -0.3, 0.2]])
CAMERA = Cameras(QUAT / QUAT.norm(), torch.tensor([[0.4, -0.2, 1.0]]), intrinsics_from_fov(60, 480, 704)[None])
FOCUS = 2.0


def scene(points: torch.Tensor) -> Gaussians:
    n = len(points)
    return Gaussians(
        points,
        torch.tensor([1.0, 0, 0, 0]).expand(n, 4),
        torch.full((n, 3), 0.1),
        torch.full((n,), 0.5),
        torch.zeros(n, 9, 3),
    )


def test_focus_is_centred_and_the_camera_is_on_the_fixed_orbit():
    c2w = CAMERA.c2w[0]
    ahead = c2w[:3, 3] - FOCUS * c2w[:3, 2]
    _, distance = start_camera(CAMERA, FOCUS)
    eye = c2w[:3, 3] + (distance - FOCUS) * c2w[:3, 2]
    placed = to_orbit_start(scene(torch.stack([ahead, eye])), CAMERA, FOCUS).means * torch.tensor([1.0, -1, -1])
    torch.testing.assert_close(placed[0], torch.zeros(3), atol=1e-5, rtol=0)
    s, c = math.sin(ORBIT_ANGLE), math.cos(ORBIT_ANGLE)
    torch.testing.assert_close(placed[1], ORBIT_RADIUS * torch.tensor([s * c, -s, -c * c]), atol=1e-4, rtol=0)


def test_whole_picture_width_fits_at_the_focus():
    _, distance = start_camera(CAMERA, FOCUS)
    half_width = FOCUS * 0.5 / float(CAMERA.intrinsics[0, 0])
    assert abs(half_width * FOCAL_PX / distance - USUAL_WIDTH_PX / 2) < 0.5


def test_preview_is_a_similarity_transform_with_the_requested_count(tmp_path):
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    points[:, 2] -= 4
    whole = to_orbit_start(scene(points), CAMERA, FOCUS)
    ratio = torch.pdist(whole.means) / torch.pdist(points)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-4, atol=0)
    torch.testing.assert_close(whole.scales / 0.1, ratio[:1, None].expand(50, 3)[:1].expand(50, 3), rtol=1e-4, atol=0)
    write_plain_preview(scene(points), CAMERA, FOCUS, tmp_path / "a.splat", count=20)
    assert len(read_splat(tmp_path / "a.splat")) == 20
