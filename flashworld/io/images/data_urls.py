"""Images in JSON: data URLs and base64, and for local request files the name of an image file in the same folder."""

from __future__ import annotations

import base64
import binascii
import io
import re
from pathlib import Path

from PIL import Image

from flashworld.checks import echo
from flashworld.errors import ImageError
from flashworld.io.images.reading import Photo, read_picture
from flashworld.limits import MAX_IMAGE_BYTES
from flashworld.types import Frame

_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


def picture_to_data_url(pixels: Frame) -> str:
    """Encode as PNG (lossless) in a data URL."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture_from_text(value: object, name: str, *, bare_base64: bool, folder: Path | None) -> Photo:
    """Decode the picture of a request.

    Args:
        value: The field's value.
        name: The field's name, for messages.
        bare_base64: Whether base64 without the prefix `data:` is allowed.
        folder: The folder that a file name may refer to; None for requests from other machines.

    Raises:
        ImageError: not text of one of these forms, or not an image.
    """
    if not isinstance(value, str):
        raise ImageError(f"{name} must be a data URL or null, got {echo(value)}")
    match = _DATA_URL.match(value)
    if match is None and folder is not None and "." in value:  # base64 has no dot
        return read_picture(_file_beside(folder, value))
    if match is None and not bare_base64:
        raise ImageError(
            f"{name} must be a data URL (data:image/...;base64,...) or null; file names and addresses are not read"
        )
    return read_picture(_decode_base64(value[match.end() :] if match else value, name))


def _decode_base64(text: str, name: str) -> bytes:
    if len(text) > MAX_IMAGE_BYTES * 3 // 2:
        raise ImageError(f"picture file must have at most {MAX_IMAGE_BYTES // 2**20} MB, got more")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"{name} is not base64; file names and addresses are not read") from error


def _file_beside(folder: Path, name: str) -> Path:
    """An image file in the request's folder or below it, symbolic links resolved."""
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"picture name cannot be resolved: {type(error).__name__}") from error
    if not inside:
        raise ImageError("picture of a request file must lie in the request's folder, got a name that leads out of it")
    return path
