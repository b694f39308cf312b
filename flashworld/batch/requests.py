"""Convert a manifest row to a validated request: images and paths are read here, before any device is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flashworld.batch.manifest import COLUMNS, decoded
from flashworld.batch.rows import Row
from flashworld.checks import echo, one_line
from flashworld.config import ModelConfig
from flashworld.errors import ImageError, InputError
from flashworld.inputs import DEFAULT_TRAJECTORY, GenerationRequest, build_request
from flashworld.io.images.data_urls import picture_from_text
from flashworld.io.images.reading import Photo, read_picture
from flashworld.io.request_json import ORIGINAL_FIELDS, load_request_file, request_from_json, video_settings
from flashworld.limits import MAX_IMAGE_BYTES
from flashworld.trajectories.files import PATH_SUFFIXES, read_path_file


@dataclass(frozen=True)
class RequestSettings:
    """Settings shared by all rows of a batch.

    Attributes:
        folder: Folder to which image and path names are relative.
        defaults: The model's frame count and size.
        video: Fields of `VideoSettings` that override those of the rows.
    """

    folder: str
    defaults: ModelConfig
    video: Mapping[str, Any] = field(default_factory=dict)


def request_of(row: Row, settings: RequestSettings) -> GenerationRequest:
    """Read and validate everything that a row refers to.

    Raises:
        InputError: or a subclass; one sentence.
    """
    if row.problem is not None:
        raise InputError(row.problem)
    if row.file is not None:
        request = load_request_file(row.file, defaults=settings.defaults, seed=row.seed)
    elif "format" in row.fields or any(name in row.fields for name in ORIGINAL_FIELDS):
        request = request_from_json(row.fields, defaults=settings.defaults, seed=row.seed)
    else:
        request = _from_columns(row, settings)
    return replace(request, video=replace(request.video, **settings.video)) if settings.video else request


def _from_columns(row: Row, settings: RequestSettings) -> GenerationRequest:
    said: dict[str, Any] = {name: value for name, value in row.fields.items() if name in COLUMNS}
    image, trajectory = said.pop("image", None), said.pop("trajectory", None)
    params, video = (decoded(name, said.pop(name, None)) for name in ("params", "video"))
    if params is not None and not isinstance(params, Mapping):
        raise InputError(f"params must be an object, got {echo(params)}")
    source, more = _trajectory(trajectory, settings.folder)
    return build_request(
        image=None if image is None else _picture(image, settings.folder),
        trajectory=source,
        trajectory_params=params or more,
        seed=said.pop("seed", row.seed),
        video=video_settings(video),
        defaults=settings.defaults,
        **said,
    )


def _picture(value: object, folder: str) -> Photo:
    """Read an image cell: bytes, a Hugging Face datasets image, a data URL, a file name or a URL."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return read_picture(value)
    if not isinstance(value, str):
        raise ImageError(f"image must be a file name, a URL, a data URL or bytes, got {echo(value)}")
    if value[:5].lower() == "data:":
        return picture_from_text(value, "image", bare_base64=False, folder=None)
    place = joined(folder, value)
    return read_picture(_fetch(place) if "://" in place else place)


def _fetch(place: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(place, "rb") as file:  # pyright: ignore[reportGeneralTypeIssues]
            return file.read(MAX_IMAGE_BYTES + 1)  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as error:  # storage and HTTP clients have their own error classes
        reason = getattr(error, "strerror", None) or one_line(str(error), 120) or type(error).__name__
        raise ImageError(f"picture {one_line(place.rpartition('/')[2], 80)!r} cannot be read: {reason}") from error


def _trajectory(value: object, folder: str) -> tuple[Any, Mapping[str, object] | None]:
    """Path and parameters for `build_request`, from a preset's name, JSON, or the name of a path file."""
    if value is None:
        return DEFAULT_TRAJECTORY, None
    value = decoded("trajectory", value)
    if isinstance(value, Mapping) and set(value) <= {"preset", "params"} and "preset" in value:
        return value["preset"], value.get("params")  # pyright: ignore[reportReturnType]
    if isinstance(value, str) and value.lower().endswith(PATH_SUFFIXES):
        return read_path_file(joined(folder, value)), None
    return value, None


def joined(folder: str, name: str) -> str:
    """Resolve a name relative to the manifest; URLs and absolute paths are unchanged."""
    return name if "://" in name or name.startswith("/") else f"{folder.rstrip('/')}/{name}"
