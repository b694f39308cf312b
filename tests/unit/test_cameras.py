"""Laws of quaternions, rigid transforms, slerp, intrinsics, normalisation and rays."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import (
    Cameras,
    compose,
    concatenate,
    fov_y_deg,
    intrinsics_from_fov,
    invert_rigid,
    matrix_to_quat,
    normalize,
    quat_from_axis_angle,
    quat_multiply,
    quat_to_matrix,
    slerp,
    to_opencv,
)
from flashworld.cameras.raymaps import ray_directions, raymap
from flashworld.errors import TrajectoryError

laws = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)
LENS = (0.6, 0.9, 0.48, 0.53)


def random_cameras(seed: int, count: int = 5, reach: float = 3.0) -> Cameras:
    """Random poses with unnormalised quaternions, float64."""
    source = torch.Generator().manual_seed(seed)
    quats = torch.randn(count, 4, generator=source, dtype=torch.float64)
    positions = reach * torch.randn(count, 3, generator=source, dtype=torch.float64)
    return Cameras(quats, positions, torch.tensor(LENS, dtype=torch.float64).expand(count, 4))


def same_rotation(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-9) -> bool:
    return bool((quat_to_matrix(a) - quat_to_matrix(b)).abs().max() < tolerance)


@laws
@given(seeds)
def test_world_to_camera_undoes_camera_to_world(seed: int) -> None:
    cameras = random_cameras(seed)
    identity = torch.eye(4, dtype=torch.float64).expand(5, 4, 4)
    torch.testing.assert_close(cameras.w2c @ cameras.c2w, identity, atol=1e-12, rtol=0)
    torch.testing.assert_close(invert_rigid(invert_rigid(cameras.c2w)), cameras.c2w, atol=1e-12, rtol=0)


@laws
@given(seeds)
def test_matrices_and_quaternions_agree(seed: int) -> None:
    quats = random_cameras(seed).quats_wxyz
    matrices = quat_to_matrix(quats)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3, dtype=torch.float64).expand(5, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(5, dtype=torch.float64))
    back = matrix_to_quat(matrices)
    assert bool((back[:, 0] >= 0).all())
    torch.testing.assert_close(back.norm(dim=1), torch.ones(5, dtype=torch.float64))
    assert same_rotation(back, quats)


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, -2.0, 2.0)])
@pytest.mark.parametrize("turns", [0.0, 0.25, 0.5, 0.75, -0.5])
def test_half_turns_round_trip_through_the_matrix(axis: tuple[float, float, float], turns: float) -> None:
    quat = quat_from_axis_angle(axis, torch.tensor([2 * math.pi * turns], dtype=torch.float64))
    assert same_rotation(matrix_to_quat(quat_to_matrix(quat)), quat)


@laws
@given(seeds)
def test_multiplying_quaternions_multiplies_matrices(seed: int) -> None:
    a, b = random_cameras(seed).quats_wxyz, random_cameras(seed + 1).quats_wxyz
    torch.testing.assert_close(quat_to_matrix(quat_multiply(a, b)), quat_to_matrix(a) @ quat_to_matrix(b))


def test_yaw_turns_the_view_to_the_left() -> None:
    yaw = quat_to_matrix(quat_from_axis_angle((0.0, 1.0, 0.0), torch.tensor(math.pi / 2)))
    torch.testing.assert_close(yaw @ torch.tensor([0.0, 0.0, -1.0]), torch.tensor([-1.0, 0.0, 0.0]))


@laws
@given(seeds, st.floats(0, 1))
def test_slerp_hits_its_ends_and_ignores_signs(seed: int, part: float) -> None:
    a, b = random_cameras(seed).quats_wxyz, random_cameras(seed + 1).quats_wxyz
    fraction = torch.full((5, 1), part, dtype=torch.float64)
    assert same_rotation(slerp(a, b, torch.zeros_like(fraction)), a)
    assert same_rotation(slerp(a, b, torch.ones_like(fraction)), b)
    middle = slerp(a, b, fraction)
    torch.testing.assert_close(middle.norm(dim=1), torch.ones(5, dtype=torch.float64))
    assert same_rotation(slerp(a, -b, fraction), middle)
    assert same_rotation(slerp(-a, b, fraction), middle)
    assert same_rotation(slerp(b, a, 1 - fraction), middle)


def test_slerp_has_constant_angular_speed_along_the_shorter_arc() -> None:
    angle = torch.deg2rad(torch.tensor([20.0, 20.0, 20.0], dtype=torch.float64))
    right = quat_from_axis_angle((0.0, 1.0, 0.0), angle)
    left = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).expand(3, 4)
    part = torch.tensor([[0.25], [0.5], [0.75]], dtype=torch.float64)
    expected = quat_from_axis_angle((0.0, 1.0, 0.0), angle * part[:, 0])
    torch.testing.assert_close(slerp(left, -right, part), expected)


@laws
@given(seeds)
def test_opencv_axes_flip_up_and_forward_only(seed: int) -> None:
    c2w = random_cameras(seed).c2w
    flipped = to_opencv(c2w)
    torch.testing.assert_close(flipped[:, :, 0], c2w[:, :, 0])
    torch.testing.assert_close(flipped[:, :, 1:3], -c2w[:, :, 1:3])
    torch.testing.assert_close(flipped[:, :, 3], c2w[:, :, 3])
    torch.testing.assert_close(to_opencv(flipped), c2w)


@laws
@given(seeds)
def test_normalising_puts_the_first_camera_at_the_origin_and_the_farthest_inside_one(seed: int) -> None:
    cameras = random_cameras(seed)
    normalized, norm = normalize(cameras)
    torch.testing.assert_close(normalized.c2w[0], torch.eye(4, dtype=torch.float64), atol=1e-12, rtol=0)
    extent = norm.divisor - 0.01
    assert float(normalized.positions.norm(dim=1).max()) == pytest.approx(extent / (extent + 0.01))
    assert bool((normalized.quats_wxyz[:, 0] >= 0).all())
    assert torch.equal(normalized.intrinsics, cameras.intrinsics)


@laws
@given(seeds)
def test_scene_units_are_the_requests_units_in_the_first_cameras_axes(seed: int) -> None:
    cameras = random_cameras(seed)
    normalized, norm = normalize(cameras)
    in_scene = norm.to_scene_units(normalized)
    torch.testing.assert_close(in_scene.c2w, invert_rigid(cameras.c2w[0]) @ cameras.c2w, atol=1e-10, rtol=0)


@laws
@given(seeds, st.floats(0.1, 50.0))
def test_normalising_is_independent_of_the_world_frame(seed: int, shift: float) -> None:
    cameras, moved = random_cameras(seed), random_cameras(seed + 1, count=1)
    world = compose(quat_to_matrix(moved.quats_wxyz[0]), shift * moved.positions[0])
    there = Cameras.from_c2w(world @ cameras.c2w, cameras.intrinsics)
    torch.testing.assert_close(normalize(there)[0].c2w, normalize(cameras)[0].c2w, atol=1e-9, rtol=0)


@laws
@given(seeds)
def test_rotation_only_path_keeps_scene_size(seed: int) -> None:
    cameras = random_cameras(seed).to(torch.float32)
    turning = Cameras(cameras.quats_wxyz, cameras.positions[:1].expand(5, 3), cameras.intrinsics)
    normalized, norm = normalize(turning)
    assert norm.scene_scale == 1
    assert norm.divisor == pytest.approx(0.01, abs=1e-5)
    assert float(norm.to_scene_units(normalized).positions.abs().max()) < 1e-3


def test_camera_vectors_and_slices_keep_every_field() -> None:
    cameras = random_cameras(3)
    again = Cameras.from_vectors(cameras.to_vectors())
    assert torch.equal(again.to_vectors(), cameras.to_vectors())
    assert torch.equal(cameras[2].to_vectors(), cameras.to_vectors()[2:3])
    assert torch.equal(cameras[-1].to_vectors(), cameras.to_vectors()[4:])
    assert torch.equal(concatenate([cameras[:2], cameras[2:]]).to_vectors(), cameras.to_vectors())


@laws
@given(st.floats(5, 150), st.sampled_from([(480, 704), (704, 480), (64, 64)]))
def test_field_of_view_and_focal_length_agree(angle: float, size: tuple[int, int]) -> None:
    lens = intrinsics_from_fov(angle, *size)
    assert float(fov_y_deg(lens)) == pytest.approx(angle, rel=1e-5)
    fx, fy, cx, cy = (lens * torch.tensor([size[1], size[0], size[1], size[0]])).tolist()
    assert fx == pytest.approx(fy, rel=1e-6)
    assert (cx, cy) == (size[1] / 2, size[0] / 2)


def test_pinhole_matrix_is_in_pixels() -> None:
    matrix = random_cameras(0, count=2).K_px(100, 200)
    expected = torch.tensor([[120.0, 0, 96], [0, 90, 53], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(matrix, expected.expand(2, 3, 3))


@pytest.mark.parametrize(
    ("quats", "positions", "lenses", "message"),
    [
        ([[0.0, 0, 0, 0]], [[0.0, 0, 0]], [LENS], "camera 0: quaternion must not be zero"),
        ([[1.0, 0, 0, 0]], [[0.0, math.nan, 0]], [LENS], "camera 0: positions must be finite"),
        ([[1.0, 0, 0, 0]], [[0.0, 0, 0]], [(0.0, 1, 0.5, 0.5)], "camera 0: focal length must be positive"),
        ([[1.0, 0, 0, 0]], [[0.0, 0]], [LENS], "positions must have shape"),
        ([[1.0, 0, 0]], [[0.0, 0, 0]], [LENS], "quats_wxyz must have shape"),
    ],
)
def test_invalid_cameras_are_refused(quats: list, positions: list, lenses: list, message: str) -> None:
    with pytest.raises(TrajectoryError, match=message):
        Cameras(torch.tensor(quats), torch.tensor(positions), torch.tensor(lenses))


@laws
@given(seeds, st.integers(1, 7), st.integers(1, 9))
def test_rays_are_unit_and_raymaps_hold_the_nearest_point_to_the_origin(seed: int, height: int, width: int) -> None:
    cameras = random_cameras(seed)
    rays = ray_directions(cameras, height, width)
    torch.testing.assert_close(rays.norm(dim=-1), torch.ones(5, height, width, dtype=torch.float64))
    direction, nearest = raymap(cameras, height, width).movedim(1, -1).split(3, dim=-1)
    torch.testing.assert_close(direction, rays)
    torch.testing.assert_close((direction * nearest).sum(-1), torch.zeros_like(nearest[..., 0]), atol=1e-9, rtol=0)
    from_camera = nearest - cameras.positions[:, None, None]
    parallel = torch.linalg.cross(from_camera, direction)
    torch.testing.assert_close(parallel, torch.zeros_like(parallel), atol=1e-9, rtol=0)


@laws
@given(seeds)
def test_projecting_a_point_on_a_ray_gives_its_pixel_back(seed: int) -> None:
    cameras, height, width = random_cameras(seed, count=1), 6, 8
    points = cameras.positions[:, None, None] + 2.5 * ray_directions(cameras, height, width)
    local = torch.einsum("ij,hwj->hwi", to_opencv(cameras.c2w)[0, :3, :3].T, points[0] - cameras.positions[0])
    pixels = torch.einsum("ij,hwj->hwi", cameras.K_px(height, width)[0], local / local[..., 2:])
    assert bool((local[..., 2] > 0).all())
    torch.testing.assert_close(pixels[..., 0], (torch.arange(8, dtype=torch.float64) + 0.5).expand(6, 8))
    torch.testing.assert_close(pixels[..., 1], (torch.arange(6, dtype=torch.float64) + 0.5)[:, None].expand(6, 8))


def test_ray_offsets_are_in_units_of_the_principal_point() -> None:
    cameras = random_cameras(1, count=1)
    offset = torch.zeros(1, 10, 10, 2, dtype=torch.float64)
    offset[..., 0] = 1 / (0.48 * 10)  # one column of ten
    shifted = ray_directions(cameras, 10, 10, offset)
    torch.testing.assert_close(shifted[:, :, :-1], ray_directions(cameras, 10, 10)[:, :, 1:])


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
def test_non_float_cameras_are_refused(kind: torch.dtype) -> None:
    fields = [torch.ones(2, n, dtype=kind) for n in (4, 3, 4)]
    with pytest.raises(TrajectoryError, match="quats_wxyz must be a tensor of floats, got torch"):
        Cameras(*fields)
    with pytest.raises(TrajectoryError, match="quats_wxyz must be a tensor of floats, got list"):
        Cameras([[1, 0, 0, 0]], [[0, 0, 0]], [[1, 1, 0, 0]])  # type: ignore[arg-type]
