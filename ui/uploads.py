"""Files from visitors. A path in a request is accepted only if Gradio's upload created that file."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from flashworld.errors import ImageError

EXPECTED = "picture: expected a file that was uploaded to this app"


def uploaded_picture(value: object) -> str | None:
    """The uploaded file that an API request names, or None.

    Args:
        value: Untrusted: a file as sent by `gradio_client.handle_file`, or any other value.

    Raises:
        ImageError: it is not a file, or not an uploaded one.
    """
    if value is None:
        return None
    return known_file(value.get("path") if isinstance(value, dict) else getattr(value, "path", None))


def known_file(path: object, *folders: Path) -> str:
    """A path from a visitor, if it names a file in Gradio's upload folder or in one of the given ones.

    Raises:
        ImageError: it does not.
    """
    if not isinstance(path, str) or "\0" in path:
        raise ImageError(EXPECTED)
    try:
        real = Path(path).resolve(strict=True)  # resolves symbolic links, so that none leads out of the folder
    except (OSError, RuntimeError, ValueError):
        raise ImageError(EXPECTED) from None
    allowed = [Path(get_upload_folder()).resolve(), *(folder.resolve() for folder in folders)]
    if not real.is_file() or not any(real.is_relative_to(folder) for folder in allowed):
        raise ImageError(EXPECTED)
    return str(real)
