"""Laws of the presets, of easing, of resampling and of the video path."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov, normalize, quat_from_axis_angle, quat_to_matrix
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_FOV_DEG, MAX_FRAMES, MIN_FOV_DEG
from flashworld.trajectories import EASINGS, PRESETS, Preset, build_trajectory, ease, resample, video_path
from flashworld.trajectories.motions import look_at

laws = settings(max_examples=25, deadline=None)
NAMES = tuple(PRESETS)
WATCHING = tuple(name for name, preset in PRESETS.items() if any(p.name == "distance" for p in preset.params))
OPEN = tuple(name for name, preset in PRESETS.items() if not preset.closed)
CLOSED = tuple(name for name, preset in PRESETS.items() if preset.closed)
LENS = intrinsics_from_fov(60, 480, 704)
IDENTITY = torch.eye(4)


def build(name: str, frames: int = 24, **options: object) -> Cameras:
    return build_trajectory(name, frames=frames, intrinsics=LENS, **options)


def end(name: str, **options: object) -> torch.Tensor:
    """Pose of the last camera of an open path."""
    return build(name, **options).c2w[-1]


def extremes(preset: Preset) -> list[dict[str, float]]:
    return [
        dict(zip([p.name for p in preset.params], values, strict=True))
        for values in product(*[(p.minimum, p.maximum) for p in preset.params])
    ]


def seen_at(cameras: Cameras, point: tuple[float, float, float]) -> torch.Tensor:
    """Where each camera sees a point, relative to the picture's size and below zero if behind. (N, 3)"""
    local = (cameras.w2c @ torch.tensor([*point, 1.0]))[:, :3]
    x = cameras.intrinsics[:, 2] + cameras.intrinsics[:, 0] * local[:, 0] / -local[:, 2]
    y = cameras.intrinsics[:, 3] - cameras.intrinsics[:, 1] * local[:, 1] / -local[:, 2]
    return torch.stack([x, y, -local[:, 2]], dim=-1)


def test_the_documented_presets_exist() -> None:
    wanted = """forward backward left right up down orbit_left orbit_right orbit_up orbit_down full_orbit spiral lemniscate
        zoom_in zoom_out dolly_zoom_in dolly_zoom_out pan_left pan_right tilt_up tilt_down roll crane_up fly_through
        swipe shake rotate_forward""".split()
    assert [*PRESETS] == wanted
    assert "static" not in PRESETS


@pytest.mark.parametrize("name", NAMES)
def test_presets_have_titles_captions_and_valid_parameters(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert preset.title[0].isupper()
    assert preset.caption.startswith("The camera ")
    assert preset.caption.endswith(".")
    assert preset.params
    assert preset.easing in EASINGS
    for param in preset.params:
        assert param.minimum <= param.default <= param.maximum
        assert 0 < param.step <= param.maximum - param.minimum
        assert param.title
        assert param.unit
    assert len({p.name for p in preset.params}) == len(preset.params)


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_finite_and_unit_at_every_length_and_extreme(name: str) -> None:
    for frames in (*range(2, MAX_FRAMES + 1), 240):
        cameras = build(name, frames)
        assert len(cameras) == frames
        torch.testing.assert_close(cameras.quats_wxyz.norm(dim=1), torch.ones(frames), atol=1e-6, rtol=0)
    for params, loop in product(extremes(PRESETS[name]), (False, True)):
        cameras = build(name, 9, loop=loop, **params)
        assert bool(torch.isfinite(cameras.to_vectors()).all())
        torch.testing.assert_close(cameras.quats_wxyz.norm(dim=1), torch.ones(9), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("angle", [20.0, 110.0])
def test_usual_lenses_stay_usable_at_every_extreme(name: str, angle: float) -> None:
    lens = intrinsics_from_fov(angle, 480, 704)
    for params in extremes(PRESETS[name]):
        angles = fov_y_deg(build_trajectory(name, frames=5, intrinsics=lens, **params).intrinsics)
        assert MIN_FOV_DEG <= float(angles.min())
        assert float(angles.max()) <= MAX_FOV_DEG


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loop", [False, True])
def test_the_first_camera_is_the_start_exactly(name: str, loop: bool) -> None:
    first = build(name, loop=loop)[0]
    assert torch.equal(first.c2w[0], IDENTITY)
    assert torch.equal(first.intrinsics[0], LENS)
    start = Cameras(torch.tensor([[0.1, -0.7, 0.3, 0.5]]), torch.tensor([[3.0, -1.0, 7.5]]), LENS[None])
    again = build(name, start=start, loop=loop)[0]
    assert torch.equal(again.quats_wxyz, start.quats_wxyz)
    assert torch.equal(again.positions, start.positions)


@laws
@given(st.sampled_from(NAMES), st.integers(0, 2**31), st.booleans(), st.sampled_from([*EASINGS]))
def test_presets_compose_with_any_start_pose(name: str, seed: int, loop: bool, easing: str) -> None:
    source = torch.Generator().manual_seed(seed)
    quats, positions = torch.randn(1, 4, generator=source), 3 * torch.randn(1, 3, generator=source)
    start = Cameras(quats / quats.norm(), positions, LENS[None])
    path = build(name, 7, loop=loop, easing=easing)
    moved = build(name, 7, start=start, loop=loop, easing=easing)
    torch.testing.assert_close(moved.c2w, start.c2w @ path.c2w, atol=5e-5, rtol=1e-5)
    assert torch.equal(moved.intrinsics, path.intrinsics)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("easing", [*EASINGS])
@pytest.mark.parametrize("frames", [3, 4, 24])
def test_loops_close(name: str, easing: str, frames: int) -> None:
    cameras = build(name, frames, loop=True, easing=easing)
    assert torch.equal(cameras.to_vectors()[0], cameras.to_vectors()[-1])


@pytest.mark.parametrize("name", CLOSED)
def test_closed_moves_close_by_default_and_otherwise_repeat_no_view(name: str) -> None:
    assert torch.equal(build(name).c2w[-1], IDENTITY)
    opened = build(name, 12, loop=False)
    torch.testing.assert_close(opened.to_vectors(), build(name, 13).to_vectors()[:-1])
    assert len(build(name, 2)) == 2  # two cameras cannot close; they show two views
    assert not torch.equal(build(name, 2).c2w[-1], IDENTITY) or name in ("swipe", "lemniscate", "shake")


@pytest.mark.parametrize("name", OPEN)
def test_open_moves_return_to_their_start_on_request(name: str) -> None:
    there = build(name, 12).to_vectors()
    both = build(name, 23, loop=True).to_vectors()
    torch.testing.assert_close(both[:12], there)
    torch.testing.assert_close(both, both.flip(0))


@pytest.mark.parametrize("name", NAMES)
def test_two_cameras_cannot_make_a_closed_path(name: str) -> None:
    with pytest.raises(TrajectoryError, match=f"{name}: a closed path needs at least 3 cameras, got 2"):
        build(name, 2, loop=True)


@pytest.mark.parametrize("name", WATCHING)
def test_the_look_at_point_stays_centred(name: str) -> None:
    for params in extremes(PRESETS[name]):
        for loop in (False, True):
            where = seen_at(build(name, 13, loop=loop, **params), (0.0, 0.0, -params["distance"]))
            torch.testing.assert_close(where[:, :2], torch.full((13, 2), 0.5), atol=2e-5, rtol=0)
            assert bool((where[:, 2] > 0).all())


@pytest.mark.parametrize("name", [name for name in WATCHING if "orbit" not in name and "dolly" not in name])
@pytest.mark.parametrize("easing", [*EASINGS])
def test_looking_at_a_point_introduces_no_roll(name: str, easing: str) -> None:
    right = build(name, easing=easing).c2w[:, :3, 0]
    torch.testing.assert_close(right[:, 1], torch.zeros(24), atol=1e-6, rtol=0)


def test_straight_moves_follow_the_cameras_own_axes() -> None:
    ways = {
        "forward": (0, 0, -1),
        "backward": (0, 0, 1),
        "left": (-1, 0, 0),
        "right": (1, 0, 0),
        "up": (0, 1, 0),
        "down": (0, -1, 0),
    }
    for name, way in ways.items():
        pose = end(name, amplitude=0.7)
        torch.testing.assert_close(pose[:3, 3], 0.7 * torch.tensor(way, dtype=torch.float32))
        assert torch.equal(pose[:3, :3], torch.eye(3))
    upside_down = Cameras(torch.tensor([[0.0, 0, 0, 1]]), torch.zeros(1, 3), LENS[None])
    torch.testing.assert_close(end("up", start=upside_down)[:3, 3], torch.tensor([0.0, -0.5, 0]))


def test_orbits_keep_their_distance_and_turn_by_their_angle() -> None:
    for name, way in {"orbit_left": (-1, 0), "orbit_right": (1, 0), "orbit_up": (0, 1), "orbit_down": (0, -1)}.items():
        cameras = build(name, angle_deg=40.0, distance=3.0)
        radius = (cameras.positions - torch.tensor([0.0, 0, -3])).norm(dim=1)
        torch.testing.assert_close(radius, torch.full((24,), 3.0))
        x, y, _ = cameras.positions[-1].tolist()
        assert (x, y) == pytest.approx([3 * math.sin(math.radians(40)) * w for w in way], abs=1e-6)
        turned = math.degrees(2 * math.acos(float(cameras.quats_wxyz[-1, 0])))
        assert turned == pytest.approx(40, abs=0.01)


def test_default_orbit_is_the_originals_template_at_its_radius() -> None:
    torch.testing.assert_close(
        end("orbit_right", distance=1.0)[:3, 3], torch.tensor([0.2588, 0, -0.0341]), atol=1e-4, rtol=0
    )


def test_orbiting_a_rolled_camera_keeps_its_roll() -> None:
    roll = quat_from_axis_angle((0.0, 0.0, 1.0), torch.tensor([0.4]))
    start = Cameras(roll, torch.zeros(1, 3), LENS[None])
    cameras = build("orbit_right", start=start)
    up_in_start = (start.w2c @ cameras.c2w)[:, :3, 1]
    torch.testing.assert_close(up_in_start, torch.tensor([0.0, 1, 0]).expand(24, 3), atol=1e-6, rtol=0)


def test_full_orbit_shows_its_point_from_all_sides() -> None:
    cameras = build("full_orbit", 9)
    torch.testing.assert_close(cameras.positions[4], torch.tensor([0.0, 0, -4]), atol=1e-5, rtol=0)
    torch.testing.assert_close(cameras.positions[2], torch.tensor([2.0, 0, -2]), atol=1e-5, rtol=0)


def test_rotations_in_place_turn_the_way_their_name_says() -> None:
    looks = {"pan_left": (-1, 0), "pan_right": (1, 0), "tilt_up": (0, 1), "tilt_down": (0, -1)}
    for name, (x, y) in looks.items():
        pose = end(name, angle_deg=30.0)
        ahead = -pose[:3, 2]
        expected = torch.tensor([0.5 * x, 0.5 * y, -math.cos(math.radians(30))])
        torch.testing.assert_close(ahead, expected)
        assert torch.equal(pose[:3, 3], torch.zeros(3))
    pose = end("roll", angle_deg=90.0)  # clockwise: the camera's up tips to its right
    torch.testing.assert_close(pose[:3, 1], torch.tensor([1.0, 0, 0]), atol=1e-6, rtol=0)


@laws
@given(st.floats(1.05, 2.5), st.floats(0.5, 20))
def test_dolly_zoom_keeps_the_subjects_size(factor: float, distance: float) -> None:
    for name in ("dolly_zoom_in", "dolly_zoom_out"):
        cameras = build(name, 9, factor=factor, distance=distance)
        top = seen_at(cameras, (0.1 * distance, 0.2 * distance, -distance))
        torch.testing.assert_close(top[:, :2], top[:1, :2].expand(9, 2), atol=1e-5, rtol=0)
        sign = 1 if name == "dolly_zoom_in" else -1
        assert bool((sign * cameras.positions[1:, 2] > 0).all())  # in: backs away
        assert bool((sign * cameras.intrinsics.diff(dim=0)[:, 1] > 0).all())  # in: narrows


@laws
@given(st.floats(1.05, 2.5))
def test_zoom_changes_the_focal_length_geometrically(factor: float) -> None:
    for name, ratio in (("zoom_in", factor), ("zoom_out", 1 / factor)):
        focal = build(name, 5, factor=factor, easing="linear").intrinsics[:, :2] / LENS[:2]
        expected = torch.tensor([ratio ** (k / 4) for k in range(5)])
        torch.testing.assert_close(focal, expected[:, None].expand(5, 2))
        assert torch.equal(build(name, 5, factor=factor).positions, torch.zeros(5, 3))


def test_fly_through_faces_its_direction_of_travel() -> None:
    cameras = build("fly_through", 1000)
    along = cameras.positions.diff(dim=0)
    along = along / along.norm(dim=1, keepdim=True)
    ahead = -cameras.c2w[:, :3, 2]
    middle = (ahead[1:] + ahead[:-1]) / 2
    assert float((along - middle).abs().max()) < 1e-3
    torch.testing.assert_close(cameras.c2w[-1, :3, :3], torch.eye(3), atol=1e-6, rtol=0)
    assert float(cameras.positions[:, 0].abs().max()) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("name", ["spiral", "lemniscate", "swipe", "shake", "rotate_forward", "crane_up"])
def test_amplitude_is_the_largest_offset_of_the_camera(name: str) -> None:
    amplitude = 0.31
    cameras = build(name, 241, amplitude=amplitude, easing="linear")
    assert float(cameras.positions[:, :2].abs().max()) == pytest.approx(amplitude, rel=1e-3)


@pytest.mark.parametrize("easing", [*EASINGS])
def test_easing_keeps_its_ends_and_is_monotonic(easing: str) -> None:
    curve = ease(easing, torch.linspace(0, 1, 101, dtype=torch.float64))
    assert float(curve[0]) == 0
    assert float(curve[-1]) == 1
    assert bool((curve.diff() > 0).all())


def test_easings_differ_where_they_should() -> None:
    steps = {name: ease(name, torch.linspace(0, 1, 11)).diff() for name in EASINGS}
    assert float(steps["smooth"][0]) < 0.05 < float(steps["smooth"][5])
    assert float(steps["ease_in"][0]) < 0.05 < 0.15 < float(steps["ease_in"][-1])
    torch.testing.assert_close(steps["ease_out"], steps["ease_in"].flip(0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "orbit_lft"}, "unknown camera path 'orbit_lft'; did you mean 'orbit_left'"),
        ({"name": "static"}, "unknown camera path 'static'; expected one of forward, backward"),
        ({"name": 7}, "unknown camera path 7"),
        ({"name": "forward", "amplitud": 1.0}, "forward: unknown parameter 'amplitud'; did you mean 'amplitude'"),
        ({"name": "forward", "amplitude": 5.5}, "forward: amplitude must be between 0.02 and 5 scene units, got 5.5"),
        ({"name": "forward", "amplitude": math.nan}, "forward: amplitude must be between .* got nan"),
        ({"name": "forward", "amplitude": -math.inf}, "forward: amplitude must be between .* got -inf"),
        ({"name": "forward", "amplitude": 10**400}, "forward: amplitude must be between .* got a huge number"),
        ({"name": "forward", "amplitude": True}, "forward: amplitude must be a number, got True"),
        ({"name": "forward", "amplitude": "1"}, "forward: amplitude must be a number, got '1'"),
        ({"name": "full_orbit", "turns": 1.5}, "full_orbit: turns must be a whole number"),
        ({"name": "forward", "easing": "smoth"}, "unknown easing 'smoth'; did you mean 'smooth'"),
        ({"name": "forward", "loop": 1}, "forward: loop must be true or false, got 1"),
        ({"name": "forward", "frames": 1}, "forward: frames must be a whole number from 2"),
        ({"name": "forward", "frames": 10**9}, "forward: frames must be a whole number from 2"),
        ({"name": "forward", "intrinsics": (0.0, 1.0, 0.5, 0.5)}, "intrinsics: expected"),
        ({"name": "zoom_in", "factor": 2.5, "intrinsics": intrinsics_from_fov(8, 480, 704)}, "zoom_in: field of view"),
    ],
)
def test_invalid_parameters_are_refused_by_name(options: dict, words: str) -> None:
    with pytest.raises(TrajectoryError, match=words):
        build_trajectory(**{"frames": 5, "intrinsics": LENS, **options})


def test_slider_rounding_is_tolerated() -> None:
    preset = PRESETS["lemniscate"]
    assert preset.resolve({"amplitude": 1.0000000001})["amplitude"] == 1.0
    assert preset.resolve({}) == {"amplitude": 0.3, "distance": 2.0}


@laws
@given(st.integers(0, 2**31), st.integers(2, 12))
def test_resampling_to_the_same_count_changes_nothing(seed: int, count: int) -> None:
    source = torch.Generator().manual_seed(seed)
    cameras = Cameras(
        torch.randn(count, 4, generator=source), torch.randn(count, 3, generator=source), LENS.expand(count, 4)
    )
    assert resample(cameras, count) is cameras


@laws
@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 5))
def test_resampling_passes_through_the_given_cameras(seed: int, count: int, parts: int) -> None:
    source = torch.Generator().manual_seed(seed)
    quats, positions = torch.randn(count, 4, generator=source), torch.randn(count, 3, generator=source)
    cameras = Cameras(quats.double(), positions.double(), LENS.double().expand(count, 4))
    fine = resample(cameras, (count - 1) * parts + 1)
    assert len(fine) == (count - 1) * parts + 1
    torch.testing.assert_close(fine.c2w[::parts], cameras.c2w, atol=1e-7, rtol=0)


def test_resampling_is_uniform_in_list_index_and_takes_the_shorter_arc() -> None:
    quats = torch.tensor([[1.0, 0, 0, 0], [-math.cos(0.1), 0, -math.sin(0.1), 0]])  # the second has the other sign
    cameras = Cameras(quats, torch.tensor([[0.0, 0, 0], [4.0, 0, 0]]), torch.stack([LENS, 2 * LENS]))
    fine = resample(cameras, 5)
    torch.testing.assert_close(fine.positions[:, 0], torch.arange(5.0))
    torch.testing.assert_close(fine.intrinsics[2], 1.5 * LENS)
    torch.testing.assert_close(fine.quats_wxyz[2], torch.tensor([math.cos(0.05), 0, math.sin(0.05), 0]))


def test_a_single_camera_is_not_a_path() -> None:
    one = Cameras(torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1, 3), LENS[None])
    with pytest.raises(TrajectoryError, match="at least 2 cameras, got 1"):
        resample(one, 24)


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, True, 10**7])
def test_invalid_counts_are_refused(count: object) -> None:
    with pytest.raises(TrajectoryError, match="number of cameras must be a whole number from 2"):
        resample(build("forward", 3), count)


def test_video_paths_last_as_long_as_asked() -> None:
    path = build("orbit_right", 24)
    assert len(video_path(path, fps=15)) == 346
    assert len(video_path(path, fps=30, seconds=4)) == 120
    assert len(video_path(path, fps=1, seconds=0.2)) == 2
    video = video_path(path, fps=30, seconds=2.5)
    torch.testing.assert_close(video.c2w[[0, -1]], path.c2w[[0, -1]])


@pytest.mark.parametrize(
    "options",
    [{"fps": 0}, {"fps": 61}, {"fps": 2.5}, {"fps": 15, "seconds": math.nan}, {"fps": 60}, {"fps": 15, "seconds": 61}],
)
def test_overlong_videos_are_refused(options: dict) -> None:
    with pytest.raises(TrajectoryError, match="video: "):
        video_path(build("forward", 24), **options)


def test_rotation_only_presets_keep_the_scenes_size() -> None:
    for name in ("pan_left", "tilt_up", "roll", "zoom_in"):
        assert normalize(build(name))[1].scene_scale == 1
    for name in set(NAMES) - {"pan_left", "pan_right", "tilt_up", "tilt_down", "roll", "zoom_in", "zoom_out"}:
        assert normalize(build(name))[1].scene_scale > 0.05


def test_look_at_from_right_above_looks_down_without_nan() -> None:
    quats = look_at(torch.tensor([[0.0, 1.0, -2.0]]), torch.tensor([0.0, 0.0, -2.0]))
    ahead = -quat_to_matrix(quats)[0, :, 2]
    torch.testing.assert_close(ahead, torch.tensor([0.0, -1.0, 0.0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("lens", [[0.6, 10**309, 0.5, 0.5], ["a", 1, 1, 1], [[1], [1, 2]], None, "lens", [1, 1, 1]])
def test_lenses_that_are_not_four_numbers_are_refused(lens: object) -> None:
    with pytest.raises(TrajectoryError, match="intrinsics: expected fx / W"):
        build_trajectory("forward", frames=3, intrinsics=lens)
