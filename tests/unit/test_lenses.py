"""Lenses of `transforms.json`: which level takes precedence, which fields are used, and what is refused by name."""

from __future__ import annotations

import math

import pytest
import torch

from flashworld.cameras import intrinsics_from_fov
from flashworld.errors import TrajectoryError
from flashworld.trajectories.json_forms import ParsedTrajectory, parse_trajectory

HEIGHT, WIDTH = 480, 704
POSE = [[1, 0, 0, 0.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
MOVED = [[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, -0.1], [0, 0, 0, 1]]
SIZED = {"w": WIDTH, "h": HEIGHT}


def read(top: dict, frame: dict | None = None) -> ParsedTrajectory:
    frames = [
        {"file_path": f"{i}.jpg", "transform_matrix": pose} | (frame or {}) for i, pose in enumerate((POSE, MOVED))
    ]
    return parse_trajectory({**top, "frames": frames}, height=HEIGHT, width=WIDTH, fov_y_deg=60.0)


def lens_px(top: dict, frame: dict | None = None) -> list[float]:
    lens = read(top, frame).cameras.intrinsics[0].double() * torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    return lens.tolist()


def test_vertical_angle_alone_is_used():
    focal = 240 / math.tan(0.25)
    assert lens_px({"camera_angle_y": 0.5, **SIZED}) == pytest.approx([focal, focal, 352, 240], rel=1e-5)


def test_both_angles_are_used():
    wanted = [352 / math.tan(0.5), 240 / math.tan(0.5), 352, 240]
    assert lens_px({"camera_angle_x": 1.0, "camera_angle_y": 1.0, **SIZED}) == pytest.approx(wanted, rel=1e-5)


def test_instant_ngp_angles_in_degrees_are_used():
    wanted = [352 / math.tan(math.radians(20)), 240 / math.tan(math.radians(15)), 352, 240]
    assert lens_px({"x_fov": 40, "y_fov": 30.0, **SIZED}) == pytest.approx(wanted, rel=1e-5)
    assert lens_px({"fl_y": 500, **SIZED}) == pytest.approx([500, 500, 352, 240])


def test_a_frames_lens_replaces_the_shared_one_entirely():
    top = {"fl_x": 300, "fl_y": 310, "cx": 300, "cy": 200, **SIZED}
    focal = 352 / math.tan(0.25)
    assert lens_px(top, {"camera_angle_x": 0.5}) == pytest.approx([focal, focal, 352, 240], rel=1e-5)
    assert lens_px(top, {"fl_y": 400}) == pytest.approx([400, 400, 352, 240])
    half = {"w": WIDTH // 2, "h": HEIGHT // 2}
    assert lens_px(top, {"fl_x": 150, **half}) == pytest.approx([300, 300, 352, 240])


@pytest.mark.parametrize("own", [{"fx": 900, "fy": 900, "cx": 1, "cy": 1}, {"fov": 20}, {"intrinsics": [1, 1, 0, 0]}])
def test_a_frames_lens_in_unknown_fields_is_refused_whatever_the_shared_lens(own):
    with pytest.raises(TrajectoryError, match=f"camera 0: lens field {next(iter(own))} is not known, expected one of"):
        read({"fl_x": 300, **SIZED}, own)


def test_unknown_fields_at_the_top_do_not_matter_to_frames_with_their_own_lens():
    parsed = read({"fov": 20, "cx": 1, **SIZED}, {"fl_x": 500})
    assert parsed.notes == ()
    assert lens_px({"fov": 20, "cx": 1, **SIZED}, {"fl_x": 500}) == pytest.approx([500, 500, 352, 240])


@pytest.mark.parametrize("field", ["cx", "cy"])
@pytest.mark.parametrize("levels", [({}, 1), ({"fl_x": 300}, 1), ({}, 0)], ids=["alone", "in the frame", "at the top"])
def test_a_principal_point_without_a_focal_length_is_refused_by_name(field, levels):
    top, in_frame = levels
    frame = {field: 100} if in_frame else {"fl_x": 300}
    with pytest.raises(TrajectoryError, match=f"camera 0: {field} has no focal length beside it, expected one of fl_x"):
        read({**top, **SIZED} | ({} if in_frame else {field: 100}), frame)


def test_a_frames_size_without_a_focal_length_must_be_that_of_the_shared_lens():
    top = {"fl_x": 600, "cx": 352, "cy": 240}
    assert lens_px({**top, **SIZED}, SIZED) == pytest.approx([600, 600, 352, 240])
    assert lens_px(top, SIZED) == pytest.approx([600, 600, 352, 240])
    with pytest.raises(TrajectoryError, match="camera 0: w and h are 352 x 240, but the shared lens is for 704 x 480"):
        read({**top, **SIZED}, {"w": 352, "h": 240})


def test_unknown_camera_model_is_refused_and_a_missing_lens_is_reported():
    for level in ((({"fov": 50}, None)), (({}, {"fx": 300}))):
        with pytest.raises(TrajectoryError, match=r"camera 0: lens field (fov|fx) is not known, expected one of fl_x"):
            read(*level)
    parsed = read(SIZED)
    torch.testing.assert_close(parsed.cameras.intrinsics[0], intrinsics_from_fov(60.0, HEIGHT, WIDTH))
    assert parsed.notes == ("the path has no lens: using a vertical field of view of 60 degrees",)


FISHEYES = [
    {"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}, {"camera_model": "EQUIRECTANGULAR"}, {"camera_type": "fisheye"},
    {"equirectangular": True}, {"latlong": True}, {"ftheta_p0": 0.1}, {"fisheye_crop_radius": 800}, {"camera_model": None},
    {"is_fisheye": 1}, {"is_panorama": "yes"},
]  # fmt: skip


@pytest.mark.parametrize("flag", FISHEYES, ids=str)
@pytest.mark.parametrize("level", ["top", "frame"])
def test_fisheye_and_panorama_are_refused_however_flagged(flag, level):
    top = {"fl_x": 300, "fl_y": 300, "k1": 0.1, **SIZED}
    where = "camera path" if level == "top" else "camera 0"
    with pytest.raises(TrajectoryError, match=rf"^{where}: .*({next(iter(flag))})"):
        read({**top, **flag} if level == "top" else top, flag if level == "frame" else None)


def test_false_flags_and_lower_case_models_are_read():
    read({"fl_x": 300, "is_fisheye": False, "camera_model": "opencv", **SIZED})


def test_strong_distortion_is_reported_and_weak_is_not():
    assert read({"fl_x": 300, "k1": 0.01, "k2": -0.02, **SIZED}).notes == ()
    (note,) = read({"fl_x": 300, "k1": -0.3, "k2": 0.01, "p1": 0.05, **SIZED}).notes
    assert note == "lens distortion is ignored (k1 = -0.3, p1 = 0.05): cameras are treated as pinholes"
    with pytest.raises(TrajectoryError, match="camera 0: k1 must be a number"):
        read({"fl_x": 300, "k1": "strong", **SIZED})


@pytest.mark.parametrize("level", ["top", "frame"])
def test_strong_distortion_in_a_list_is_reported(level):
    def notes(values: list) -> tuple[str, ...]:
        given = {"distortion_params": values}
        return read(
            {"fl_x": 300, **SIZED, **(given if level == "top" else {})}, given if level == "frame" else None
        ).notes

    assert notes([0.01, 0.02, 0, 0, -0.02, 0]) == ()
    (note,) = notes([0.01, -0.3, 0, 0, 0.05, 0])
    assert note == "lens distortion is ignored (k2 = -0.3, p1 = 0.05): cameras are treated as pinholes"
    with pytest.raises(TrajectoryError, match="camera 0: distortion_params must be a list of 6 numbers, got list of 4"):
        notes([0.1, 0, 0, 0])


def test_shared_distortion_is_reported_for_frames_with_their_own_lens():
    (note,) = read({"k1": 0.1, **SIZED}, {"fl_x": 300}).notes
    assert note == "lens distortion is ignored (k1 = 0.1): cameras are treated as pinholes"
    assert read({"fl_x": 300, "k1": 0.1, **SIZED}, {"k1": 0, "p1": 0.01}).notes == ()


def test_conflicting_fields_are_reported():
    (note,) = read({"fl_x": 300, "camera_angle_x": 0.5, **SIZED}).notes
    assert note == "fl_x and camera_angle_x disagree: using fl_x"
    assert read({"fl_x": 300, "camera_angle_x": 2 * math.atan(352 / 300), **SIZED}).notes == ()


@pytest.mark.parametrize(
    ("lens", "used", "other"),
    [
        ({"x_fov": 20, "fl_x": 300}, "fl_x", "x_fov"),
        ({"x_fov": 20, "camera_angle_x": 1}, "camera_angle_x", "x_fov"),
        ({"y_fov": 20, "camera_angle_y": 1}, "camera_angle_y", "y_fov"),
        ({"fl_y": 300, "y_fov": 500}, "fl_y", "y_fov"),
        ({"fl_y": 300, "y_fov": "wide"}, "fl_y", "y_fov"),
    ],
)
@pytest.mark.parametrize("level", ["top", "frame"])
def test_any_two_fields_of_one_axis_that_disagree_are_named(lens, used, other, level):
    parsed = read({**lens, **SIZED}) if level == "top" else read(SIZED, lens)
    assert parsed.notes == (f"{used} and {other} disagree: using {used}",)


def test_fields_of_one_axis_that_agree_are_not_reported():
    angle = 2 * math.atan(352 / 300)
    assert read({"fl_x": 300, "camera_angle_x": angle, "x_fov": math.degrees(angle), **SIZED}).notes == ()
    assert read({"fl_x": 300, "camera_angle_x": None, "fov": None, **SIZED}).notes == ()


def test_an_angle_that_contradicts_the_focal_length_is_found_where_the_frame_has_no_size():
    assert read(SIZED, {"fl_x": 300, "camera_angle_x": 0.5}).notes == ("fl_x and camera_angle_x disagree: using fl_x",)


def test_unknown_lens_fields_beside_known_ones_are_reported():
    (note,) = read({"fl_x": 300, "K": [[1]], "fov": 20, **SIZED}).notes
    assert note == "lens fields fov, K are not known: using fl_x"
