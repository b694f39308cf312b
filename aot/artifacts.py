"""The store of compiled artifacts: one folder each, written atomically, checked before use.

    <root>/<key.slug>/metadata.json     key, SHA-256 and size of every other file, and additional data of the writer
    <root>/<key.slug>/package.pt2       a compiled graph (or one wheel)

A folder appears under its name only when it is complete. One that is damaged or does not match its name is
renamed to `<slug>.bad` and ignored from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aot.keys import ArtifactKey, Key, parse_key
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)

METADATA_NAME = "metadata.json"
PACKAGE_NAME = "package.pt2"
CONSTANTS_NAME = "constants.safetensors"
FORMAT = 1
"""Incremented when older readers would misread the format."""
BAD_SUFFIX = ".bad"
DEFAULT_ROOT = Path(os.environ.get("FLASHWORLD_AOT_DIR", "~/.cache/flashworld/aot")).expanduser()
"""FLASHWORLD_AOT_DIR: folder of compiled graphs and wheels."""


@dataclass(frozen=True)
class Artifact:
    """One complete entry of a store.

    Attributes:
        path: Its folder.
        metadata: Contents of `metadata.json`.
    """

    path: Path
    metadata: Mapping[str, Any]

    @property
    def slug(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def key(self) -> dict[str, Any]:
        """Its key as plain data."""
        return self.metadata["key"]

    @property
    def package(self) -> Path:
        """The compiled graph."""
        return self.path / PACKAGE_NAME

    @property
    def digest(self) -> str:
        """SHA-256 of the package: the same graph has the same digest in every store."""
        return self.metadata["files"][PACKAGE_NAME]["sha256"]


class ArtifactStore:
    """Compiled artifacts in a folder."""

    def __init__(self, root: Path | str = DEFAULT_ROOT) -> None:
        self.root = Path(root).expanduser()

    def save(self, key: Key, files: Mapping[str, bytes], extra: Mapping[str, Any]) -> Artifact:
        """Write an entry; one with the same key is replaced.

        Args:
            key: Its key.
            files: Contents by plain file name.
            extra: Additional plain data for `metadata.json`.

        Raises:
            CompiledBlockError: the folder cannot be written.
        """
        metadata = {
            "format": FORMAT,
            "key": key.as_dict(),
            "files": {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
            },
            **extra,
        }
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self.root) as fresh:
                for name, data in files.items():
                    (Path(fresh) / name).write_bytes(data)
                (Path(fresh) / METADATA_NAME).write_text(json.dumps(metadata, indent=1, sort_keys=True))
                Path(fresh).chmod(0o755)
                self._swap_in(Path(fresh), self.root / key.slug)
        except OSError as error:
            raise CompiledBlockError(f"{self.root}: expected to write {key.slug}, got: {error}") from error
        return Artifact(self.root / key.slug, metadata)

    def _swap_in(self, fresh: Path, target: Path) -> None:
        """Rename a complete folder to its final name, replacing the previous one."""
        with tempfile.TemporaryDirectory(prefix=".old-", dir=self.root) as old:
            if target.exists():
                target.rename(Path(old) / "replaced")
            fresh.rename(target)

    def adopt(self, folder: Path) -> Artifact:
        """Copy an entry from another folder into this store, after verifying its hashes.

        Raises:
            CompiledBlockError: it is damaged or does not match its name, or the store cannot be written.
        """
        artifact = read_artifact(folder)
        if parse_key(artifact.key).slug != artifact.slug:
            raise CompiledBlockError(f"{folder}: its metadata is that of {parse_key(artifact.key).slug}")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self.root) as fresh:
                copy = shutil.copytree(folder, Path(fresh) / artifact.slug)
                self._swap_in(copy, self.root / artifact.slug)
        except OSError as error:
            raise CompiledBlockError(f"{self.root}: expected to write {artifact.slug}, got: {error}") from error
        return Artifact(self.root / artifact.slug, artifact.metadata)

    def load(self, key: Key) -> Artifact:
        """Find an entry and verify its hashes.

        Raises:
            CompiledBlockError: there is none (the message names the nearest ones), or it is damaged or does not match its
                name, in which case it has been set aside.
        """
        path = self.root / key.slug
        if not path.is_dir():
            raise CompiledBlockError(f"{self.root}: no {key.slug}{self._near_misses(key)}")
        try:
            artifact = read_artifact(path)
            if artifact.key != key.as_dict():
                raise CompiledBlockError(f"{path}: expected {key.as_dict()}, its metadata says {artifact.key}")
        except CompiledBlockError as error:
            raise CompiledBlockError(f"{error} (set aside as {self.set_aside(path).name})") from error
        return artifact

    def set_aside(self, path: Path) -> Path:
        """Rename a bad entry so that it is not found again; return its new path.

        Raises:
            CompiledBlockError: the folder cannot be renamed.
        """
        bad = path.with_name(path.name + BAD_SUFFIX)
        shutil.rmtree(bad, ignore_errors=True)
        try:
            path.rename(bad)
        except OSError as error:
            raise CompiledBlockError(f"{path}: is damaged and cannot be set aside: {error}") from error
        logger.warning("%s is set aside as %s", path, bad.name)
        return bad

    def entries(self) -> Iterator[Artifact | CompiledBlockError]:
        """Every entry by name: the artifact, or the error. Nothing is set aside."""
        for path in sorted(self._folders()):
            try:
                yield read_artifact(path)
            except CompiledBlockError as error:
                yield error

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [p for p in self.root.iterdir() if p.is_dir() and p.name[0] != "." and p.suffix != BAD_SUFFIX]

    def _near_misses(self, key: Key) -> str:
        """Entries of the same block for other hardware or source, as the end of a message."""
        wanted, kind = key.as_dict(), "block" if isinstance(key, ArtifactKey) else "kind"
        notes = []
        for path in self._folders():
            try:
                found = _read_metadata(path).get("key", {})
            except CompiledBlockError:
                continue  # damaged entries are not mentioned
            if found.get(kind) == wanted[kind]:
                differ = [
                    f"{name} {str(found.get(name))[:16]}" for name, value in wanted.items() if found.get(name) != value
                ]
                notes.append(f"one has {', '.join(differ)}")
        return f" ({'; '.join(notes)})" if notes else ""


def read_artifact(path: Path) -> Artifact:
    """Read a folder and check its files against the recorded sizes and hashes.

    Raises:
        CompiledBlockError: a file is missing, shorter, longer or different.
    """
    metadata = _read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise CompiledBlockError(f"{path / METADATA_NAME}: expected format {FORMAT}, got {metadata.get('format')}")
    files, key = metadata.get("files"), metadata.get("key")
    if not isinstance(files, dict) or not files or not isinstance(key, dict):
        raise CompiledBlockError(f"{path / METADATA_NAME}: expected a key and a list of files")
    for name, recorded in files.items():
        _check_file(path / Path(name).name, recorded)
    return Artifact(path, metadata)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        data = json.loads((path / METADATA_NAME).read_text())
    except (OSError, ValueError) as error:
        raise CompiledBlockError(f"{path / METADATA_NAME}: expected JSON, got: {error}") from error
    if not isinstance(data, dict):
        raise CompiledBlockError(f"{path / METADATA_NAME}: expected a JSON object, got {type(data).__name__}")
    return data


def _check_file(path: Path, recorded: Any) -> None:  # noqa: ANN401 - straight from JSON
    if not isinstance(recorded, dict) or not path.is_file():
        raise CompiledBlockError(f"{path}: the file is missing")
    size = path.stat().st_size
    if size != recorded.get("bytes"):
        raise CompiledBlockError(f"{path}: expected {recorded.get('bytes')} bytes, got {size}: truncated or replaced")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != recorded.get("sha256"):
        raise CompiledBlockError(f"{path}: expected SHA-256 {recorded.get('sha256')}, got {digest}: corrupted")
