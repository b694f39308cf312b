"""The files of a SOG, in one ZIP or in a folder. Untrusted: names and sizes are checked before anything is read."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from pathlib import Path
from typing import Protocol

from flashworld.checks import echo
from flashworld.errors import SceneFileError
from flashworld.io.reading import SceneFile

MAX_DIRECTORY_BYTES = 64 * 2**10
"""Size of the ZIP's directory: a SOG has eight files."""
END_RECORD = struct.Struct("<IHHHHIIH")


def images(meta: Path) -> list[Path]:
    """The images that the `meta.json` of an unpacked SOG names, which has been read before."""
    parts = [part for part in json.loads(meta.read_bytes()).values() if isinstance(part, dict)]
    return [meta.parent / title for part in parts for title in part.get("files", ())]


class SogFiles(Protocol):
    """The files of a SOG.

    Attributes:
        name: Of the scene, for messages.
        meta: Name of the JSON that describes the others.
    """

    name: str
    meta: str

    def read(self, title: str, most: int) -> bytes:
        """The bytes of one file, at most `most` of them.

        Raises:
            SceneFileError: there is no file of that name, or it is larger.
        """
        ...


class ArchiveFiles:
    """The files of a ZIP."""

    meta = "meta.json"

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name = archive, name

    def read(self, title: str, most: int) -> bytes:
        """See `SogFiles`."""
        try:
            info = self.archive.getinfo(title)
        except KeyError as error:
            raise SceneFileError(f"{self.name}: the SOG file holds no {echo(title)}") from error
        if info.file_size > most:
            raise SceneFileError(f"{self.name}: {echo(title)} in the SOG file must have at most {most} bytes")
        with self.archive.open(info) as file:
            return file.read(most)


class FolderFiles:
    """The files of a folder; names that lead elsewhere, and links, are refused."""

    def __init__(self, folder: Path, meta: str, name: str) -> None:
        self.folder, self.meta, self.name = folder, meta, name

    def read(self, title: str, most: int) -> bytes:
        """See `SogFiles`."""
        file = self.folder / title
        if title != Path(title).name or title in ("", "..") or "\\" in title:
            raise SceneFileError(f"{self.name}: pictures must lie beside meta.json, got {echo(title)}")
        try:
            status = file.lstat()
        except (OSError, ValueError) as error:
            raise SceneFileError(f"{self.name}: there is no {echo(title)} beside it") from error
        if not stat.S_ISREG(status.st_mode):
            raise SceneFileError(f"{self.name}: {echo(title)} beside it must be a file, got a folder, link or device")
        if status.st_size > most:
            raise SceneFileError(f"{self.name}: {echo(title)} beside it must have at most {most} bytes")
        with file.open("rb") as data:
            return data.read(most)


def check_directory(source: SceneFile) -> None:
    """Refuse a ZIP with a long list of files before Python makes objects of them."""
    source.file.seek(max(0, source.size - 65557))
    tail = source.file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + END_RECORD.size > len(tail):
        raise SceneFileError(f"{source.name}: the SOG file is damaged or not a ZIP of WebP pictures")
    _, _, _, _, entries, size, _, _ = END_RECORD.unpack_from(tail, at)
    if size > MAX_DIRECTORY_BYTES:
        raise SceneFileError(f"{source.name}: a SOG file holds a few pictures, got a list of {entries} files")
    source.file.seek(0)
