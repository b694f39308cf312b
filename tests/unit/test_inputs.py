"""Requests: any input gives either a checked request or a one-sentence InputError."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov
from flashworld.checks import echo, real_number, whole_number
from flashworld.config import FULL
from flashworld.errors import ImageError, InputError, PromptError, TrajectoryError
from flashworld.inputs import GenerationRequest, VideoSettings, build_request, clean_text
from flashworld.io.images.crops import crop_box
from flashworld.io.images.reading import Photo
from flashworld.limits import MAX_PROMPT_CHARS, MAX_SEED
from flashworld.trajectories import resample
from flashworld.trajectories.keyframes import Keyframe
from flashworld.trajectories.resolve import checked_cameras

TINY = replace(FULL, name="tiny", frames=4, height=64, width=96)
LANDSCAPE = np.full((48, 80, 3), 90, np.uint8)
PORTRAIT = np.full((80, 48, 3), 90, np.uint8)


def path(count=3, **changes) -> Cameras:
    fields = {
        "quats_wxyz": torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1),
        "positions": torch.arange(count * 3.0).reshape(count, 3) / 10,
        "intrinsics": intrinsics_from_fov(60, 64, 96).expand(count, 4),
    } | changes
    return Cameras(**fields)


def build(**changes) -> GenerationRequest:
    return build_request(**({"text": "a red house", "defaults": TINY} | changes))


def test_text_alone_makes_a_complete_request():
    request = build()
    assert (request.frames, request.height, request.width, request.image_index) == (4, 64, 96, 0)
    assert request.picture is None and request.text == "a red house" and len(request.cameras) == 4
    assert request.path.name == "orbit_right" and request.path.params["angle_deg"] == 15
    assert 0 <= request.seed <= MAX_SEED and request.video == VideoSettings()
    assert float(fov_y_deg(request.cameras.intrinsics[0])) == pytest.approx(60, abs=1e-4)


def test_the_full_model_is_the_default():
    request = build_request(text="x")
    assert (request.frames, request.height, request.width) == (24, 480, 704)


def test_the_output_orientation_follows_the_picture():
    assert build(image=LANDSCAPE).picture.shape == (64, 96, 3)
    assert build(image=PORTRAIT).picture.shape == (96, 64, 3)
    assert build(image=PORTRAIT, height=64, width=96).picture.shape == (64, 96, 3)


def test_a_random_seed_is_chosen_once_and_kept():
    seeds = {build().seed for _ in range(5)}
    assert len(seeds) > 1
    assert build(seed=7.0).seed == 7


def test_the_picture_cannot_be_changed_afterwards():
    request = build(image=LANDSCAPE)
    with pytest.raises(ValueError, match="read-only"):
        request.picture[0, 0] = 0


def test_the_photos_focal_length_is_used_unless_a_field_of_view_is_given():
    photo = Photo(LANDSCAPE, focal_px=50.0)
    crop = crop_box(48, 80, 64, 96)
    expected = math.degrees(2 * math.atan(32 / (50 * crop.scale)))
    assert float(fov_y_deg(build(image=photo).cameras.intrinsics[0])) == pytest.approx(expected, rel=1e-5)
    assert float(fov_y_deg(build(image=photo, fov_y_deg=40).cameras.intrinsics[0])) == pytest.approx(40, rel=1e-5)
    telescope = Photo(LANDSCAPE, focal_px=5000.0)
    assert float(fov_y_deg(build(image=telescope).cameras.intrinsics[0])) == pytest.approx(60, rel=1e-5)


def test_cameras_are_resampled_to_the_frames():
    cameras = path(7)
    request = build(trajectory=cameras, frames=4)
    assert request.path.name == "cameras"
    torch.testing.assert_close(request.cameras.positions, resample(cameras, 4).positions)


def test_keyframes_make_a_path():
    keys = [Keyframe((0, 0, 0), (1, 0, 0, 0)), Keyframe((0, 0, -1), (1, 0, 0, 0), 40.0)]
    request = build(trajectory=keys, trajectory_params={"mode": "linear"}, fov_y_deg=60)
    assert request.cameras.positions[-1].tolist() == pytest.approx([0, 0, -1])
    assert float(fov_y_deg(request.cameras.intrinsics[-1])) == pytest.approx(40, rel=1e-4)


def test_preset_parameters_are_recorded():
    request = build(trajectory="forward", trajectory_params={"amplitude": 2, "loop": True, "easing": "linear"})
    assert dict(request.path.params) == {"amplitude": 2.0, "loop": True, "easing": "linear"}
    assert request.cameras.positions[0].tolist() == request.cameras.positions[-1].tolist()


def test_quaternions_are_normalised_and_checking_is_idempotent():
    generator = torch.Generator().manual_seed(0)
    quats = (
        torch.randn(50, 4, generator=generator, dtype=torch.float64)
        * torch.logspace(-7, 250, 50, dtype=torch.float64)[:, None]
    )
    cameras = path(50).to(torch.float64)
    once = checked_cameras(Cameras(quats, cameras.positions, cameras.intrinsics))
    assert torch.allclose(once.quats_wxyz.norm(dim=1), torch.ones(50), atol=1e-6)
    twice = checked_cameras(once)
    assert torch.equal(once.to_vectors(), twice.to_vectors())


def test_text_is_cleaned_and_the_rest_left_alone():
    assert clean_text("  a\tb\r\nc  d ") == "a b  c  d"
    assert clean_text("\x00a\x1b[31m\u202eb\ud800\ufeff") == "a[31mb"
    assert clean_text("<b>*æ* 家 👩‍🚀</b>") == "<b>*æ* 家 👩‍🚀</b>"
    assert clean_text(None) == ""


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=50))
def test_cleaning_text_is_idempotent(text):
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert clean.encode("utf-8").decode("utf-8") == clean and "\n" not in clean


def test_video_length_is_known_before_rendering():
    assert VideoSettings(fps=15, seconds=None).frame_count(24) == 346
    assert VideoSettings().frame_count(24) == 24 * 6
    assert VideoSettings(fps=10, seconds=2).frame_count(24) == 20
    with pytest.raises(InputError, match="at most 1200 frames"):
        build(frames=32, video=VideoSettings(fps=60, seconds=None))
    assert build(frames=32, video=VideoSettings(fps=60, enabled=False)).frames == 32


BAD_NUMBERS = [math.nan, math.inf, -math.inf, 1e308, -1, 10**400, "7", True, None, [], {}, 2.5, 1j, b"7"]
REFUSED = {
    "nothing": ({"text": None}, PromptError),
    "white space": ({"text": " \n\t\u202e"}, PromptError),
    "long text": ({"text": "x" * (MAX_PROMPT_CHARS + 1)}, PromptError),
    "very long text": ({"text": "x" * 100_000}, PromptError),
    "bytes as text": ({"text": b"house"}, PromptError),
    "number as text": ({"text": 5}, PromptError),
    "one side": ({"height": 64}, InputError),
    "odd size": ({"height": 65, "width": 96}, InputError),
    "not by 32": ({"height": 80, "width": 96}, InputError),
    "too small": ({"height": 32, "width": 96}, InputError),
    "too large": ({"height": 1056, "width": 96}, InputError),
    "too many pixels": ({"height": 1024, "width": 1024, "frames": 24}, InputError),
    "index = frames": ({"image_index": 4}, InputError),
    "index < 0": ({"image_index": -1}, InputError),
    "one frame": ({"frames": 1}, InputError),
    "many frames": ({"frames": 33}, InputError),
    "fov 0": ({"fov_y_deg": 0}, TrajectoryError),
    "fov 180": ({"fov_y_deg": 180}, TrajectoryError),
    "unknown preset": ({"trajectory": "../../etc/passwd"}, TrajectoryError),
    "empty preset": ({"trajectory": ""}, TrajectoryError),
    "unknown parameter": ({"trajectory": "forward", "trajectory_params": {"frames": 4}}, TrajectoryError),
    "parameter not a number": ({"trajectory": "forward", "trajectory_params": {"amplitude": "1"}}, TrajectoryError),
    "parameter NaN": ({"trajectory": "forward", "trajectory_params": {"amplitude": math.nan}}, TrajectoryError),
    "parameter key": ({"trajectory": "forward", "trajectory_params": {3: 1}}, TrajectoryError),
    "parameters a list": ({"trajectory_params": [1]}, TrajectoryError),
    "loop a number": ({"trajectory_params": {"loop": 1}}, TrajectoryError),
    "easing unknown": ({"trajectory_params": {"easing": "wild"}}, TrajectoryError),
    "one camera": ({"trajectory": path(1)}, TrajectoryError),
    "10,000 cameras": ({"trajectory": path(10_000, positions=torch.zeros(10_000, 3))}, TrajectoryError),
    "far away": ({"trajectory": path(positions=torch.full((3, 3), 1e30))}, TrajectoryError),
    "far in float64": ({"trajectory": path(positions=torch.full((3, 3), 1e308, dtype=torch.float64))}, TrajectoryError),
    "lens in pixels": ({"trajectory": path(intrinsics=torch.tensor([[500.0, 500, 352, 240]] * 3))}, TrajectoryError),
    "principal point": ({"trajectory": path(intrinsics=torch.tensor([[0.6, 0.9, 99, 0.5]] * 3))}, TrajectoryError),
    "no keyframes": ({"trajectory": []}, TrajectoryError),
    "list of dicts": ({"trajectory": [{}]}, TrajectoryError),
    "a number as path": ({"trajectory": 3}, TrajectoryError),
    "empty object": ({"trajectory": {}}, TrajectoryError),
    "picture of text": ({"image": b"hello"}, ImageError),
    "video a dict": ({"video": {"fps": 3}}, InputError),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_values_are_refused_in_one_sentence(name):
    changes, error = REFUSED[name]
    with pytest.raises(error) as caught:
        build(**changes)
    assert "\n" not in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=lambda v: echo(v)[:20])
@pytest.mark.parametrize("name", ["frames", "image_index", "seed", "fov_y_deg", "height", "fps", "seconds"])
def test_every_number_refuses_what_is_not_one(name, value):
    optional = {"frames", "seed", "fov_y_deg", "seconds"}
    if (value is None and name in optional) or (value == 2.5 and name in ("fov_y_deg", "seconds")):
        pytest.skip("allowed")
    with pytest.raises(InputError, match=name.replace("fps", "video fps").replace("seconds", "video seconds")):
        if name in ("fps", "seconds"):
            build(video=VideoSettings(**{name: value}))
        else:
            build(**{name: value} | ({"width": 96} if name == "height" else {}))


def test_a_request_that_is_changed_is_checked_again():
    request = build(image=LANDSCAPE)
    assert replace(request, image_index=3).image_index == 3
    for changes in ({"image_index": 4}, {"frames": 5}, {"height": 96}, {"picture": None, "text": ""}, {"seed": -1}):
        with pytest.raises(InputError):
            replace(request, **changes)


def test_a_request_can_be_pickled():
    request = build(image=LANDSCAPE, trajectory="forward", seed=5)
    copy = pickle.loads(pickle.dumps(request))
    assert copy.path == request.path and copy.video == request.video and copy.seed == 5
    assert torch.equal(copy.cameras.to_vectors(), request.cameras.to_vectors())
    assert (copy.picture == request.picture).all()


def test_numpy_numbers_and_whole_floats_are_accepted():
    assert whole_number(np.int64(5), "n", 0, 9) == 5 and whole_number(5.0, "n", 0, 9) == 5
    assert real_number(np.float32(0.5), "n", 0, 1) == 0.5
    assert len(echo("x" * 1000)) <= 40 and echo("a\n\u202e") == r"'a\n\u202e'"


def test_every_bidirectional_control_character_is_removed():
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert clean_text("a" + marks + "b") == "ab"
