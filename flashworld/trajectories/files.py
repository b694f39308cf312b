"""A camera path from a local file, by its suffix: JSON of any known format, `.chan`, or a COLMAP model."""

from __future__ import annotations

from pathlib import Path

from flashworld.checks import file_name
from flashworld.errors import TrajectoryError
from flashworld.io.json_text import read_json
from flashworld.limits import MAX_JSON_BYTES
from flashworld.trajectories.chan import read_chan
from flashworld.trajectories.colmap import read_colmap

PATH_SUFFIXES = (".json", ".chan", ".txt", ".bin")
"""The last two are COLMAP's `images`."""


def read_path_file(path: str | Path) -> dict[str, object] | list:
    """Read a file into the form that `build_path` and `parse_trajectory` accept.

    Args:
        path: A file, or the folder of a COLMAP model.

    Raises:
        TrajectoryError: no such file, not readable, too large, or not a path in its suffix's form.
    """
    path = Path(path)
    name = file_name(path)
    try:
        if path.is_dir() or path.suffix.lower() in (".txt", ".bin"):
            return read_colmap(path)
        if not path.is_file():
            raise TrajectoryError(f"{name}: expected a camera path, found no such file")
        with path.open("rb") as opened:
            raw = opened.read(MAX_JSON_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, TrajectoryError):
            raise
        raise TrajectoryError(
            f"{name}: cannot be read: {getattr(error, 'strerror', None) or 'invalid name'}"
        ) from error
    return read_path_bytes(raw, path.name, name)


def read_path_bytes(raw: bytes, file: str, name: str) -> dict[str, object] | list:
    """The same for the bytes of an uploaded file.

    Args:
        raw: The file's bytes.
        file: The file's own name, ending in ".json" or ".chan".
        name: For messages.

    Raises:
        TrajectoryError: too large, or not a path in its suffix's form.
    """
    if file.lower().endswith(".chan"):
        if len(raw) > MAX_JSON_BYTES:
            raise TrajectoryError(f"{name}: expected at most {MAX_JSON_BYTES} bytes, got more")
        return read_chan(raw.decode("utf-8", "replace"), file)
    data = read_json(raw, name, TrajectoryError)
    if not isinstance(data, dict | list):
        raise TrajectoryError(f"{name}: expected a JSON object, got {type(data).__name__}")
    return data
