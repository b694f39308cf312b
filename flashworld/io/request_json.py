"""Requests as JSON: this project's own format, and the original's full request form.

Own format, version 1 (every field but `format` and `version` may be left out):

    {"format": "flashworld-request", "version": 1,
     "image": "data:image/png;base64,..." | null,
     "text": "...", "image_index": 0, "frames": 24, "height": 480, "width": 704, "seed": 7,
     "fov_y_deg": 60 | null,
     "trajectory": {"preset": "orbit_right", "params": {"angle_deg": 15}} | a camera path,
     "video": {"fps": 24, "seconds": 6, "quality": "high", "depth": false, "enabled": true}}

A camera path is any form that `trajectory_json` reads; its cameras are used, and a `preset` in addition to them only records
their origin. Lenses given in pixels are in pixels of the output picture, whatever size the image has.

The original's form: `image_prompt` (data URL, bare base64 or null), `text_prompt`, `image_index`, `resolution`
[frames, height, width], `cameras` with fx, fy, cx, cy in pixels of the original image when there is one, else of the
output.

No string of a request is interpreted as a path, except the name of a file next to the JSON in `load_request_file`, which only
the command line calls, and which never leaves that folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from flashworld.checks import echo, file_name
from flashworld.config import FULL, ModelConfig
from flashworld.errors import ImageError, InputError, TrajectoryError
from flashworld.inputs import DEFAULT_TRAJECTORY, GenerationRequest, VideoSettings, build_request
from flashworld.io.images.data_urls import picture_from_text, picture_to_data_url
from flashworld.io.images.reading import Photo, PictureSource, read_picture
from flashworld.io.json_text import read_json
from flashworld.limits import MAX_JSON_BYTES
from flashworld.trajectories.json_forms import trajectory_to_json
from flashworld.trajectories.resolve import FROM_CAMERAS, PathOrigin, preset_values

FORMAT = "flashworld-request"
VERSION = 1
FIELDS = (
    "format",
    "version",
    "image",
    "image_omitted",
    "text",
    "image_index",
    "frames",
    "height",
    "width",
    "seed",
    "fov_y_deg",
    "trajectory",
    "video",
)
ORIGINAL_FIELDS = ("image_prompt", "text_prompt", "resolution")
"""Any of these fields identifies a request in the original's form."""
REQUEST_FILE = "request.json"
"""Name looked for when a folder is given."""


def request_from_json(
    data: str | bytes | Mapping[str, object],
    *,
    image: PictureSource | None = None,
    defaults: ModelConfig = FULL,
    seed: int | None = None,
) -> GenerationRequest:
    """Read a request in either form.

    Args:
        data: JSON text, or the parsed object.
        image: The picture of a request that was written without it.
        defaults: The model's frames and size, for fields left out.
        seed: For a request without one; None draws it.

    Raises:
        InputError: or a subclass: not JSON, an unknown field, or a value outside its limits.
    """
    return _read(_parse_object(data), image, defaults, seed, folder=None)


def load_request_file(path: str | Path, *, defaults: ModelConfig = FULL, seed: int | None = None) -> GenerationRequest:
    """Read a request file of this machine, or the `request.json` of a folder; its image may be a file next to it.

    Args:
        path: The file or folder.
        defaults: The model's frames and size, for fields left out.
        seed: For a request without one; None draws it.

    Raises:
        InputError: or a subclass; a file name that leads out of the request's folder is refused.
    """
    path = Path(path)
    try:
        path = path / REQUEST_FILE if path.is_dir() else path
        if path.exists() and not path.is_file():
            raise InputError(f"request file {file_name(path)!r} cannot be read: it is no ordinary file")
        with path.open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"request file {file_name(path)!r} cannot be read: {type(error).__name__}") from error
    return _read(_parse_object(data), None, defaults, seed, folder=path.parent)


def request_to_json(request: GenerationRequest, *, embed_image: bool = True) -> dict[str, object]:
    """Convert a request to the own format; reading it back gives a bit-identical request.

    Args:
        request: The request.
        embed_image: False omits the picture and records that; pass it to `request_from_json` when reading.

    Returns:
        A dict for `json.dumps`.
    """
    trajectory: dict[str, object] = dict(
        trajectory_to_json(request.cameras, height=request.height, width=request.width)
    )
    if request.path.name != FROM_CAMERAS:
        trajectory |= {"preset": request.path.name, "params": dict(request.path.params)}
    data: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "image": picture_to_data_url(request.picture) if embed_image and request.picture is not None else None,
        "text": request.text,
        "image_index": request.image_index,
        "frames": request.frames,
        "height": request.height,
        "width": request.width,
        "seed": request.seed,
        "trajectory": trajectory,
        "video": asdict(request.video),
    }
    if request.picture is not None and not embed_image:
        data["image_omitted"] = True
    return data


def _parse_object(data: str | bytes | Mapping[str, object]) -> dict[str, Any]:
    value = read_json(data, "request") if isinstance(data, str | bytes | bytearray) else data
    if not isinstance(value, Mapping):
        raise InputError(f"request must be a JSON object, got {echo(value)}")
    return dict(value)


def _read(
    data: dict[str, Any], image: PictureSource | None, defaults: ModelConfig, seed: int | None, folder: Path | None
) -> GenerationRequest:
    if data.get("format") is None and any(name in data for name in ORIGINAL_FIELDS):
        return _read_original(data, image, defaults, seed, folder)
    if data.get("format") != FORMAT:
        raise InputError(f'request: "format" must be "{FORMAT}", got {echo(data.get("format"))}')
    if data.get("version") != VERSION or isinstance(data.get("version"), bool):
        raise InputError(f'request: "version" must be {VERSION}, got {echo(data.get("version"))}')
    unknown = next((name for name in data if name not in FIELDS), None)
    if unknown is not None:
        raise InputError(f"request: unknown field {echo(unknown)}, expected some of {', '.join(FIELDS)}")
    photo = _picture(data, "image", image, folder)
    if photo is None and data.get("image_omitted"):
        raise ImageError("request was written without its picture: hand the picture in together with it")
    source, params, path = _trajectory(data.get("trajectory"))
    request = build_request(
        image=photo,
        text=data.get("text"),
        trajectory=source,
        trajectory_params=params,
        image_index=data.get("image_index", 0),
        frames=data.get("frames"),
        height=data.get("height"),
        width=data.get("width"),
        fov_y_deg=data.get("fov_y_deg"),
        seed=seed if data.get("seed") is None else data["seed"],
        video=video_settings(data.get("video")),
        defaults=defaults,
    )
    return request if path is None else replace(request, path=path)


def _trajectory(value: object) -> tuple[Any, Mapping[str, object] | None, PathOrigin | None]:
    """Path and parameters for `build_request`, and the origin of given cameras."""
    if value is None:
        return DEFAULT_TRAJECTORY, None, None
    if not isinstance(value, Mapping):
        raise TrajectoryError(f"trajectory must be an object with a preset or cameras, got {echo(value)}")
    path = dict(value)
    name, params = path.pop("preset", None), path.pop("params", None)
    if params is not None and not isinstance(params, Mapping):
        raise TrajectoryError(f"trajectory params must be an object, got {echo(params)}")
    if name is None:
        return path, None, None
    if path:
        return path, None, PathOrigin(name, preset_values(name, params or {}))
    return name, params, None


def video_settings(value: object) -> VideoSettings | None:
    """The `video` field of a request; None stays None.

    Raises:
        InputError: not an object, an unknown field, or a value outside its limits.
    """
    if value is None:
        return None
    names = [f.name for f in fields(VideoSettings)]
    if not isinstance(value, Mapping):
        raise InputError(f"video must be an object, got {echo(value)}")
    unknown = next((name for name in value if name not in names), None)
    if unknown is not None:
        raise InputError(f"video: unknown field {echo(unknown)}, expected some of {', '.join(names)}")
    return VideoSettings(**value)


def _read_original(
    data: dict[str, Any], image: PictureSource | None, defaults: ModelConfig, seed: int | None, folder: Path | None
) -> GenerationRequest:
    resolution = data.get("resolution")
    if not isinstance(resolution, list | tuple) or len(resolution) != 3:
        raise InputError(f"resolution must be [frames, height, width], got {echo(resolution)}")
    frames, height, width = resolution
    return build_request(
        image=_picture(data, "image_prompt", image, folder),
        text=data.get("text_prompt"),
        trajectory={"resolution": resolution, "cameras": data.get("cameras")},
        image_index=data.get("image_index", 0),
        frames=frames,
        height=height,
        width=width,
        seed=seed if data.get("seed") is None else data["seed"],
        defaults=defaults,
    )


def _picture(data: dict[str, Any], name: str, image: PictureSource | None, folder: Path | None) -> Photo | None:
    if data.get(name) in (None, ""):
        return None if image is None else read_picture(image)
    if image is not None:
        raise ImageError(f"request holds a picture in {name!r} and another one was handed in: give one")
    return picture_from_text(data[name], name, bare_base64=name == "image_prompt", folder=folder)
