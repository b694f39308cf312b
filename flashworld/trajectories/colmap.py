"""COLMAP's models: `cameras` and `images`, as text or binary, converted to the form of a decoded `transforms.json`.

COLMAP stores world-to-camera rotations and translations in OpenCV axes; its world, that of a scene trained from the model, is
left to the reader of `transforms.json`. Its points are skipped, and so are the observations
in each image. Lenses, order and distortion are handled by the same reader.

Source: COLMAP's documentation, "Output Format"; `src/colmap/sensor/models.h` for the models and their parameters.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from flashworld.checks import echo, file_name
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_CAMERAS, MAX_COLMAP_BYTES, MAX_COORDINATE
from flashworld.trajectories.matrices import OPENCV_TO_OPENGL

MODELS = (
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV",
    "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE",
)  # fmt: skip
"""By number."""
PARAMETERS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fl_x", "fl_y", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
}
"""Parameters of the pinhole models, in this project's names; `f` is both focal lengths. Other models are refused."""
MAX_NAME_BYTES = 1024
MAX_LINE_BYTES = 4 * 2**20
"""Longest line of the observations in one image."""
POINT = struct.calcsize("<ddq")


class Image(NamedTuple):
    """A row of `images`: its camera's number, name, world-to-camera quaternion wxyz and translation."""

    camera: int
    name: str
    quat: tuple[float, ...]
    translation: tuple[float, ...]


def read_colmap(path: str | Path) -> dict[str, object]:
    """Read a model.

    Args:
        path: The model's folder, or its `images.txt` or `images.bin` with `cameras` of the same kind in the same folder.

    Returns:
        The form of a decoded `transforms.json`.

    Raises:
        TrajectoryError: a file is missing, damaged or too large, or a camera is not a pinhole.
    """
    path = Path(path)
    folder, kinds = (path, (".bin", ".txt")) if path.is_dir() else (path.parent, (path.suffix.lower(),))
    for kind in kinds:
        files = [folder / f"{name}{kind}" for name in ("cameras", "images")]
        if all(file.is_file() for file in files):
            break
    else:
        raise TrajectoryError(
            f"{file_name(path)}: a COLMAP model is cameras and images, both .bin or both .txt, in one folder"
        )
    read_lenses, read_images = (_binary_lenses, _binary_images) if kind == ".bin" else (_text_lenses, _text_images)
    try:
        with _opened(files[0]) as file:
            lenses = read_lenses(file, f"cameras{kind}")
        with _opened(files[1]) as file:
            frames = [_frame(image, lenses, f"images{kind}") for image in read_images(file, f"images{kind}")]
    except OSError as error:
        raise TrajectoryError(f"{file_name(folder)}: the COLMAP model cannot be read: {error.strerror}") from error
    return {"frames": frames}


def _opened(file: Path) -> BinaryIO:
    size = file.stat().st_size
    if size > MAX_COLMAP_BYTES:
        raise TrajectoryError(f"{file_name(file)}: expected at most {MAX_COLMAP_BYTES} bytes, got {size}")
    return file.open("rb")


def _frame(image: Image, lenses: dict[int, dict[str, object]], name: str) -> dict[str, object]:
    if image.camera not in lenses:
        raise TrajectoryError(f"{name}: camera {image.camera} of an image is not among the cameras")
    quat, translation = np.array(image.quat), np.array(image.translation)
    if not 1e-6 < np.abs(quat).max() < 1e6 or not np.abs(translation).max() < 2 * MAX_COORDINATE:
        raise TrajectoryError(
            f"{name}: an image's quaternion must not be zero, and its numbers must be finite and not huge"
        )
    rotation = _matrix(quat / np.linalg.norm(quat)).T
    position = -rotation @ translation
    matrix = np.concatenate([rotation @ OPENCV_TO_OPENGL, position[:, None]], axis=1)
    return {"file_path": image.name, "transform_matrix": matrix.tolist(), **lenses[image.camera]}


def _matrix(quat: np.ndarray) -> np.ndarray:
    """The rotation matrix of a unit quaternion wxyz. (3, 3)"""
    w, (x, y, z) = quat[0], quat[1:]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def _lens(model: str, width: int, height: int, values: tuple[float, ...]) -> dict[str, object]:
    names = PARAMETERS[model]
    fields: dict[str, object] = {"camera_model": model, "w": width, "h": height}
    for name, value in zip(names, values, strict=True):
        fields |= {"fl_x": value, "fl_y": value} if name == "f" else {name: value}
    return fields


def _known(model: object, name: str) -> str:
    if not isinstance(model, str) or model not in PARAMETERS:
        raise TrajectoryError(
            f"{name}: a camera's model must be one of {', '.join(PARAMETERS)}, got {echo(model)}: undistort the images first"
        )
    return model


def _counted(count: int, name: str) -> range:
    if count > MAX_CAMERAS:
        raise TrajectoryError(f"{name}: expected at most {MAX_CAMERAS}, got {count}")
    return range(count)


def _exactly(file: BinaryIO, form: str, name: str) -> tuple:
    data = file.read(struct.calcsize(form))
    if len(data) != struct.calcsize(form):
        raise TrajectoryError(f"{name}: the file ends too early")
    return struct.unpack(form, data)


def _binary_lenses(file: BinaryIO, name: str) -> dict[int, dict[str, object]]:
    (count,) = _exactly(file, "<Q", name)
    lenses = {}
    for _ in _counted(count, name):
        number, code, width, height = _exactly(file, "<iiQQ", name)
        model = _known(MODELS[code] if 0 <= code < len(MODELS) else code, name)
        lenses[number] = _lens(model, width, height, _exactly(file, f"<{len(PARAMETERS[model])}d", name))
    return lenses


def _binary_images(file: BinaryIO, name: str) -> Iterator[Image]:
    (count,) = _exactly(file, "<Q", name)
    for _ in _counted(count, name):
        _, *pose, camera = _exactly(file, "<i7di", name)
        text = bytearray()
        while (byte := file.read(1)) not in (b"\0", b"") and len(text) < MAX_NAME_BYTES:
            text += byte
        (points,) = _exactly(file, "<Q", name)
        if points > MAX_COLMAP_BYTES // POINT:
            raise TrajectoryError(f"{name}: an image cannot have {points} points")
        file.seek(points * POINT, 1)
        yield Image(camera, text.decode("utf-8", "replace"), tuple(pose[:4]), tuple(pose[4:]))


def _lines(file: BinaryIO, name: str) -> Iterator[list[str]]:
    """Words of each line that is not a comment; empty lines count, because images without points have one."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise TrajectoryError(f"{name}: a line is longer than {MAX_LINE_BYTES} bytes")
        if not line.startswith(b"#"):
            yield line.decode("utf-8", "replace").split()


def _text_lenses(file: BinaryIO, name: str) -> dict[int, dict[str, object]]:
    lenses = {}
    for words in _lines(file, name):
        if not words:
            continue
        model = _known(words[1] if len(words) > 1 else None, name)
        number, width, height, *values = _numbers([words[0], *words[2:]], 3 + len(PARAMETERS[model]), name)
        _counted(len(lenses), name)
        lenses[int(number)] = _lens(model, int(width), int(height), tuple(values))
    return lenses


def _text_images(file: BinaryIO, name: str) -> Iterator[Image]:
    """Rows of `images.txt`; some programs write them without the lines of observations between them."""
    lines, count = _lines(file, name), 0
    words = next(lines, None)
    while words is not None:
        if words:
            _, *pose, camera = _numbers(words[:9], 9, name)
            count += 1
            _counted(count, name)
            yield Image(int(camera), " ".join(words[9:])[:MAX_NAME_BYTES], tuple(pose[:4]), tuple(pose[4:]))
        following = next(lines, None)
        skipped = bool(words) and following is not None and _is_observations(following)
        words = next(lines, None) if skipped else following


def _is_observations(words: list[str]) -> bool:
    """Whether a line is the observations in an image, x y point3D_id each, and not an image's own row."""
    return len(words) % 3 == 0 and all(word.removeprefix("-").isdecimal() for word in words[2::3])


def _numbers(words: list[str], count: int, name: str) -> list[float]:
    """Exactly `count` finite numbers."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise TrajectoryError(f"{name}: expected {count} numbers in a line, got {echo(' '.join(words[:4]))}")
    return values
