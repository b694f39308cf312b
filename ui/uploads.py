"""Files from visitors. A path that comes with a request is only believed when Gradio's upload made that very file."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder

from flashworld.errors import ImageError

EXPECTED = "picture: expected a file that was uploaded to this app"


def uploaded_picture(value: object) -> str | None:
    """The uploaded file that an API request names; None for none.

    Args:
        value: What came: a file as `gradio_client.handle_file` sends it, or anything at all.

    Raises:
        ImageError: it is no file, or not one that was uploaded.
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
        real = Path(path).resolve(strict=True)  # also follows links, so that one cannot lead out
    except (OSError, RuntimeError, ValueError):
        raise ImageError(EXPECTED) from None
    allowed = [Path(get_upload_folder()).resolve(), *(folder.resolve() for folder in folders)]
    if not real.is_file() or not any(real.is_relative_to(folder) for folder in allowed):
        raise ImageError(EXPECTED)
    return str(real)
