"""Requests as JSON: a round trip gives the same request; hostile text gives an InputError and nothing else."""

from __future__ import annotations

import base64
import io
import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.config import FULL
from flashworld.errors import ImageError, InputError, PromptError, TrajectoryError
from flashworld.inputs import GenerationRequest, VideoSettings, build_request
from flashworld.io.images.crops import crop_box
from flashworld.io.request_json import load_request_file, request_from_json, request_to_json

TINY = replace(FULL, name="tiny", frames=4, height=64, width=96)


def noise_picture(height=64, width=96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def data_url(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def own(**fields) -> dict:
    return {"format": "flashworld-request", "version": 1, "text": "a red house"} | fields


def original(**fields) -> dict:
    cameras = [
        {"quaternion": [1, 0, 0, 0], "position": [0, 0, -0.1 * i], "fx": 50, "fy": 60, "cx": 48, "cy": 32}
        for i in range(4)
    ]
    return {
        "image_prompt": None,
        "text_prompt": "a dock",
        "image_index": 1,
        "resolution": [4, 64, 96],
        "cameras": cameras,
    } | fields


def read(data, **options) -> GenerationRequest:
    return request_from_json(data, defaults=TINY, **options)


def assert_same(a: GenerationRequest, b: GenerationRequest):
    assert (a.picture is None) == (b.picture is None)
    assert a.picture is None or (a.picture == b.picture).all()
    assert torch.equal(a.cameras.to_vectors(), b.cameras.to_vectors())
    names = ("text", "image_index", "frames", "height", "width", "seed", "video")
    assert [getattr(a, n) for n in names] == [getattr(b, n) for n in names]
    assert a.path.name == b.path.name and dict(a.path.params) == dict(b.path.params)


numbers = st.floats(-1e3, 1e3, width=32)


@st.composite
def requests(draw):
    count = draw(st.integers(2, 6))
    rows = st.lists(numbers, min_size=count * 3, max_size=count * 3)
    quats = torch.tensor(draw(st.lists(numbers, min_size=count * 4, max_size=count * 4))).reshape(count, 4)
    quats[quats.norm(dim=1) < 1e-3] = torch.tensor([1.0, 0, 0, 0])
    angle, height, width = draw(st.floats(10, 120)), 32 * draw(st.integers(2, 4)), 32 * draw(st.integers(2, 4))
    lens = intrinsics_from_fov(angle, height, width) + torch.tensor(
        [0, 0, *draw(st.tuples(st.floats(-1, 1), st.floats(-1, 1)))]
    )
    path = Cameras(quats, torch.tensor(draw(rows)).reshape(count, 3), lens.float().expand(count, 4))
    with_picture = draw(st.booleans())
    return build_request(
        image=noise_picture(height, width) if with_picture else None,
        text=draw(st.text(max_size=20)) if with_picture else "x" + draw(st.text(max_size=20)),
        trajectory=draw(st.sampled_from([path, "orbit_left", "zoom_in"])),
        image_index=draw(st.integers(0, count - 1)),
        frames=count,
        height=height,
        width=width,
        seed=draw(st.integers(0, 2**31 - 1)),
        video=VideoSettings(draw(st.integers(1, 60)), draw(st.none() | st.floats(0.2, 10)), "low", draw(st.booleans())),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests())
def test_round_trip_gives_the_same_request(request):
    text = json.dumps(request_to_json(request), allow_nan=False)
    assert_same(read(text), request)
    assert_same(read(text.encode()), request)
    if request.picture is not None:
        without = request_to_json(request, embed_image=False)
        assert_same(read(without, image=request.picture), request)
        with pytest.raises(ImageError, match="without its picture"):
            read(without)


def test_a_short_request_is_filled_in():
    request = read(own(seed=3))
    assert (request.frames, request.height, request.width, request.seed) == (4, 64, 96, 3)
    assert request.path.name == "orbit_right"


def test_a_preset_in_json_is_built():
    request = read(own(trajectory={"preset": "forward", "params": {"amplitude": 2}}, fov_y_deg=50))
    assert request.path.name == "forward" and request.cameras.positions[-1].tolist() == [0, 0, -2]


def test_other_camera_path_formats_are_read_inside_a_request():
    cameras = original()["cameras"]
    bare = [{k: c[k] for k in ("quaternion", "position")} for c in cameras]
    assert read(own(trajectory={"cameras": bare})).cameras.positions[3, 2] == pytest.approx(-0.3)


def test_original_intrinsics_are_in_output_pixels_without_an_image():
    request = read(original())
    assert request.image_index == 1 and request.text == "a dock" and request.picture is None
    assert request.cameras.intrinsics[0].tolist() == pytest.approx([50 / 96, 60 / 64, 0.5, 0.5])


@pytest.mark.parametrize("encode", [data_url, lambda pixels: base64.b64encode(png(pixels)).decode()])
def test_original_intrinsics_are_in_image_pixels_with_an_image(encode):
    request = read(original(image_prompt=encode(noise_picture(100, 200))))
    crop = crop_box(100, 200, 64, 96)
    x, y = (48 - crop.x0) * crop.scale / 96, (32 - crop.y0) * crop.scale / 64
    assert request.cameras.intrinsics[0].tolist() == pytest.approx([50 * crop.scale / 96, 60 * crop.scale / 64, x, y])
    assert request.picture.shape == (64, 96, 3)


def test_original_text_may_be_null_with_an_image():
    assert read(original(image_prompt=data_url(noise_picture()), text_prompt=None)).text == ""


def test_a_request_file_finds_the_picture_beside_it(tmp_path):
    (tmp_path / "photo.png").write_bytes(png(noise_picture()))
    (tmp_path / "request.json").write_text(json.dumps(own(image="photo.png")))
    request = load_request_file(tmp_path, defaults=TINY)
    assert (request.picture == noise_picture()).all()
    (tmp_path / "theirs.json").write_text(json.dumps(original(image_prompt="photo.png")))
    assert load_request_file(tmp_path / "theirs.json").picture.shape == (64, 96, 3)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "/etc/hostname.png",
        "link.png",
        "down/../../secret.png",
        "no.png",
        "a\0.png",
        "https://a.b/c.png",
        "~/x.png",
    ],
)
def test_a_request_file_never_leaves_its_folder(tmp_path, name):
    (tmp_path / "secret.png").write_bytes(png(noise_picture()))
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "request.json").write_text(json.dumps(own(image=name)))
    with pytest.raises(ImageError):
        load_request_file(folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "a\nb"])
def test_invalid_request_file_names_are_input_errors(name, tmp_path):
    with pytest.raises(InputError, match="cannot be read: ") as refused:
        load_request_file(tmp_path / name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 200


def test_a_missing_request_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_request_file(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_request_file("a\0b")


def test_a_server_path_is_never_read(tmp_path):
    (tmp_path / "photo.png").write_bytes(png(noise_picture()))
    for name in (str(tmp_path / "photo.png"), "/etc/passwd", "file:///etc/passwd", "http://localhost/x.png"):
        for request in (own(image=name), original(image_prompt=name)):
            with pytest.raises(ImageError, match=r"not read|unknown kind|damaged"):
                read(request)


HOSTILE = {
    "empty text": ("", InputError),
    "not json": ("{", InputError),
    "bad utf-8": (b"\xff\xfe{}", InputError),
    "a list": ("[]", InputError),
    "null": ("null", InputError),
    "deep": ("[" * 100_000, InputError),
    "NaN": ('{"format": "flashworld-request", "version": 1, "seed": NaN}', InputError),
    "5000 digits": ('{"seed": ' + "1" * 5000 + "}", InputError),
    "same key twice": ('{"seed": 1, "seed": 2}', InputError),
    "no format": ({"text": "x"}, InputError),
    "other format": (own(format="other"), InputError),
    "version 2": (own(version=2), InputError),
    "version true": (own(version=True), InputError),
    "unknown field": (own(promt="x"), InputError),
    "nothing asked": (own(text=None), PromptError),
    "text a list": (own(text=["x"]), PromptError),
    "image a number": (own(image=5), ImageError),
    "image bare base64": (own(image="aGVsbG8="), ImageError),
    "image of text": (own(image="data:image/png;base64,aGVsbG8="), ImageError),
    "image percent": (own(image="data:image/png,%89PNG"), ImageError),
    "image bad base64": (own(image="data:image/png;base64,!!!"), ImageError),
    "image not ascii": (own(image="data:image/png;base64,é"), ImageError),
    "image svg": (own(image="data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()), ImageError),
    "trajectory a word": (own(trajectory="forward"), TrajectoryError),
    "trajectory empty": (own(trajectory={}), TrajectoryError),
    "preset a number": (own(trajectory={"preset": 5}), TrajectoryError),
    "params a list": (own(trajectory={"preset": "forward", "params": []}), TrajectoryError),
    "params hostile": (own(trajectory={"preset": "forward", "params": {"start": 1}}), TrajectoryError),
    "video a word": (own(video="high"), InputError),
    "video unknown": (own(video={"codec": "x"}), InputError),
    "video fps": (own(video={"fps": 1e9}), InputError),
    "seed a string": (own(seed="1"), InputError),
    "frames 0": (own(frames=0), InputError),
    "no resolution": (original(resolution=None), InputError),
    "short resolution": (original(resolution=[4, 64]), InputError),
    "resolution of words": (original(resolution=["4", "64", "96"]), InputError),
    "no cameras": (original(cameras=[]), TrajectoryError),
    "cameras missing": (original(cameras=None), TrajectoryError),
    "one camera": (original(cameras=original()["cameras"][:1]), TrajectoryError),
    "zero quaternion": (original(cameras=[{"quaternion": [0, 0, 0, 0], "position": [0, 0, 0]}] * 3), TrajectoryError),
    "index too large": (original(image_index=4), InputError),
    "prompt null, no image": (original(text_prompt=None), PromptError),
    "index null": (original(image_index=None), InputError),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_refused_in_one_sentence(name):
    data, error = HOSTILE[name]
    with pytest.raises(error) as caught:
        read(data)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_two_pictures_are_refused():
    with pytest.raises(ImageError, match="give one"):
        read(own(image=data_url(noise_picture())), image=noise_picture())


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("data:image/png;base64,AAAA")
    | st.just(10**400)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
own_fields = st.dictionaries(
    st.sampled_from(
        [
            "image",
            "text",
            "image_index",
            "frames",
            "height",
            "width",
            "seed",
            "fov_y_deg",
            "trajectory",
            "video",
            "version",
            "image_omitted",
        ]
    ),
    trees
    | st.fixed_dictionaries({"preset": st.just("forward") | leaves, "params": trees})
    | st.fixed_dictionaries({"cameras": st.lists(trees, max_size=3)}),
    max_size=4,
)
original_fields = st.dictionaries(
    st.sampled_from(["image_prompt", "text_prompt", "image_index", "resolution", "cameras"]), trees, max_size=3
)
camera_changes = st.dictionaries(st.sampled_from(["quaternion", "position", "fx", "fy", "cx", "cy"]), trees, max_size=2)


def outcome(data):
    """A request or an InputError with a printable sentence; everything else fails the test."""
    try:
        request = read(data)
    except InputError as error:
        assert str(error).isprintable() and 10 < len(str(error)) < 500
    else:
        assert isinstance(request, GenerationRequest)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(own_fields, original_fields, camera_changes)
def test_hostile_fields_raise_only_input_errors(fields, theirs, camera):
    outcome(own(**fields))
    outcome(original(**theirs))
    outcome(original(cameras=[{**entry, **camera} for entry in original()["cameras"]]))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60) | trees)
def test_hostile_text_raises_only_input_errors(data):
    outcome(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_requests_raise_only_input_errors(data):
    text = bytearray(json.dumps(request_to_json(read(own(seed=1)))).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=3))
    outcome(bytes(text))


def test_a_repeated_key_among_very_many_is_found_in_one_pass():
    names = 190_000  # pairwise comparison would take minutes
    text = "{" + ",".join(f'"{n}":0' for n in range(names)) + f',"{names - 1}":1}}'
    start = time.process_time()
    with pytest.raises(InputError, match=f"key '{names - 1}' comes twice"):
        request_from_json(text)
    assert time.process_time() - start < 20
