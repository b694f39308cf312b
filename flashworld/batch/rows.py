"""One row of a manifest, its id, and the seed that follows from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flashworld.checks import echo
from flashworld.errors import InputError
from flashworld.limits import MAX_ID_CHARS, MAX_SEED

RESERVED_IDS = ("results.parquet",)
"""Reserved: the table of results is stored next to the scene folders."""
_ID = re.compile(r"\w([\w .+@=-]*\w)?")


@dataclass(frozen=True)
class Row:
    """A requested scene, not validated yet.

    Attributes:
        id: Scene id, and the name of its folder.
        number: Row number in the manifest, from 1.
        fields: Fields of the row; empty for a request file.
        file: A local request file; None for a row of a table.
        problem: Why the row cannot be read; None if it can.
    """

    id: str
    number: int
    fields: Mapping[str, object]
    file: str | None = None
    problem: str | None = None

    @property
    def seed(self) -> int:
        """The default seed of a row: deterministic in the id, on every machine."""
        return int.from_bytes(hashlib.sha256(f"flashworld seed {self.id}".encode()).digest()[:8]) % (MAX_SEED + 1)

    def digest(self, settings: str = "") -> str:
        """SHA-256 of the scene's inputs: the row or its request file, and the batch's settings as text.

        Images are identified by name, not by content.
        """
        said = {"id": self.id, "fields": self.fields, "file": self.file and _file_digest(self.file)}
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, default=_digestible)
        return hashlib.sha256(f"{settings}\n{text}".encode()).hexdigest()


def _file_digest(file: str) -> str:
    """Digest of a request file's bytes, or of its name if it cannot be read, which validation reports."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return file


def default_id(number: int) -> str:
    """The default id of a row."""
    return f"{number:06}"


def broken_id(number: int) -> str:
    """The id of an unreadable row; not a valid id of any other row."""
    return f"#{number}"


def checked_id(value: object) -> str:
    """Validate an id, which must be a valid folder name on every file system.

    Raises:
        InputError: empty, too long, or other characters than letters, digits, spaces and `_ . + @ = -`.
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if len(text) > MAX_ID_CHARS or not _ID.fullmatch(text) or text.lower() in RESERVED_IDS:
        raise InputError(
            f"id must be 1 to {MAX_ID_CHARS} letters, digits and inner _ . + @ = - or spaces, got {echo(value)}"
        )
    return text


def _digestible(value: object) -> str:
    """JSON fallback for image bytes in Parquet files, and for other libraries' numbers and dates."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
