"""The rows of `docs/limits.md`: inputs, their limits in words, and calls just inside and just beyond them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from docs.limits_batch_rows import batch_rows
from docs.limits_path_rows import file_path_rows
from docs.limits_row import Row
from docs.limits_scene_rows import a_scene, scene_rows
from flashworld import limits as at
from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.config import FULL
from flashworld.inputs import VideoSettings, build_request
from flashworld.io.images.reading import read_picture
from flashworld.io.request_json import load_request_file, request_from_json
from flashworld.io.video import write_animation
from flashworld.rendering import render
from flashworld.trajectories import build_trajectory, resample, video_path
from flashworld.trajectories.json_forms import parse_trajectory
from flashworld.trajectories.keyframes import Keyframe
from ui.events.camera_path import MAX_KEYFRAMES, check_recording

MIB = 2**20
LENS = intrinsics_from_fov(60.0, 480, 704)
OWN = {"format": "flashworld-request", "version": 1, "text": "a room", "seed": 0}
KEY = Keyframe((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
POSE = {"position": [0, 0, 0], "quaternion_wxyz": [1, 0, 0, 0]}


def all_rows(folder: Path) -> list[Row]:
    """Every row, in the order of the file.

    Args:
        folder: An empty folder for files that are read back.
    """
    return [
        *request_rows(), *picture_rows(folder), *path_rows(), *file_path_rows(folder),
        *json_rows(), *video_rows(folder), *scene_rows(folder), *batch_rows(folder)
    ]  # fmt: skip


def ask(**arguments: Any) -> object:  # noqa: ANN401 - the arguments of build_request
    """A request that is right but for what is given."""
    return build_request(**{"text": "a room", "defaults": FULL, "seed": 0, **arguments})


def own_request(**fields: object) -> object:
    """A request in JSON that is right but for what is given."""
    return request_from_json({**OWN, **fields})


def path(*cameras: dict, **fields: object) -> object:
    """A path in JSON."""
    data = {"format": "flashworld-trajectory", "version": 1, "cameras": list(cameras), **fields}
    return parse_trajectory(data, height=480, width=704, fov_y_deg=60.0)


def transforms(*matrices: list, **fields: object) -> object:
    """A `transforms.json`."""
    data = {"frames": [{"transform_matrix": matrix} for matrix in matrices], **fields}
    return parse_trajectory(data, height=480, width=704, fov_y_deg=60.0)


def move(name: str, frames: int = 24, **params: Any) -> object:  # noqa: ANN401 - a preset's parameters
    """A preset."""
    return build_trajectory(name, frames=frames, intrinsics=LENS, **params)


def flat(height: int, width: int, mode: str = "1") -> Image.Image:
    """A picture of one colour."""
    return Image.new(mode, (width, height))


def request_rows() -> Iterator[Row]:
    """What a request holds beside picture and path."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Request", *args, **more)

    sides = f"{at.MIN_SIDE_PX} to {at.MAX_SIDE_PX} pixels, multiples of {at.SIZE_MULTIPLE}"
    low, high = at.MIN_FRAMES, at.MAX_FRAMES
    yield row(
        "picture, text", "one of them at least",
        lambda: build_request(defaults=FULL), lambda: ask(text="a"),
    )  # fmt: skip
    yield row(
        "text", f"{at.MAX_PROMPT_CHARS} characters after cleaning",
        lambda: ask(text="a" * (at.MAX_PROMPT_CHARS + 1)), lambda: ask(text="a" * at.MAX_PROMPT_CHARS),
        ("MAX_PROMPT_CHARS",),
    )  # fmt: skip
    yield row("text", "a string", lambda: own_request(text=7))
    yield row(
        "frames", f"{low} to {high}, whole", lambda: ask(frames=high + 1),
        lambda: [ask(frames=n) for n in (low, high)], ("MIN_FRAMES", "MAX_FRAMES"),
    )  # fmt: skip
    yield row(
        "height, width", sides, lambda: ask(height=at.MAX_SIDE_PX + at.SIZE_MULTIPLE, width=64),
        lambda: [ask(height=side, width=side, frames=8) for side in (at.MIN_SIDE_PX, at.MAX_SIDE_PX)],
        ("MIN_SIDE_PX", "MAX_SIDE_PX"),
    )  # fmt: skip
    yield row(
        "height, width", sides, lambda: ask(height=100, width=64), lambda: ask(height=96, width=64),
        ("SIZE_MULTIPLE",),
    )  # fmt: skip
    yield row("height, width", "both or neither", lambda: ask(height=480))
    yield row(
        "frames x height x width", f"{at.MAX_SCENE_PIXELS:,} ({high} x 480 x 704)",
        lambda: ask(frames=high, height=512, width=704), lambda: ask(frames=high, height=480, width=704),
        ("MAX_SCENE_PIXELS",),
    )  # fmt: skip
    yield row(
        "image_index", "0 to frames - 1", lambda: ask(frames=8, image_index=8),
        lambda: ask(frames=8, image_index=7),
    )  # fmt: skip
    yield row(
        "seed", f"0 to {at.MAX_SEED}", lambda: ask(seed=at.MAX_SEED + 1), lambda: ask(seed=at.MAX_SEED), ("MAX_SEED",)
    )
    yield row(
        "fov_y_deg", f"{at.MIN_FOV_DEG:g} to {at.MAX_FOV_DEG:g} degrees",
        lambda: ask(fov_y_deg=at.MAX_FOV_DEG + 10),
        lambda: [ask(fov_y_deg=angle, trajectory="forward") for angle in (at.MIN_FOV_DEG, at.MAX_FOV_DEG)],
        ("MIN_FOV_DEG", "MAX_FOV_DEG"),
    )  # fmt: skip
    yield row("a field", "a known name", lambda: own_request(sead=7))
    yield row("format", "`flashworld-request` (or the original's form)", lambda: request_from_json({"text": "a room"}))
    yield row("version", "1", lambda: request_from_json({"format": "flashworld-request", "version": 2}))
    yield row("trajectory", "an object", lambda: own_request(trajectory="forward"))
    yield row("trajectory params", "an object", lambda: own_request(trajectory={"preset": "forward", "params": 7}))
    yield row("video", "an object", lambda: own_request(video=7))
    yield row("a field of video", "a known name", lambda: own_request(video={"speed": 2}))
    yield row("video depth, enabled", "true or false", lambda: own_request(video={"depth": "yes"}))
    yield row("resolution of the original's form", "three numbers", lambda: request_from_json({"resolution": 7}))
    yield row("image_omitted", "with the picture beside it", lambda: own_request(image_omitted=True))
    yield row(
        "picture", "one: inside the request or beside it",
        lambda: request_from_json({**OWN, "image": "data:;base64,AAAA"}, image=flat(64, 64)),
    )  # fmt: skip
    yield row("a request file", "can be read", lambda: load_request_file(Path("none.json")))
    yield row("a request file", "an ordinary file", lambda: load_request_file(Path("/dev/null")))


def picture_rows(folder: Path) -> Iterator[Row]:
    """Pictures, as files and inside requests."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Picture", *args, **more)

    def png(mode: str = "L") -> bytes:
        buffer = io.BytesIO()
        flat(64, 64, mode).save(buffer, "PNG")
        return buffer.getvalue()

    def wide_tiff() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.full((64, 64), 70_000, np.int32)).save(buffer, "TIFF")
        return buffer.getvalue()

    def named(picture: str) -> object:
        file = folder / "request.json"
        file.write_text(json.dumps({**OWN, "image": picture}))
        return load_request_file(file)

    def scans(count: int, side: int = 64) -> bytes:
        buffer = io.BytesIO()
        flat(side, side, "L").save(buffer, "JPEG", progressive=True)
        data = buffer.getvalue()
        last = data.rindex(b"\xff\xda")
        return data[:-2] + data[last:-2] * (count - data.count(b"\xff\xda")) + data[-2:]

    shortest, longest = at.MIN_IMAGE_SIDE_PX, int(at.MAX_IMAGE_ASPECT * at.MIN_IMAGE_SIDE_PX)
    yield row(
        "file", f"{at.MAX_IMAGE_BYTES // MIB} MB", lambda: read_picture(bytes(at.MAX_IMAGE_BYTES + 1)), None,
        ("MAX_IMAGE_BYTES",),
    )  # fmt: skip
    yield row("file", "not empty", lambda: read_picture(b""))
    yield row(
        "file", "JPEG, PNG, WebP, HEIC, AVIF, GIF (first picture), TIFF, BMP; never SVG or EPS",
        lambda: read_picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), lambda: read_picture(png()),
    )  # fmt: skip
    yield row("file", "whole", lambda: read_picture(png()[:60]))
    yield row(
        "pixels", f"{at.MAX_IMAGE_PIXELS:,}, read from the header",
        lambda: read_picture(flat(8000, at.MAX_IMAGE_PIXELS // 8000 + 1)), None, ("MAX_IMAGE_PIXELS",),
    )  # fmt: skip
    yield row(
        "shorter side", f"{shortest} pixels", lambda: read_picture(flat(shortest - 1, 64)),
        lambda: read_picture(flat(shortest, 64)), ("MIN_IMAGE_SIDE_PX",),
    )  # fmt: skip
    yield row(
        "shape", f"at most {at.MAX_IMAGE_ASPECT:g} times as long as wide",
        lambda: read_picture(flat(shortest, longest + 1)), lambda: read_picture(flat(shortest, longest)),
        ("MAX_IMAGE_ASPECT",),
    )  # fmt: skip
    yield row("depth", "8 or 16 bits a channel", lambda: read_picture(wide_tiff()), lambda: read_picture(png("I;16")))
    yield row(
        "`image` in JSON", "a data URL; names and addresses are not read", lambda: own_request(image="/etc/passwd")
    )
    yield row("`image` in JSON", "a text", lambda: own_request(image=7))
    yield row("`image` in JSON", "base64 after the comma", lambda: own_request(image="data:image/png;base64,?"))
    yield row("`image` in a request file", "also a file in the folder of the request", lambda: named("../photo.png"))
    yield row("`image` in a request file", "a name that a file can have", lambda: named("a\0.png"))
    yield row(
        "JPEG", f"{at.MAX_JPEG_SCANS} scans", lambda: read_picture(scans(at.MAX_JPEG_SCANS + 1)),
        lambda: read_picture(scans(at.MAX_JPEG_SCANS)), ("MAX_JPEG_SCANS",),
    )  # fmt: skip
    yield row(
        "JPEG", f"{at.MAX_JPEG_SCAN_PIXELS:,} pixels in all scans", lambda: read_picture(scans(600, 2000)), None,
        ("MAX_JPEG_SCAN_PIXELS",),
    )  # fmt: skip
    yield row("a picture on this machine", "is there", lambda: read_picture(folder / "none.png"))
    yield row("a picture on this machine", "can be read", lambda: read_picture("x" * 5000))
    yield row(
        "array", "(h, w), (h, w, 1), (h, w, 3) or (h, w, 4)", lambda: read_picture(np.zeros((64, 64, 2), np.uint8))
    )
    yield row("array", "uint8, uint16 or floats", lambda: read_picture(np.zeros((64, 64), np.int64)))
    yield row("array of floats", "0 to 1", lambda: read_picture(np.full((64, 64), 255.0)))
    yield row("picture in Python", "one of four things", lambda: ask(image=7))


def path_rows() -> Iterator[Row]:
    """Camera paths: presets, keyframes and JSON."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Camera path", *args, **more)

    far, most = at.MAX_COORDINATE, at.MAX_CAMERAS
    fov = f"{at.MIN_FOV_DEG:g} to {at.MAX_FOV_DEG:g} degrees from top to bottom"
    off, size = at.MAX_PRINCIPAL_POINT, [480, 704]
    identity = np.eye(4).tolist()
    stretched = np.diag([2.0, 1.0, 1.0, 1.0]).tolist()
    moved = POSE | {"position": [far, 0, 0]}
    pixels = {"fx": 400, "fy": 400, "cx": 352, "cy": 240}

    def cameras(lens: tuple = (0.6, 0.9, 0.5, 0.5), place: float = 0.0, count: int = 2) -> Cameras:
        quats, places = torch.tensor([[1.0, 0, 0, 0]] * count), torch.full((count, 3), place)
        return Cameras(quats, places, torch.tensor([[float(n) for n in lens]] * count))

    def original(lens: dict) -> object:
        pose = {"position": [0, 0, 0], "quaternion": [1, 0, 0, 0], **lens}
        return parse_trajectory({"cameras": [pose, pose]}, height=480, width=704, fov_y_deg=60.0)

    def transforms_of(frames: object) -> object:
        return parse_trajectory({"frames": frames}, height=480, width=704, fov_y_deg=60.0)

    yield row(
        "cameras", f"{at.MIN_CAMERAS} to {most}", lambda: path(POSE), lambda: [path(POSE, POSE), path(*[POSE] * most)],
        ("MIN_CAMERAS",),
    )  # fmt: skip
    yield row("cameras", f"{at.MIN_CAMERAS} to {most}", lambda: path(*[POSE] * (most + 1)), None, ("MAX_CAMERAS",))
    yield row(
        "position", f"within {far:g} scene units", lambda: path(POSE, POSE | {"position": [2 * far, 0, 0]}),
        lambda: path(POSE, moved), ("MAX_COORDINATE",),
    )  # fmt: skip
    yield row("quaternion", "not zero, any length", lambda: path(POSE, POSE | {"quaternion_wxyz": [0, 0, 0, 0]}))
    yield row("a number", "a number, not a word", lambda: path(POSE, POSE | {"position": [0, "1", 0]}))
    yield row(
        "field of view", fov, lambda: path(POSE, POSE | {"fov_y_deg": 179}), lambda: path(POSE, POSE | {"fov_y_deg": 5}),
        ("MIN_FOV_DEG", "MAX_FOV_DEG"),
    )  # fmt: skip
    yield row(
        "cx, cy", f"within {off:g} picture sizes",
        lambda: path(POSE, POSE | {"intrinsics": [0.6, 0.9, off + 1, 0.5]}, image_size=size),
        lambda: path(POSE, POSE | {"intrinsics": [0.6, 0.9, off, 0.5]}, image_size=size), ("MAX_PRINCIPAL_POINT",),
    )  # fmt: skip
    yield row(
        "image_size", f"1 to {at.MAX_LENS_SIDE_PX} pixels a side",
        lambda: path(POSE, POSE, image_size=[at.MAX_LENS_SIDE_PX + 1, 704]),
        lambda: path(POSE, POSE, image_size=[at.MAX_LENS_SIDE_PX, 704]), ("MAX_LENS_SIDE_PX",),
    )  # fmt: skip
    yield row("axes", "`opengl`", lambda: path(POSE, POSE, axes="opencv"))
    yield row(
        "form",
        "one of the known ones",
        lambda: parse_trajectory({"poses": []}, height=480, width=704, fov_y_deg=60.0),
    )
    yield row("top level", "an object or a list", lambda: parse_trajectory("7", height=480, width=704, fov_y_deg=60.0))
    yield row("format", "`flashworld-trajectory`", lambda: path(POSE, POSE, format="colmap"))
    yield row("version", "1", lambda: path(POSE, POSE, version=2))
    yield row("cameras", "a list", lambda: transforms_of(7))
    yield row("a camera", "an object", lambda: path(POSE, 7))  # type: ignore[arg-type]
    yield row("position, quaternion, ...", "lists of so many numbers", lambda: path(POSE, POSE | {"position": [1, 2]}))
    yield row("image_size", "two numbers", lambda: path(POSE, POSE, image_size=7))
    yield row(
        "lens", "an angle or intrinsics, not both",
        lambda: path(POSE, POSE | {"fov_y_deg": 50, "intrinsics": [1, 1, 0, 0]}, image_size=size),
    )  # fmt: skip
    yield row("intrinsics", "with image_size", lambda: path(POSE, POSE | {"intrinsics": [0.6, 0.9, 0.5, 0.5]}))
    yield row(
        "focal length", "above 0", lambda: path(POSE, POSE | {"intrinsics": [0.6, -1, 0.5, 0.5]}, image_size=size)
    )
    yield row(
        "fx, fy", "of a lens that a picture can have",
        lambda: path(POSE, POSE | {"intrinsics": [100, 0.9, 0.5, 0.5]}, image_size=size),
    )  # fmt: skip
    yield row("fx, fy, cx, cy of the original's form", "all or none", lambda: original({"fx": 400}))
    yield row("fx, fy, cx, cy of the original's form", "with the size of the picture", lambda: original(pixels))
    yield row(
        "resolution of the original's form", "three numbers",
        lambda: parse_trajectory({"resolution": 7, "cameras": []}, height=480, width=704, fov_y_deg=60.0),
    )  # fmt: skip
    yield row("transform_matrix", "4 rows of 4 numbers", lambda: transforms(identity, identity[:2]))
    yield row("transform_matrix", "last row 0 0 0 1", lambda: transforms(identity, [*identity[:3], [0, 0, 1, 1]]))
    yield row("fl_x", "with w and h", lambda: transforms(identity, identity, fl_x=400))
    yield row("transform_matrix", "a rotation and a position", lambda: transforms(identity, stretched))
    yield row("camera_model", "a pinhole", lambda: transforms(identity, identity, camera_model="OPENCV_FISHEYE"))
    yield row("preset", "a known name", lambda: ask(trajectory="orbit_rigth"))
    yield row(
        "parameter", "one that the preset has", lambda: ask(trajectory="forward", trajectory_params={"angle_deg": 5})
    )
    yield row(
        "parameter", "within its range (`flashworld trajectory list --json`)", lambda: move("forward", amplitude=9)
    )
    yield row("parameter", "whole, where it counts turns", lambda: move("full_orbit", turns=1.5))
    yield row("parameter", "a number", lambda: move("forward", amplitude="far"))
    yield row("easing", "a known name", lambda: move("forward", easing="bouncy"))
    yield row("closed path", "3 cameras or more", lambda: move("forward", frames=2, loop=True))
    yield row(
        "lens of a zoom",
        fov,
        lambda: build_trajectory("zoom_in", frames=8, intrinsics=intrinsics_from_fov(6, 480, 704)),
    )
    yield row("parameters in Python", "an object", lambda: ask(trajectory_params=7))
    yield row("path in Python", "one of four things", lambda: ask(trajectory=7))
    yield row("`Cameras`: number", f"{at.MIN_CAMERAS} to {most}", lambda: ask(trajectory=cameras(count=1)))
    yield row("`Cameras`: position", f"within {far:g} scene units", lambda: ask(trajectory=cameras(place=2 * far)))
    yield row("`Cameras`: field of view", fov, lambda: ask(trajectory=cameras((0.6, 0.01, 0.5, 0.5))))
    yield row("`Cameras`: fx", "fits the width", lambda: ask(trajectory=cameras((90.0, 0.9, 0.5, 0.5))))
    yield row("`Cameras`: cx, cy", f"within {off:g} picture sizes", lambda: ask(trajectory=cameras((0.6, 0.9, 11, 0))))
    yield row("intrinsics in Python", "four numbers", lambda: build_trajectory("forward", frames=3, intrinsics=[1]))
    yield row("path to resample", "2 cameras or more", lambda: resample(cameras(count=1), 5))
    yield row(
        "start pose", f"within {far:g} scene units",
        lambda: build_trajectory("forward", frames=3, intrinsics=LENS, start=cameras(place=2 * far)),
    )  # fmt: skip
    yield row("keyframes", f"{at.MIN_CAMERAS} to {most}", lambda: ask(trajectory=[KEY]))
    yield row("keyframe: quaternion", "not zero", lambda: ask(trajectory=[KEY, Keyframe((0, 0, 0), (0, 0, 0, 0))]))
    yield row("keyframe: position", "three numbers", lambda: ask(trajectory=[KEY, Keyframe((0, 0), (1, 0, 0, 0))]))  # type: ignore[arg-type]
    yield row(
        "recording on the page", f"at most {MAX_KEYFRAMES} keyframes",
        lambda: check_recording({"keyframes": [{}] * (MAX_KEYFRAMES + 1)}),
    )  # fmt: skip


def json_rows() -> Iterator[Row]:
    """Requests and paths as text."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("JSON", *args, **more)

    lists = "[" + "[]," * at.MAX_JSON_VALUES + "[]]"
    yield row(
        "text", f"{at.MAX_JSON_BYTES // MIB} MiB", lambda: request_from_json(" " * (at.MAX_JSON_BYTES + 1)), None,
        ("MAX_JSON_BYTES",),
    )  # fmt: skip
    yield row("values", f"{at.MAX_JSON_VALUES:,}", lambda: request_from_json(lists), None, ("MAX_JSON_VALUES",))
    yield row("syntax", "JSON", lambda: request_from_json('{"format": '))
    yield row("encoding", "UTF-8", lambda: request_from_json(b"\xff\xfe{}"))
    yield row("numbers", "no NaN, no Infinity", lambda: request_from_json('{"seed": NaN}'))
    yield row("whole numbers", "400 digits", lambda: request_from_json('{"seed": ' + "1" * 401 + "}"))
    yield row("keys", "once an object", lambda: request_from_json('{"seed": 1, "seed": 2}'))
    yield row("nesting", "what Python's decoder reads", lambda: request_from_json("[" * 100_000))
    yield row("top level", "an object", lambda: request_from_json("[]"))


def video_rows(folder: Path) -> Iterator[Row]:
    """Videos, previews and rendered pictures."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Video and rendering", *args, **more)

    two = Cameras(torch.tensor([[1.0, 0, 0, 0]] * 2), torch.zeros(2, 3), LENS.expand(2, 4))
    frame = np.zeros((1000, 1000, 3), np.uint8)
    pictures = at.MAX_ANIMATION_PIXELS // frame[..., 0].size
    video_seconds = f"{at.MIN_VIDEO_SECONDS:g} to {at.MAX_VIDEO_SECONDS:g}"
    yield row(
        "fps", f"{at.MIN_FPS} to {at.MAX_FPS}", lambda: VideoSettings(fps=at.MAX_FPS + 1),
        lambda: [VideoSettings(fps=n) for n in (at.MIN_FPS, at.MAX_FPS)], ("MIN_FPS", "MAX_FPS"),
    )  # fmt: skip
    yield row(
        "seconds", video_seconds, lambda: VideoSettings(seconds=at.MAX_VIDEO_SECONDS + 1),
        lambda: [VideoSettings(seconds=s) for s in (at.MIN_VIDEO_SECONDS, at.MAX_VIDEO_SECONDS)],
        ("MIN_VIDEO_SECONDS", "MAX_VIDEO_SECONDS"),
    )  # fmt: skip
    yield row(
        "frames of a video", f"{at.MAX_VIDEO_FRAMES}", lambda: ask(video=VideoSettings(fps=60, seconds=30.0)),
        lambda: video_path(two, fps=60, seconds=at.MAX_VIDEO_FRAMES / 60), ("MAX_VIDEO_FRAMES",),
    )  # fmt: skip
    yield row(
        "frames of `render`", f"{at.MAX_VIDEO_FRAMES}", lambda: video_path(two, fps=60, seconds=at.MAX_VIDEO_SECONDS)
    )
    yield row("quality", "low, medium, high", lambda: own_request(video={"quality": "best"}))
    yield row(
        "picture of `render`", f"1 to {at.MAX_RENDER_SIDE_PX} pixels a side",
        lambda: render(a_scene(), two, at.MAX_RENDER_SIDE_PX + 1, 64), None, ("MAX_RENDER_SIDE_PX",),
    )  # fmt: skip
    yield row(
        "GIF, WebP", f"{at.MAX_ANIMATION_PIXELS:,} pixels in all frames",
        lambda: write_animation([frame] * (pictures + 1), folder / "path.gif", fps=10), None, ("MAX_ANIMATION_PIXELS",),
    )  # fmt: skip
