"""Opening an untrusted scene file: size and type are checked before anything is read or allocated."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from flashworld import limits
from flashworld.checks import file_name
from flashworld.errors import SceneFileError


class SceneFile(NamedTuple):
    """An open scene file.

    Attributes:
        file: Binary, at its beginning.
        size: Bytes.
        name: For messages, without folders.
    """

    file: BinaryIO
    size: int
    name: str


@contextmanager
def opened(path: str | Path) -> Iterator[SceneFile]:
    """Open a regular file of an allowed size.

    Raises:
        SceneFileError: missing, not a file, empty, too large, or reading fails later inside the block.
    """
    path, name = Path(path), file_name(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        raise SceneFileError(f"{name}: the file cannot be read: {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise SceneFileError(f"{name}: expected a file, got a folder or device")
    if not 0 < status.st_size <= limits.MAX_SCENE_FILE_BYTES:
        raise SceneFileError(
            f"{name}: a scene file must hold 1 to {limits.MAX_SCENE_FILE_BYTES} bytes, got {status.st_size}"
        )
    try:
        with path.open("rb") as file:
            yield SceneFile(file, status.st_size, name)
    except OSError as error:
        raise SceneFileError(f"{name}: the file cannot be read: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or "invalid name"


def check_count(count: int, name: str) -> int:
    """Return the number of Gaussians if it is allowed.

    Raises:
        SceneFileError: none, or more than `limits.MAX_GAUSSIANS`.
    """
    if not 1 <= count <= limits.MAX_GAUSSIANS:
        raise SceneFileError(f"{name}: expected 1 to {limits.MAX_GAUSSIANS} Gaussians, got {count}")
    return count


def check_finite(values: np.ndarray, field: str, name: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        SceneFileError: names the field.
    """
    if not np.isfinite(values).all():
        raise SceneFileError(f"{name}: {field} must be finite numbers, found NaN or infinity")


def read_rows(source: SceneFile, dtype: np.dtype, count: int) -> np.ndarray:
    """Read the next `count` rows of a table. (count,) structured

    Raises:
        SceneFileError: the file ends earlier.
    """
    table = np.empty(count, dtype=dtype)
    if source.file.readinto(table.view(np.uint8).data) != table.nbytes:  # pyright: ignore[reportAttributeAccessIssue]
        raise SceneFileError(f"{source.name}: the file ends in the middle of its Gaussians")
    return table
