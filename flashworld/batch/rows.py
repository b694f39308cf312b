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
"""The table of results lies beside the scenes' folders."""
_ID = re.compile(r"\w([\w .+@=-]*\w)?")


@dataclass(frozen=True)
class Row:
    """A requested scene, not checked yet.

    Attributes:
        id: Of the scene and the name of its folder.
        number: Where it stands in the manifest, from 1.
        fields: What the row says, or nothing for a request file.
        file: A request file of this machine; None for a row of a table.
        problem: Why the row cannot be read at all; None if it can.
    """

    id: str
    number: int
    fields: Mapping[str, object]
    file: str | None = None
    problem: str | None = None

    @property
    def seed(self) -> int:
        """The seed of a row that gives none: the same for the same id, on every machine."""
        return int.from_bytes(hashlib.sha256(f"flashworld seed {self.id}".encode()).digest()[:8]) % (MAX_SEED + 1)

    def digest(self, settings: str = "") -> str:
        """SHA-256 of what decides what is made: the row or its request file, and the batch's settings as a text.

        Pictures count by name.
        """
        said = {"id": self.id, "fields": self.fields, "file": self.file and _file_digest(self.file)}
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, default=_digestible)
        return hashlib.sha256(f"{settings}\n{text}".encode()).hexdigest()


def _file_digest(file: str) -> str:
    """Of a request file's bytes; of its name where it cannot be read, which the request's check reports."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return file


def default_id(number: int) -> str:
    """The id of a row that has none."""
    return f"{number:06}"


def broken_id(number: int) -> str:
    """The id of a row that cannot be read: no id that a row can have."""
    return f"#{number}"


def checked_id(value: object) -> str:
    """An id that can name a folder on every file system.

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
    """Bytes of pictures in Parquet files, and numbers and dates of other libraries."""
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
