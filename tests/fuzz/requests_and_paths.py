"""Targets: request JSON and camera paths in every form, keyframes, and the objects they become."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from flashworld import limits
from flashworld.cameras import Cameras, intrinsics_from_fov, normalize
from flashworld.cameras.raymaps import raymap
from flashworld.config import FULL, ModelConfig
from flashworld.errors import InputError
from flashworld.inputs import GenerationRequest, VideoSettings, build_request, clean_text
from flashworld.io.request_json import load_request_file, request_from_json, request_to_json
from flashworld.trajectories import build_trajectory, resample, video_path
from flashworld.trajectories.files import read_path_file
from flashworld.trajectories.json_forms import parse_trajectory, to_transforms_json, trajectory_to_json
from flashworld.trajectories.keyframes import Keyframe, path_from_keyframes
from flashworld.trajectories.presets import PRESETS
from flashworld.trajectories.resolve import build_path, checked_cameras
from tests.fuzz.hostile import NUMBERS, STRINGS, damaged, damaged_bytes, json_bytes, scalar
from tests.fuzz.law import Case, check_sentence
from tests.fuzz.targets import Target

HEIGHT, WIDTH = 64, 96
SMALL = ModelConfig("small", frames=3, height=HEIGHT, width=WIDTH)
UNIT_ERROR = 1e-5


def check_cameras(cameras: Cameras) -> None:
    """What the model and the renderers assume."""
    assert limits.MIN_CAMERAS <= len(cameras) <= limits.MAX_VIDEO_FRAMES
    for values in (cameras.quats_wxyz, cameras.positions, cameras.intrinsics):
        assert values.dtype == torch.float32 and bool(torch.isfinite(values).all())
    assert float((cameras.quats_wxyz.norm(dim=1) - 1).abs().max()) < UNIT_ERROR
    assert float(cameras.positions.abs().max()) <= limits.MAX_COORDINATE
    assert bool((cameras.intrinsics[:, :2] > 0).all())
    framed, norm = normalize(cameras)
    assert math.isfinite(norm.divisor) and norm.divisor > 0 and norm.scene_scale > 0
    assert bool(torch.isfinite(framed.to_vectors()).all())
    assert bool(torch.isfinite(raymap(framed, 2, 3)).all())


def check_request(request: GenerationRequest) -> None:
    """The invariants of a request, and its round trip."""
    assert request.text == clean_text(request.text)
    assert request.picture is not None or request.text
    assert limits.MIN_FRAMES <= request.frames == len(request.cameras) <= limits.MAX_FRAMES
    assert 0 <= request.image_index < request.frames and 0 <= request.seed <= limits.MAX_SEED
    assert request.frames * request.height * request.width <= limits.MAX_SCENE_PIXELS
    assert not request.height % limits.SIZE_MULTIPLE and not request.width % limits.SIZE_MULTIPLE
    if request.picture is not None:
        assert request.picture.shape == (request.height, request.width, 3) and request.picture.dtype == np.uint8
    if request.video.enabled:
        assert 2 <= request.video.frame_count(request.frames) <= limits.MAX_VIDEO_FRAMES
    check_cameras(request.cameras)
    text = json.dumps(request_to_json(request, embed_image=False), allow_nan=False)
    again = request_from_json(text, image=request.picture)
    assert torch.equal(again.cameras.to_vectors(), request.cameras.to_vectors())
    assert (again.text, again.seed, again.video) == (request.text, request.seed, request.video)


@cache
def picture_text() -> str:
    buffer = io.BytesIO()
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 20).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def pose(rng: random.Random, name: str) -> dict[str, Any]:
    return {name: [rng.uniform(-1, 1) for _ in range(4)], "position": [rng.uniform(-3, 3) for _ in range(3)]}


def own_path(rng: random.Random) -> dict[str, Any]:
    lens = rng.choice([{}, {"fov_y_deg": 50.0}, {"intrinsics": [0.7, 1.0, 0.5, 0.5]}])
    cameras = [pose(rng, "quaternion_wxyz") | lens for _ in range(rng.randint(2, 5))]
    return {
        "format": "flashworld-trajectory",
        "version": 1,
        "image_size": [HEIGHT, WIDTH],
        "axes": "opengl",
        "cameras": cameras,
    }


def original_path(rng: random.Random) -> dict[str, Any]:
    lens = rng.choice([{}, {"fx": 80, "fy": 81.5, "cx": 48, "cy": 32}])
    return {"cameras": [pose(rng, "quaternion") | lens for _ in range(rng.randint(2, 5))]}


def nerf_path(rng: random.Random) -> dict[str, Any]:
    lenses = [
        {}, {"fl_x": 80.0, "w": WIDTH, "h": HEIGHT}, {"camera_angle_x": 0.9}, {"x_fov": 50, "y_fov": 40.0, "k1": 0.1},
        {"camera_angle_y": 0.5, "camera_angle_x": 0.7, "fl_y": 90, "w": WIDTH, "h": HEIGHT, "is_fisheye": False},
        {"fl_x": 80.0, "fl_y": 81, "cx": 48, "cy": 32, "w": WIDTH, "h": HEIGHT, "distortion_params": [0.1, 0, 0, 0, 0, 0]},
        {"fl_x": 80.0, "x_fov": 20, "fov": 50, "K": [[80, 0, 48]], "w": WIDTH, "h": HEIGHT}, {"w": WIDTH, "h": HEIGHT},
    ]  # fmt: skip
    lens = rng.choice(lenses)
    matrix = [[1, 0, 0, rng.uniform(-2, 2)], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    frames = [{"file_path": f"{9 - i}.png", "transform_matrix": matrix} for i in range(rng.randint(2, 8))]
    frames[0] |= rng.choice([{}, lens, rng.choice(lenses)])
    return {"camera_model": "OPENCV", **lens, "frames": frames}


def studio_path(rng: random.Random) -> dict[str, Any]:
    """nerfstudio's camera_path.json."""
    flat = [1, 0, 0, rng.uniform(-2, 2), 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    views = [{"camera_to_world": flat, "fov": 50.0, "aspect": 1.5} for _ in range(rng.randint(2, 5))]
    return {"camera_type": "perspective", "render_height": HEIGHT, "render_width": WIDTH, "camera_path": views}


def inria_path(rng: random.Random) -> list[dict[str, Any]]:
    """INRIA's cameras.json."""
    rotation = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    lens = {"width": WIDTH, "height": HEIGHT, "fx": 80.0, "fy": 81.5}
    places = [[rng.uniform(-3, 3) for _ in range(3)] for _ in range(rng.randint(2, 9))]
    return [
        {"id": i, "img_name": f"{9 - i}.png", "position": p, "rotation": rotation, **lens} for i, p in enumerate(places)
    ]


def colmap_model(rng: random.Random, folder: Path, kind: str) -> None:
    """A small COLMAP model."""
    model, params = rng.choice(
        [(1, (80, 80, 48, 32)), (0, (80, 48, 32)), (4, (80, 80, 48, 32, 0.1, 0, 0, 0)), (5, (80,) * 8)]
    )
    poses = [[rng.uniform(-1, 1) for _ in range(7)] for _ in range(rng.randint(2, 5))]
    names = ("SIMPLE_PINHOLE", "PINHOLE", "", "", "OPENCV", "OPENCV_FISHEYE")
    if kind == "txt":
        lenses = f"# list\n1 {names[model]} {WIDTH} {HEIGHT} {' '.join(map(str, params))}\n".encode()
        images = "".join(
            f"{i} {' '.join(map(str, pose))} 1 {9 - i}.png\n1 2 -1\n" for i, pose in enumerate(poses)
        ).encode()
    else:
        lenses = struct.pack(f"<QiiQQ{len(params)}d", 1, 1, model, WIDTH, HEIGHT, *params)
        images = struct.pack("<Q", len(poses)) + b"".join(
            struct.pack("<i7di", i, *pose, 1) + b"%d.png\0" % (9 - i) + struct.pack("<Qddq", 1, 1, 2, -1)
            for i, pose in enumerate(poses)
        )
    pieces = [lenses, images]
    if rng.random() < 0.85:
        which = rng.randrange(2)
        pieces[which] = damaged_bytes(rng, pieces[which], headers=rng.choice([64, 200]))
        if kind == "txt" and rng.random() < 0.4:
            word = str(rng.choice([*NUMBERS[:20], *STRINGS[:12]])).encode("utf-8", "replace")
            pieces[which] = pieces[which].replace(b" 1", b" " + word, 1)
    for name, data in zip(("cameras", "images"), pieces, strict=True):
        (folder / f"{name}.{kind}").write_bytes(data)


def _path_files(rng: random.Random, folder: Path) -> Case:
    """COLMAP's models and Blender's .chan, as files."""
    kind = rng.choice(["txt", "bin", "chan"])
    if kind == "chan":
        numbers = [[i, *(rng.uniform(-200, 200) for _ in range(6)), 50] for i in range(rng.randint(2, 6))]
        if rng.random() < 0.6:
            rng.choice(numbers)[rng.randrange(8)] = rng.choice([n for n in NUMBERS if abs(n) < 10**300 or n != n])
        text = "\n".join(" ".join(map(str, row)) for row in numbers).encode()
        (folder / "a.chan").write_bytes(damaged_bytes(rng, text) if rng.random() < 0.5 else text)
        target = folder / "a.chan"
    else:
        colmap_model(rng, folder, kind)
        target = rng.choice([folder, folder / f"images.{kind}", folder / "cameras.bin"])

    def read() -> Cameras:
        parsed = parse_trajectory(read_path_file(target), height=HEIGHT, width=WIDTH, fov_y_deg=60.0)
        for note in parsed.notes:
            check_sentence(note)
        return checked_cameras(parsed.cameras)

    return Case(read, check_cameras)


def own_request(rng: random.Random) -> dict[str, Any]:
    preset = rng.choice(list(PRESETS.values()))
    params = {param.name: param.default for param in preset.params}
    form = rng.randrange(5)
    path = [{"preset": preset.name, "params": params | {"loop": False}}, own_path, original_path, nerf_path, None][form]
    return {
        "format": "flashworld-request", "version": 1, "text": "a room", "image_index": 1, "frames": 3,
        "image": rng.choice([None, "data:image/png;base64," + picture_text()]), "height": HEIGHT, "width": WIDTH, "seed": 7,
        "fov_y_deg": 55.0, "video": {"fps": 4, "seconds": 1.0, "quality": "low", "depth": False, "enabled": True},
        "trajectory": path(rng) if callable(path) else path,
    }  # fmt: skip


def original_request(rng: random.Random) -> dict[str, Any]:
    picture = rng.choice([None, picture_text(), "data:image/png;base64," + picture_text()])
    return {
        "image_prompt": picture, "text_prompt": "a room", "image_index": 0, "resolution": [3, HEIGHT, WIDTH],
        **original_path(rng),
    }  # fmt: skip


def _request(form: Any) -> Any:
    def make(rng: random.Random, folder: Path) -> Case:
        data = damaged(rng, form(rng)) if rng.random() < 0.85 else form(rng)
        if rng.random() < 0.5:
            return Case(lambda: request_from_json(json_bytes(rng, data), defaults=SMALL), check_request)
        if rng.random() < 0.5:
            return Case(lambda: request_from_json(data, defaults=SMALL), check_request)
        file = folder / "request.json"
        file.write_bytes(json_bytes(rng, data))
        return Case(lambda: load_request_file(rng.choice([file, folder]), defaults=SMALL), check_request)

    return make


def _path(form: Any) -> Any:
    def read(data: Any) -> Cameras:
        sizes = {"height": HEIGHT, "width": WIDTH, "fov_y_deg": 60.0}
        parsed = parse_trajectory(data, **sizes)
        for note in parsed.notes:
            check_sentence(note)
        return checked_cameras(parsed.cameras)

    def check(cameras: Cameras) -> None:
        check_cameras(cameras)
        for write in (trajectory_to_json, to_transforms_json):
            json.dumps(write(cameras, height=HEIGHT, width=WIDTH), allow_nan=False)

    def make(rng: random.Random, folder: Path) -> Case:
        data = damaged(rng, form(rng)) if rng.random() < 0.85 else form(rng)
        text = data if rng.random() < 0.4 else json_bytes(rng, data)
        return Case(lambda: read(text), check)

    return make


def _keyframes(rng: random.Random, folder: Path) -> Case:
    def number() -> Any:
        return scalar(rng) if rng.random() < 0.01 else rng.choice([0, 1.0, rng.uniform(-5, 5), -1e6, 1e-300])

    def key() -> Keyframe:
        fov = rng.choice([None, None, 60.0, 5, 150, number()])
        return Keyframe(tuple(number() for _ in range(3)), tuple(number() for _ in range(4)), fov)

    keys = [key()] * rng.choice([0, 1, 2, 1001]) if rng.random() < 0.2 else [key() for _ in range(rng.randint(0, 7))]
    options = {"frames": 8, "fov_y_deg": 60.0, "mode": rng.choice(["spline", "linear"]), "loop": rng.random() < 0.5}
    if rng.random() < 0.3:
        options[rng.choice(["frames", "fov_y_deg", "mode"])] = scalar(rng)
    return Case(lambda: path_from_keyframes(keys, height=HEIGHT, width=WIDTH, **options), check_key_path)


def check_key_path(cameras: Cameras) -> None:
    """A spline may leave the bounding box of its keys, which only the request's check refuses."""
    try:
        checked = checked_cameras(cameras)
    except InputError:
        assert float(cameras.positions.abs().max()) > limits.MAX_COORDINATE
    else:
        check_cameras(checked)


def _cameras(rng: random.Random, folder: Path) -> Case:
    """Arrays of cameras: counts, magnitudes, shapes and types that no JSON can contain."""
    count = rng.choice([0, 1, 2, 3, 32, 1000, 1001, 10_000])
    dtype = rng.choice([torch.float32, torch.float32, torch.float64, torch.float16, torch.int64])
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    quats = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    places = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    lens = intrinsics_from_fov(60.0, HEIGHT, WIDTH).double().repeat(count, 1)
    kind = rng.randrange(8)
    if kind == 0:
        quats, places = quats[:1].expand(count, 4), places[:1].expand(count, 3)
    elif kind == 1:
        places = places[:1] * torch.linspace(0, 1, count, dtype=torch.float64)[:, None]
    elif kind == 2:
        quats = quats * 10.0 ** rng.choice([-320, -308, -100, -40, -9, -7, 30, 150, 300])
    elif kind == 3:
        places = places * 10.0 ** rng.choice([-320, -40, 5, 7, 38, 300])
    elif kind == 4:
        lens = lens * 10.0 ** rng.choice([-310, -40, -3, 3, 40, 300])
    elif kind == 5 and count:
        target = rng.choice([quats, places, lens])
        target[rng.randrange(count), rng.randrange(3)] = rng.choice(
            [float(n) for n in NUMBERS if abs(n) < 10**300 or n != n]
        )
    elif kind == 6:
        quats = torch.zeros_like(quats) if rng.random() < 0.5 else quats[:, :3]
    frames = rng.choice([2, 3, 32, 33, 0, scalar(rng)])

    def build() -> Cameras:
        given = Cameras(quats.to(dtype), places.to(dtype), lens.to(dtype))
        return build_request(text="a", trajectory=given, frames=frames, height=64, width=96, seed=0).cameras

    return Case(build, check_cameras)


def _presets(rng: random.Random, folder: Path) -> Case:
    preset = rng.choice(list(PRESETS.values()))
    params: dict[str, Any] = {
        param.name: rng.choice([param.minimum, param.maximum, param.default, scalar(rng)]) for param in preset.params
    }
    if rng.random() < 0.5:
        params = {name: value for name, value in params.items() if isinstance(value, float)}
    params |= {
        "loop": rng.choice([None, None, True, False, scalar(rng)]),
        "easing": rng.choice([None, "smooth", "ease_in", scalar(rng)]),
    }
    if rng.random() < 0.2:
        params[rng.choice(STRINGS)] = scalar(rng)
    name = preset.name if rng.random() < 0.9 else scalar(rng)
    frames = rng.choice([3, 3, 24, 32, 2, scalar(rng)])
    fov = rng.choice([5.0, 60.0, 110.0, 150.0])

    def build() -> Cameras:
        lens = intrinsics_from_fov(fov, HEIGHT, WIDTH)
        path, _ = build_path(name, params, frames=frames, height=HEIGHT, width=WIDTH, intrinsics=lens)
        film = video_path(
            path, fps=rng.choice([24, 24, 24, scalar(rng)]), seconds=rng.choice([None, 2.0, 3, scalar(rng)])
        )
        return checked_cameras(resample(film, 32))

    return Case(build, check_cameras)


def _arguments(rng: random.Random, folder: Path) -> Case:
    """`build_request` as a program calls it, with a few invalid arguments."""
    arguments: dict[str, Any] = {
        "image": None, "text": "a room", "trajectory": "forward", "trajectory_params": {}, "image_index": 0, "frames": 3,
        "height": HEIGHT, "width": WIDTH, "fov_y_deg": 60.0, "seed": 1,
    }  # fmt: skip
    usual = {
        "image": None,
        "text": "\u202ea\tb",
        "trajectory": "shake",
        "frames": 32,
        "image_index": 2,
        "seed": None,
        "fov_y_deg": None,
    }
    for name in rng.sample(list(arguments), rng.randint(1, 3)):
        arguments[name] = usual[name] if name in usual and rng.random() < 0.6 else scalar(rng)
    video = {"fps": 4, "seconds": 1.0, "quality": "low", "depth": False, "enabled": True}
    if rng.random() < 0.3:
        video[rng.choice(list(video))] = scalar(rng)
    defaults = rng.choice([FULL, SMALL])
    return Case(lambda: build_request(**arguments, video=VideoSettings(**video), defaults=defaults), check_request)


def _start(rng: random.Random, folder: Path) -> Case:
    start = Cameras(
        torch.tensor([[rng.choice([1.0, 1e-7, 1e15]), 0, rng.uniform(-1, 1), 0]]),
        torch.tensor([[rng.choice([0.0, 1e6, 999_999.0, -1e6, 1e-40])] * 3]),
        torch.tensor([[0.6, 0.9, 0.5, 0.5]]),
    )
    name, frames = rng.choice(list(PRESETS)), rng.choice([2, 3, 24])
    lens = [0.6, rng.choice([0.9, 0.9, scalar(rng)]), 0.5, 0.5]
    return Case(
        lambda: checked_cameras(build_trajectory(name, frames=frames, intrinsics=lens, start=start)), check_cameras
    )


TARGETS = (
    Target("request, own form", 24, _request(own_request)),
    Target("request, original's form", 14, _request(original_request)),
    Target("request, arguments", 10, _arguments),
    Target("path, own form", 16, _path(own_path)),
    Target("path, original's form", 12, _path(original_path)),
    Target("path, transforms.json", 12, _path(nerf_path)),
    Target("path, camera_path.json", 6, _path(studio_path)),
    Target("path, cameras.json", 6, _path(inria_path)),
    Target("path, files", 12, _path_files),
    Target("path, keyframes", 10, _keyframes),
    Target("path, arrays", 8, _cameras),
    Target("path, presets", 8, _presets),
    Target("path, start pose", 4, _start),
)
