"""Camera paths as JSON: round trips, four formats told apart by their fields, and everything malformed refused by name."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from flashworld.cameras import Cameras, fov_y_deg, intrinsics_from_fov, quat_to_matrix
from flashworld.errors import InputError, TrajectoryError
from flashworld.io.images.crops import crop_box
from flashworld.limits import MAX_CAMERAS, MAX_JSON_BYTES, MAX_JSON_VALUES
from flashworld.trajectories import PRESETS, build_trajectory, resample
from flashworld.trajectories.json_forms import (
    ParsedTrajectory,
    parse_trajectory,
    to_transforms_json,
    trajectory_to_json,
)

laws = settings(max_examples=30, deadline=None)
SIZE = {"height": 480, "width": 704}
LENS = intrinsics_from_fov(60, 480, 704)
ROW = {"position": [0, 0, 0], "quaternion": [1, 0, 0, 0]}
LENS_PX = {"fx": 400, "fy": 410, "cx": 352, "cy": 240}
OWN_ROW = {"position": [0, 0, 0], "quaternion_wxyz": [1, 0, 0, 0]}
MATRIX = [[1.0, 0, 0, 1], [0, 0, -1, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
STUDIO = {
    "w": 704,
    "h": 480,
    "fl_x": 400,
    "fl_y": 410,
    "cx": 350,
    "cy": 244,
    "frames": [{"transform_matrix": MATRIX}] * 2,
}


def parse(data: object, **options: object) -> ParsedTrajectory:
    return parse_trajectory(data, **{"fov_y_deg": 50.0, **SIZE, **options})


def own(*rows: dict, **fields: object) -> dict:
    return {"format": "flashworld-trajectory", "version": 1, "cameras": list(rows or (OWN_ROW, OWN_ROW)), **fields}


def random_path(seed: int, count: int, odd_lens: bool) -> Cameras:
    source = torch.Generator().manual_seed(seed)
    quats, positions = torch.randn(count, 4, generator=source), 4 * torch.randn(count, 3, generator=source)
    lens = LENS.expand(count, 4)
    if odd_lens:
        lens = lens * (1 + 0.1 * torch.rand(count, 4, generator=source))
    return Cameras(quats, positions, lens)


@laws
@given(st.integers(0, 2**31), st.integers(2, 9), st.booleans())
def test_own_format_round_trips_float32_exactly(seed: int, count: int, odd_lens: bool) -> None:
    cameras = random_path(seed, count, odd_lens)
    text = json.dumps(trajectory_to_json(cameras, **SIZE))
    again = parse(text)
    assert torch.equal(again.cameras.to_vectors(), cameras.to_vectors())
    assert again.source_format == "flashworld-trajectory"
    assert json.dumps(trajectory_to_json(again.cameras, **SIZE)) == text


@laws
@given(st.integers(0, 2**31), st.integers(2, 9), st.booleans())
def test_transforms_json_round_trips_the_views(seed: int, count: int, odd_lens: bool) -> None:
    cameras = random_path(seed, count, odd_lens)
    again = parse(json.dumps(to_transforms_json(cameras, **SIZE)))
    torch.testing.assert_close(again.cameras.c2w, cameras.c2w, atol=2e-6, rtol=1e-6)
    torch.testing.assert_close(again.cameras.intrinsics, cameras.intrinsics, atol=1e-6, rtol=1e-6)
    assert again.source_format == "transforms.json"


@pytest.mark.parametrize("name", [*PRESETS])
def test_presets_round_trip_through_both_formats(name: str) -> None:
    cameras = build_trajectory(name, frames=7, intrinsics=LENS)
    assert torch.equal(parse(trajectory_to_json(cameras, **SIZE)).cameras.to_vectors(), cameras.to_vectors())
    studio = parse(to_transforms_json(cameras, **SIZE)).cameras
    torch.testing.assert_close(studio.c2w, cameras.c2w, atol=1e-6, rtol=1e-6)


def test_own_format_states_its_axes_and_writes_short_numbers() -> None:
    data = trajectory_to_json(build_trajectory("forward", frames=2, intrinsics=LENS), **SIZE)
    assert data["axes"].startswith("opengl")
    assert data["image_size"] == [480, 704]
    assert data["cameras"][1] == {"position": [0, 0, -0.5], "quaternion_wxyz": [1, 0, 0, 0], "fov_y_deg": 60.0}


def test_own_format_takes_a_lens_in_degrees_relative_or_none() -> None:
    rows = [
        {**OWN_ROW, "fov_y_deg": 90},
        {**OWN_ROW, "intrinsics": [0.7, 1.0, 0.5, 0.5]},
        OWN_ROW,
    ]
    cameras = parse(own(*rows, image_size=[480, 704])).cameras
    torch.testing.assert_close(cameras.intrinsics[0], intrinsics_from_fov(90, 480, 704))
    torch.testing.assert_close(cameras.intrinsics[1], torch.tensor([0.7, 1.0, 0.5, 0.5]))
    torch.testing.assert_close(cameras.intrinsics[2], intrinsics_from_fov(50, 480, 704))


def test_a_path_for_another_picture_is_cropped_like_that_picture() -> None:
    cameras = build_trajectory("forward", frames=3, intrinsics=torch.tensor([0.7, 1.1, 0.48, 0.53]))
    data = trajectory_to_json(cameras, height=1000, width=1500)
    there = parse(data, height=704, width=480).cameras
    px = cameras.intrinsics[0] * torch.tensor([1500, 1000, 1500, 1000])
    expected = crop_box(1000, 1500, 704, 480).to_output_px(px) / torch.tensor([480, 704, 480, 704])
    torch.testing.assert_close(there.intrinsics[0], expected)
    square = there.intrinsics[0, 0] * 480 / (there.intrinsics[0, 1] * 704)
    assert float(square) == pytest.approx(0.7 * 1500 / (1.1 * 1000), rel=1e-5)


def test_original_request_keeps_its_other_fields_untouched() -> None:
    data = {
        "image_prompt": "data:image/png;base64,AAAA",
        "text_prompt": "a dock",
        "image_index": 6,
        "resolution": [24, 480, 704],
        "cameras": [{**ROW, **LENS_PX}] * 3,
        "comment": {"anything": [1, 2]},
    }
    before = copy.deepcopy(data)
    parsed = parse(data, pixel_size=(480, 704))
    assert parsed.source_format == "original-request"
    assert parsed.extras == {key: before[key] for key in ("image_prompt", "text_prompt", "image_index", "resolution")}
    assert (parsed.frames, parsed.size) == (24, (480, 704))
    torch.testing.assert_close(parsed.cameras.intrinsics[0], torch.tensor([400 / 704, 410 / 480, 0.5, 0.5]))
    assert data == before


def test_intrinsics_are_in_image_pixels_with_an_image_and_in_output_pixels_without() -> None:
    cameras = [{**ROW, **LENS_PX}] * 2
    without = parse({"text_prompt": "x", "resolution": [24, 480, 704], "cameras": cameras})
    torch.testing.assert_close(without.cameras.intrinsics[0], torch.tensor([400 / 704, 410 / 480, 0.5, 0.5]))
    twice = [{**ROW, **{name: 2 * value for name, value in LENS_PX.items()}}] * 2
    request = {"image_prompt": "AAAA", "resolution": [24, 480, 704], "cameras": twice}
    torch.testing.assert_close(parse(request, pixel_size=(960, 1408)).cameras.intrinsics, without.cameras.intrinsics)
    with pytest.raises(TrajectoryError, match="camera 0: fx, fy, cx, cy are in pixels, but the size of the image"):
        parse(request)
    with pytest.raises(TrajectoryError, match=r"camera 0: .* but resolution .* is not known"):
        parse({"cameras": cameras})


def test_original_trajectory_alone_takes_the_fov_that_is_given() -> None:
    parsed = parse({"cameras": [ROW, {**ROW, "position": [0, 0, -0.5]}]}, frames=5)
    assert parsed.source_format == "original-trajectory"
    assert parsed.extras == {}
    torch.testing.assert_close(parsed.cameras.intrinsics, intrinsics_from_fov(50, 480, 704).expand(5, 4))
    torch.testing.assert_close(parsed.cameras.positions[:, 2], torch.linspace(0, -0.5, 5))


@pytest.mark.parametrize("example", ["ex1", "ex2", "ex3", "ex4"])
def test_original_examples_give_the_original_camera_vectors(golden_dir: Path, example: str) -> None:
    data = load_file(golden_dir / "d_cameras.safetensors")
    frames, height, width = data[f"{example}.in.n_h_w"].tolist()
    rows = [
        {"quaternion": quat, "position": position, **dict(zip(("fx", "fy", "cx", "cy"), lens, strict=True))}
        for quat, position, lens in zip(
            data[f"{example}.in.quaternion_wxyz"].tolist(),
            data[f"{example}.in.position"].tolist(),
            data[f"{example}.in.fx_fy_cx_cy_px"].tolist(),
            strict=True,
        )
    ]
    request = {"image_prompt": "AAAA", "text_prompt": "", "resolution": [frames, height, width], "cameras": rows}
    options = {"height": height, "width": width, "pixel_size": (height, width)}
    cameras = parse(json.dumps(request), **options).cameras
    torch.testing.assert_close(cameras.to_vectors(), data[f"{example}.out.cameras11"], atol=5e-6, rtol=0)
    fewer = parse(json.dumps(request), frames=16, **options).cameras
    assert torch.equal(fewer.to_vectors(), resample(cameras, 16).to_vectors())


def test_transforms_json_rows_are_opengl_camera_to_world_in_the_world_of_a_ply() -> None:
    cameras = parse(STUDIO).cameras
    torch.testing.assert_close(cameras.positions[0], torch.tensor([1.0, -2, -3]))
    turned = torch.diag(torch.tensor([1.0, -1, -1])) @ torch.tensor(MATRIX)[:3, :3]
    torch.testing.assert_close(quat_to_matrix(cameras.quats_wxyz)[0], turned)
    torch.testing.assert_close(
        cameras.intrinsics[0] * torch.tensor([704, 480, 704, 480]), torch.tensor([400.0, 410, 350, 244])
    )


def test_transforms_json_frames_may_have_their_own_lens() -> None:
    frames = [{"transform_matrix": MATRIX}, {"transform_matrix": MATRIX[:3], "fl_x": 500, "fl_y": 500, "cx": 352}]
    cameras = parse({**STUDIO, "frames": frames, "camera_model": "OPENCV", "k1": 0.01}).cameras
    expected = torch.tensor([[400.0, 410, 350, 244], [500, 500, 352, 240]])  # no field of the shared lens remains
    torch.testing.assert_close(cameras.intrinsics * torch.tensor([704, 480, 704, 480]), expected)


def test_transforms_json_may_give_an_angle_or_nothing() -> None:
    frames = [{"transform_matrix": MATRIX}] * 2
    wide = parse({"camera_angle_x": math.pi / 2, "w": 704, "h": 480, "frames": frames}).cameras
    torch.testing.assert_close(wide.intrinsics[0], torch.tensor([0.5, 0.5 * 704 / 480, 0.5, 0.5]))
    torch.testing.assert_close(
        parse({"camera_angle_x": math.pi / 2, "frames": frames}).cameras.intrinsics, wide.intrinsics
    )
    torch.testing.assert_close(parse({"frames": frames}).cameras.intrinsics[0], intrinsics_from_fov(50, 480, 704))
    half = {key: value for key, value in STUDIO.items() if key not in "wh"}
    with pytest.raises(TrajectoryError, match="camera 0: fl_x is in pixels, but w and h are missing"):
        parse(half)
    torch.testing.assert_close(parse(half, pixel_size=(480, 704)).cameras.intrinsics, parse(STUDIO).cameras.intrinsics)


def test_fov_limits_survive_their_own_round_trip() -> None:
    for angle in (5.0, 150.0):
        cameras = build_trajectory("forward", frames=2, intrinsics=intrinsics_from_fov(100, 480, 704))
        cameras = replace(cameras, intrinsics=intrinsics_from_fov(angle, 480, 704).expand(len(cameras), 4))
        for data in (trajectory_to_json(cameras, **SIZE), to_transforms_json(cameras, **SIZE)):
            assert float(fov_y_deg(parse(data).cameras.intrinsics)[0]) == pytest.approx(angle, rel=1e-5)


def bad_row(**fields: object) -> dict:
    return {"cameras": [ROW, {**ROW, **fields}]}


def bad_frame(matrix: object, **fields: object) -> dict:
    return {"frames": [{"transform_matrix": MATRIX}, {"transform_matrix": matrix}], **fields}


MIRROR = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SCALED = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]
SHEARED = [[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
PROJECTIVE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {},
            "expected 'format': 'flashworld-trajectory', or one of 'cameras', 'frames' and 'camera_path', got the keys none",
        ),
        ({"poses": [], "b": 1}, "got the keys 'poses', 'b'"),
        ({"cameras": [], "frames": []}, "one of 'cameras', 'frames' and 'camera_path'"),
        ([ROW, ROW], "camera 0: rotation must be 3 rows of 3 numbers, got None"),
        (None, "expected a JSON object, got None"),
        (7, "expected a JSON object, got 7"),
        ({"format": "blender"}, "format must be 'flashworld-trajectory', got 'blender'"),
        ({"format": ["flashworld-trajectory"]}, "format must be"),
        (own(version=2), "version must be 1, got 2"),
        (own(version=True), "version must be 1, got True"),
        (own(version=None), "version must be 1, got None"),
        (own(axes="opencv: y down"), "axes must be opengl, got 'opencv: y down'"),
        (own(axes=3), "axes must be opengl, got 3"),
        ({"format": "flashworld-trajectory", "version": 1}, "cameras must be a list, got None"),
        (own(OWN_ROW, {**OWN_ROW, "fov_y_deg": 60, "intrinsics": [1, 1, 0.5, 0.5]}), "camera 1: expected fov_y_deg or"),
        (own(OWN_ROW, {**OWN_ROW, "intrinsics": [1, 1, 0.5, 0.5]}), "camera 1: intrinsics need the path's image_size"),
        (
            own(OWN_ROW, {**OWN_ROW, "fov_y_deg": 4}),
            "camera 1: fov_y_deg must be a number from 5 to 150 degrees, got 4",
        ),
        (own(OWN_ROW, {**OWN_ROW, "fov_y_deg": None}), "camera 1: fov_y_deg must be a number"),
        (own(OWN_ROW, ROW), "camera 1: quaternion_wxyz must be a list of 4 numbers, got None"),
        (own(image_size=[480]), r"image_size must be \[height, width\], got list of 1"),
        (own(image_size=[480, 0]), "image_size in pixels must be a whole number from 1"),
        ({"cameras": {"0": ROW}}, "cameras must be a list, got dict of 1"),
        ({"cameras": "x" * 5000}, "cameras must be a list, got 'xxx"),
        ({"cameras": []}, "expected 2 to 1000 cameras, got 0"),
        ({"cameras": [ROW]}, "expected 2 to 1000 cameras, got 1"),
        ({"cameras": [ROW] * (MAX_CAMERAS + 1)}, "expected 2 to 1000 cameras, got 1001"),
        ({"cameras": [ROW, [0, 0, 0]]}, "camera 1: expected an object, got list of 3"),
        ({"cameras": [ROW, None]}, "camera 1: expected an object, got None"),
        (bad_row(quaternion=[0, 0, 0, 0]), r"camera 1: quaternion must not be zero, got \[0, 0, 0, 0\]"),
        (bad_row(quaternion=[1e-9, 0, 0, 0]), "camera 1: quaternion must not be zero"),
        (bad_row(quaternion=[1, 0, 0]), "camera 1: quaternion must be a list of 4 numbers, got list of 3"),
        (bad_row(quaternion=[1, 0, 0, "0"]), r"camera 1: quaternion\[3\] must be a number .* got '0'"),
        (bad_row(quaternion=[1, 0, 0, math.nan]), r"camera 1: quaternion\[3\] must be a number .* got nan"),
        (bad_row(quaternion={"w": 1, "x": 0, "y": 0, "z": 0}), "camera 1: quaternion must be a list of 4 numbers"),
        (bad_row(position=[True, 0, 0]), r"camera 1: position\[0\] must be a number .* got True"),
        (bad_row(position=[0, math.inf, 0]), r"camera 1: position\[1\] must be a number .* got inf"),
        (bad_row(position=[0, 0, 1e308]), r"camera 1: position\[2\] must be a number"),
        (bad_row(position=[0, 0, 10**400]), r"camera 1: position\[2\] must be a number .* got a huge number"),
        (bad_row(position=[0, 0, [1]]), r"camera 1: position\[2\] must be a number .* got list of 1"),
        (bad_row(position=None), "camera 1: position must be a list of 3 numbers, got None"),
        ({"cameras": [ROW, {"quaternion": [1, 0, 0, 0]}]}, "camera 1: position must be a list of 3 numbers, got None"),
        (bad_row(fx=400), "camera 1: fy is missing"),
        ({"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "fx": 0})}, "camera 1: fx .* must be positive"),
        ({"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "fy": -3})}, "camera 1: fy .* must be positive"),
        (
            {"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "fx": 0.57})},
            "camera 1: fx for pixels of a picture of 480 x 704",
        ),
        ({"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "fy": 99999})}, "camera 1: fy .* field of view"),
        (
            {"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "cx": 9999})},
            "camera 1: cx must lie within 10 picture sizes",
        ),
        ({"resolution": [24, 480, 704], **bad_row(**{**LENS_PX, "cy": None})}, "camera 1: cy must be a number"),
        ({"resolution": [24, 480], "cameras": [ROW, ROW]}, r"resolution must be \[frames, height, width\]"),
        ({"resolution": "big", "cameras": [ROW, ROW]}, r"resolution must be \[frames, height, width\]"),
        ({"resolution": [24.5, 480, 704], "cameras": [ROW, ROW]}, "frames in resolution must be a whole number"),
        ({"resolution": [24, -480, 704], "cameras": [ROW, ROW]}, "resolution in pixels must be a whole number"),
        ({"frames": 24}, "frames must be a list, got 24"),
        ({"frames": [{}, {}]}, "camera 0: transform_matrix must be 4 rows of 4 numbers, got None"),
        (bad_frame(MATRIX[:2]), "camera 1: transform_matrix must be 4 rows"),
        (bad_frame([*MATRIX[:3], [0, 0, 1]]), r"camera 1: transform_matrix\[3\] must be a list of 4 numbers"),
        (bad_frame([[1, 0, 0, math.nan], *MATRIX[1:]]), r"camera 1: transform_matrix\[0\]\[3\] must be a number"),
        (bad_frame(SCALED), "camera 1: transform_matrix must be a rigid transform"),
        (bad_frame(SHEARED), "camera 1: transform_matrix must be a rigid transform"),
        (bad_frame(MIRROR), "camera 1: transform_matrix must be a rigid transform"),
        (bad_frame([[0, 0, 0, 0]] * 3), "camera 1: transform_matrix must be a rigid transform"),
        (bad_frame(PROJECTIVE), r"camera 1: transform_matrix: the last row must be \[0, 0, 0, 1\]"),
        (bad_frame(MATRIX, camera_model="OPENCV_FISHEYE"), "camera_model must be one of PINHOLE"),
        (bad_frame(MATRIX, camera_model={}), "camera_model must be one of PINHOLE"),
        (bad_frame(MATRIX, camera_angle_x=0.0), "camera 0: camera_angle_x must be a number from 5 to 165 degrees"),
        (bad_frame(MATRIX, w=704, fl_x=400), r"camera 0: h and w in pixels must be a whole number .* got None"),
        (bad_frame(MATRIX, w=704, h=480, fl_x="400"), "camera 0: fl_x must be a number"),
    ],
)
def test_malformed_paths_are_refused_with_the_camera_named(data: object, words: str) -> None:
    with pytest.raises(TrajectoryError, match=words):
        parse(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "camera path: not JSON: Expecting value in line 1, column 1"),
        ("{", "camera path: not JSON"),
        (b"\xff\xfe{}", "camera path: expected JSON in UTF-8"),
        ('{"cameras": [NaN]}', "camera path: not JSON: NaN is not a JSON number"),
        ('{"cameras": [-Infinity]}', "-Infinity is not a JSON number"),
        ('{"cameras": 1, "cameras": 2}', "key 'cameras' comes twice in one object"),
        ('{"cameras": ' + "9" * 5000 + "}", "a whole number of 5000 digits"),
        ('{"cameras": [' + '{"position": [0, 0, 1e999], "quaternion": [1, 0, 0, 0]},' * 2 + "0]}", "got inf"),
        ("[" * 100_000, "camera path: JSON is nested too deeply"),
        ('{"a":' * 50_000, "camera path: JSON is nested too deeply"),
        ("[" + "[]," * MAX_JSON_VALUES + "[]]", "camera path: expected at most 200000 values"),
        (b" " * (MAX_JSON_BYTES + 1), "camera path: expected at most 50331648 bytes of JSON"),
    ],
    ids=range(12),
)
def test_hostile_text_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(TrajectoryError, match=words):
        parse(text)


def test_text_may_start_with_a_byte_order_mark() -> None:
    text = json.dumps(own())
    assert len(parse("\ufeff" + text).cameras) == len(parse(b"\xef\xbb\xbf" + text.encode()).cameras) == 2


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
field_names = st.sampled_from(
    "format version axes image_size cameras frames resolution image_prompt w h fl_x camera_angle_x camera_model".split()
)
row_names = st.sampled_from(
    "position quaternion quaternion_wxyz fov_y_deg intrinsics fx fy cx cy transform_matrix fl_y".split()
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [own(), {"cameras": [ROW, ROW]}, STUDIO, {"resolution": [9, 64, 64], "cameras": [{**ROW, **LENS_PX}] * 2}]
    ),
    st.dictionaries(field_names, junk, max_size=2),
    st.dictionaries(row_names, junk, max_size=2),
)
def test_junk_in_any_field_is_refused_or_read_but_never_crashes(base: dict, fields: dict, row: dict) -> None:
    data = copy.deepcopy(base)
    key = "frames" if "frames" in data else "cameras"
    data[key][1] = {**data[key][1], **row}
    data.update(fields)
    try:
        parsed = parse(data)
    except InputError as refusal:
        assert isinstance(refusal, TrajectoryError)
        assert len(str(refusal)) < 400
    else:
        assert bool(torch.isfinite(parsed.cameras.to_vectors()).all())


def test_unused_fields_are_not_copied_for_every_camera() -> None:
    extra = {f"unknown {n}": n for n in range(100_000)}  # copied for 1000 cameras they would take a minute
    data = {"frames": [{"transform_matrix": MATRIX}] * MAX_CAMERAS, **extra}
    start = time.process_time()
    assert len(parse_trajectory(data, **SIZE, fov_y_deg=60).cameras) == MAX_CAMERAS
    assert time.process_time() - start < 20
