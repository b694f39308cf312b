"""Laws of paths through recorded key poses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov, quat_to_matrix
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS
from flashworld.trajectories import resample
from flashworld.trajectories.keyframes import Keyframe, path_from_keyframes

laws = settings(max_examples=40, deadline=None)
SIZE = {"fov_y_deg": 60.0, "height": 480, "width": 704}
numbers = st.floats(-3, 3)
coordinates = st.tuples(numbers, numbers, numbers)
rotations = st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: math.hypot(*q) > 0.1)
keyframes = st.builds(Keyframe, coordinates, rotations, st.none() | st.floats(20, 110))
key_lists = st.lists(keyframes, min_size=2, max_size=6)
modes = st.sampled_from(["spline", "linear"])
A = Keyframe((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
B = Keyframe((1.0, 0.0, 0.0), (math.cos(0.2), 0.0, math.sin(0.2), 0.0))
C = Keyframe((2.0, 1.0, 0.0), (math.cos(0.2), math.sin(0.2), 0.0, 0.0), 40.0)


def path(keys: list[Keyframe], frames: int = 24, **options: object) -> Cameras:
    return path_from_keyframes(keys, frames=frames, **{**SIZE, **options})


def key_pose(key: Keyframe) -> tuple[torch.Tensor, torch.Tensor, float]:
    rotation = quat_to_matrix(torch.tensor(key.quat_wxyz, dtype=torch.float64)).float()
    return rotation, torch.tensor(key.position), 60.0 if key.fov_y_deg is None else key.fov_y_deg


def assert_at(camera: Cameras, key: Keyframe) -> None:
    rotation, position, angle = key_pose(key)
    torch.testing.assert_close(camera.c2w[0, :3, :3], rotation, atol=2e-5, rtol=0)
    torch.testing.assert_close(camera.positions[0], position, atol=1e-5, rtol=0)
    assert float(fov_y_deg(camera.intrinsics[0])) == pytest.approx(angle, rel=1e-4)


@laws
@given(key_lists, modes, st.booleans(), st.integers(1, 4))
def test_paths_pass_through_every_key(keys: list[Keyframe], mode: str, loop: bool, parts: int) -> None:
    stops = [*keys, keys[0]] if loop else keys
    cameras = path(keys, (len(stops) - 1) * parts + 1, mode=mode, loop=loop)
    for number, key in enumerate(stops):
        assert_at(cameras[number * parts], key)


@laws
@given(key_lists, modes, st.booleans(), st.integers(2, 40))
def test_paths_are_finite_and_unit(keys: list[Keyframe], mode: str, loop: bool, frames: int) -> None:
    cameras = path(keys, frames, mode=mode, loop=loop)
    assert cameras.to_vectors().dtype == torch.float32
    assert bool(torch.isfinite(cameras.to_vectors()).all())
    torch.testing.assert_close(cameras.quats_wxyz.norm(dim=1), torch.ones(frames), atol=1e-6, rtol=0)


@laws
@given(key_lists, st.booleans())
def test_the_field_of_view_stays_within_that_of_the_keys(keys: list[Keyframe], loop: bool) -> None:
    angles = fov_y_deg(path(keys, 60, loop=loop).intrinsics)
    wanted = [60.0 if key.fov_y_deg is None else key.fov_y_deg for key in keys]
    assert min(wanted) - 1e-3 <= float(angles.min())
    assert float(angles.max()) <= max(wanted) + 1e-3


@laws
@given(key_lists, st.booleans())
def test_smooth_paths_have_no_jumps(keys: list[Keyframe], loop: bool) -> None:
    cameras = path(keys, 1000, loop=loop)
    assert float(cameras.positions.diff(dim=0).norm(dim=1).max()) < 0.3
    turned = (cameras.quats_wxyz[1:] * cameras.quats_wxyz[:-1]).sum(dim=1).abs().clamp(max=1)
    assert math.degrees(2 * math.acos(float(turned.min()))) < 10


@laws
@given(key_lists)
def test_linear_is_the_models_own_resampling(keys: list[Keyframe]) -> None:
    lenses = torch.stack([intrinsics_from_fov(key_pose(key)[2], 480, 704) for key in keys])
    quats = torch.tensor([key.quat_wxyz for key in keys], dtype=torch.float64)
    positions = torch.tensor([key.position for key in keys], dtype=torch.float64)
    expected = resample(Cameras(quats, positions, lenses.double()), 24)
    actual = path(keys, 24, mode="linear")
    torch.testing.assert_close(actual.c2w.double(), expected.c2w, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.intrinsics.double(), expected.intrinsics, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["spline", "linear"])
def test_loops_end_where_they_began(mode: str) -> None:
    cameras = path([A, B, C], 25, mode=mode, loop=True)
    torch.testing.assert_close(cameras.c2w[0], cameras.c2w[-1], atol=1e-6, rtol=0)
    torch.testing.assert_close(cameras.intrinsics[0], cameras.intrinsics[-1])


def test_a_closed_spline_is_smooth_where_it_closes() -> None:
    cameras = path([A, B, C], 901, loop=True)
    steps = cameras.positions.double().diff(dim=0)
    torch.testing.assert_close(steps[0], steps[-1], atol=1e-4, rtol=0)


def test_splines_are_smooth_at_keys_where_lines_turn_sharply() -> None:
    steps = path([A, B, C], 801).positions.double().diff(dim=0) * 400
    torch.testing.assert_close(steps[399], steps[400], atol=0.02, rtol=0)
    sharp = path([A, B, C], 801, mode="linear").positions.double().diff(dim=0) * 400
    assert float((sharp[399] - sharp[400]).abs().max()) > 0.9


def test_rotation_is_smooth_at_keys() -> None:
    quats = path([A, B, C], 801).quats_wxyz.double()
    steps = (quats[1:] - quats[:-1]) * 400
    torch.testing.assert_close(steps[399], steps[400], atol=0.02, rtol=0)


@laws
@given(keyframes, keyframes, modes)
def test_coincident_keys_hold_the_camera_still(first: Keyframe, held: Keyframe, mode: str) -> None:
    cameras = path([first, held, held, first], 31, mode=mode)
    still = cameras[10:21]
    torch.testing.assert_close(still.c2w, still.c2w[:1].expand(11, 4, 4), atol=2e-6, rtol=0)


def test_identical_keys_make_a_static_path() -> None:
    for mode in ("spline", "linear"):
        cameras = path([C, C, C], 12, mode=mode, loop=True)
        assert_at(cameras[7], C)


def test_two_keys_make_a_straight_line_at_constant_speed() -> None:
    cameras = path([A, B], 11)
    expected = torch.linspace(0, 1, 11)
    torch.testing.assert_close(cameras.positions[:, 0], expected)
    turned = 2 * torch.atan2(cameras.quats_wxyz[:, 2], cameras.quats_wxyz[:, 0])
    torch.testing.assert_close(turned, 0.4 * expected)


def test_a_short_segment_between_long_ones_is_not_overshot() -> None:
    keys = [Keyframe((x, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)) for x in (0.0, 5.0, 5.1, 10.0)]
    assert bool((path(keys, 400).positions[:, 0].diff() > 0).all())


def test_quaternion_signs_do_not_matter() -> None:
    flipped = Keyframe(B.position, tuple(-v for v in B.quat_wxyz))
    torch.testing.assert_close(path([A, flipped, C]).c2w, path([A, B, C]).c2w)


@pytest.mark.parametrize(
    ("keys", "options", "words"),
    [
        ([A], {}, "expected 2 to 1000, got 1"),
        ([A] * (MAX_CAMERAS + 1), {}, "expected 2 to 1000, got 1001"),
        ([A, B], {"frames": 1}, "keyframes: frames must be a whole number from 2"),
        ([A, B], {"mode": "cubic"}, "keyframes: mode must be one of spline, linear, got 'cubic'"),
        ([A, B], {"fov_y_deg": 0.0}, "keyframes: field of view must be a number from 5 to 150 degrees, got 0"),
        ([A, Keyframe((0, 0, 0), (0, 0, 0, 0))], {}, "keyframe 1: quaternion must not be zero"),
        ([A, Keyframe((0, math.nan, 0), (1, 0, 0, 0))], {}, r"keyframe 1: position\[1\] must be a number"),
        ([A, Keyframe((0, 0, 1e9), (1, 0, 0, 0))], {}, r"keyframe 1: position\[2\] must be a number"),
        ([A, Keyframe((0, 0), (1, 0, 0, 0))], {}, "keyframe 1: position must be 3 numbers"),
        ([A, Keyframe("abc", (1, 0, 0, 0))], {}, "keyframe 1: position must be 3 numbers"),
        ([A, Keyframe((0, 0, 0), (1, 0, 0, True))], {}, r"keyframe 1: quaternion\[3\] must be a number"),
        ([A, Keyframe((0, 0, 0), (1, 0, 0, 0), 170.0)], {}, "keyframe 1: field of view must be a number"),
        ([A, Keyframe((0, 0, 0), (1, 0, 0, 0), "60")], {}, "keyframe 1: field of view must be a number"),
    ],
)
def test_invalid_keys_are_refused_by_number(keys: list, options: dict, words: str) -> None:
    with pytest.raises(TrajectoryError, match=words):
        path(keys, **options)
