"""Convert uploaded camera path files to the path JSON of the form: one JSON or .chan file, or a COLMAP model.

A model has several files, uploaded together or as a ZIP. From a ZIP only the files of one model are unpacked,
under our own file names, each limited to the maximum size of an upload.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from flashworld.checks import one_line
from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_JSON_BYTES
from flashworld.trajectories.colmap import read_colmap
from flashworld.trajectories.files import read_path_bytes

MODEL_FILES = {f"{name}{kind}" for name in ("cameras", "images") for kind in (".bin", ".txt")}
SUFFIXES = [".json", ".chan", ".txt", ".bin", ".zip"]
"""File types offered by the page's file dialog."""
EXPECTED = "expected one JSON or .chan file, or a COLMAP model's cameras and images together, or a ZIP of one"


def files_as_text(files: Sequence[Path]) -> str:
    """Uploaded files as path JSON: JSON unchanged, other formats converted.

    Raises:
        TrajectoryError: they cannot be read, are too large, or are not one path.
    """
    if len(files) == 1 and files[0].suffix.lower() in (".json", ".chan"):
        return _one_file(files[0])
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if len(files) == 1 and files[0].suffix.lower() == ".zip":
                _unpack(files[0], folder)
            else:
                _gather(files, folder)
            return json.dumps(read_colmap(folder))
    except OSError as error:
        raise TrajectoryError("path file: it cannot be read, upload it again") from error


def _one_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise TrajectoryError("path file: it cannot be read, upload it again") from error
    if file.suffix.lower() != ".json":
        return json.dumps(read_path_bytes(raw, file.name, "path file"))
    return raw.decode("utf-8-sig", "replace")  # binary data is refused later as invalid JSON, next to the box


def _gather(files: Sequence[Path], folder: Path) -> None:
    """Collect a model's uploads in one folder; its points are not needed."""
    for file in files:
        name = file.name.lower()
        if name in MODEL_FILES:
            shutil.copyfile(file, folder / name)
        elif not name.startswith(("points3d.", "rigs.", "frames.")):
            raise TrajectoryError(f"path files: {EXPECTED}, got {_listed([file.name for file in files])}")
    _check_whole({file.name for file in folder.iterdir()})


def _unpack(archive: Path, folder: Path) -> None:
    with _opened(archive) as opened:
        members = [entry for entry in opened.infolist() if PurePosixPath(entry.filename).name.lower() in MODEL_FILES]
        if len({PurePosixPath(entry.filename).parent for entry in members}) > 1:
            raise TrajectoryError("path file: expected a ZIP of one COLMAP model, got several in their folders")
        _check_whole({PurePosixPath(entry.filename).name.lower() for entry in members})
        for entry in members:
            with opened.open(entry) as packed:
                raw = packed.read(MAX_JSON_BYTES + 1)  # the size recorded in the archive may be wrong
            if len(raw) > MAX_JSON_BYTES:
                raise TrajectoryError(
                    f"path file: a file of the ZIP must have at most {MAX_JSON_BYTES} bytes, got more"
                )
            (folder / PurePosixPath(entry.filename).name.lower()).write_bytes(raw)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, TrajectoryError):
            raise
        raise TrajectoryError("path file: the ZIP is damaged, encrypted or of an unknown kind") from error


def _check_whole(names: set[str]) -> None:
    if not any({f"cameras{kind}", f"images{kind}"} <= names for kind in (".bin", ".txt")):
        raise TrajectoryError(f"path files: {EXPECTED}, got {_listed(names) if names else 'none of these'}")


def _listed(names: Sequence[str] | set[str]) -> str:
    shown = sorted(one_line(name, 40) for name in names)
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
