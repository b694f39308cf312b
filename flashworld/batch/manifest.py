"""A manifest lists the scenes of a batch: a folder of requests, or a table as JSON Lines, CSV or Parquet.

Columns of a table are the fields of a request (see `flashworld.io.request_json`), each optional but for one of `image`
and `text`, plus `id`, and `params` for the parameters of a preset. A JSON line may also be a complete request of either
form. Other columns are ignored. Tables are streamed twice: ids and columns are validated before any scene is made.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flashworld.batch.rows import Row, broken_id, checked_id, default_id
from flashworld.checks import echo, one_line
from flashworld.errors import DependencyError, InputError
from flashworld.io.json_text import read_json
from flashworld.io.request_files import find_request_files
from flashworld.io.request_json import FIELDS as REQUEST_FIELDS
from flashworld.io.request_json import ORIGINAL_FIELDS
from flashworld.limits import MAX_MANIFEST_ROWS

COLUMNS = ("id", "image", "text", "trajectory", "params", "seed", "image_index", "frames", "height", "width", "fov_y_deg",
           "video")  # fmt: skip
KNOWN = {*COLUMNS, *REQUEST_FIELDS, *ORIGINAL_FIELDS, "cameras"}
WANTED = ("image", "text", "image_prompt", "text_prompt")
"""A table needs at least one of these columns."""
WHOLE_COLUMNS = ("seed", "image_index", "frames", "height", "width")
JSON_COLUMNS = ("params", "video")
PARQUET_ROWS = 64
"""Rows per read; small, because rows may contain images."""
Reader = Callable[[str], Iterator["dict[str, object] | str"]]
"""Maps the manifest's location to its rows; a string in place of a row states why the row cannot be read."""


@dataclass(frozen=True)
class Manifest:
    """An opened manifest.

    Attributes:
        place: Path or URL.
        ids: Scene ids, in order.
        ignored: Columns that are not used.
    """

    place: str
    ids: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def rows(self) -> Iterator[Row]:
        """Iterate over the rows."""
        return _rows(self.place)

    @property
    def folder(self) -> str:
        """Folder to which image and path names in the table are relative."""
        return self.place.rstrip("/").rpartition("/")[0] or ("/" if self.place.startswith("/") else ".")


def open_manifest(place: str) -> Manifest:
    """Read ids and columns.

    Args:
        place: A local folder of request files, or a `.jsonl`, `.ndjson`, `.csv` or `.parquet` file anywhere
            fsspec reads.

    Raises:
        InputError: not found, not a manifest, no rows or too many, missing columns, or a duplicate id.
    """
    place = place if "://" in place else str(Path(place).absolute())  # workers may have another working directory
    numbers: dict[str, int] = {}
    columns: dict[str, None] = {}
    name = _short(place)
    for row in _rows(place):
        if row.id in numbers:
            raise InputError(f"{name}: ids must differ, got {echo(row.id)} in rows {numbers[row.id]} and {row.number}")
        if row.number > MAX_MANIFEST_ROWS:
            raise _too_many(place)
        numbers[row.id] = row.number
        columns |= dict.fromkeys(("text",) if row.file else row.fields)
    if not numbers:
        raise InputError(f"{name}: the manifest has no rows")
    if not any(column in columns for column in WANTED):
        raise InputError(
            f"{name}: a manifest needs a column image or text, got {one_line(', '.join(columns), 80) or 'none'}"
        )
    return Manifest(place, tuple(numbers), tuple(one_line(c, 40) for c in columns if c not in KNOWN))


def _rows(place: str) -> Iterator[Row]:
    suffix = place.rpartition(".")[2].lower()
    reader = READERS.get(suffix)
    if reader is None:
        yield from _requests(place)
        return
    for number, fields in enumerate(_read(place, reader), 1):
        if isinstance(fields, str):
            yield Row(broken_id(number), number, {}, problem=fields)
            continue
        fields = {name: value for name, value in fields.items() if value is not None and value != ""}
        wanted = fields.pop("id", None)
        try:
            yield Row(default_id(number) if wanted is None else checked_id(wanted), number, fields)
        except InputError as error:
            yield Row(broken_id(number), number, fields, problem=str(error))


def _requests(place: str) -> Iterator[Row]:
    """A folder of request files."""
    if "://" in place:
        raise InputError(
            f"{_short(place)}: a manifest elsewhere must end in {_endings()}; folders must be on this machine"
        )
    path = Path(place)
    files = find_request_files(path)
    if path in files.values():
        raise InputError(f"{_short(place)}: a manifest must be a folder of requests or end in {_endings()}")
    for number, (name, file) in enumerate(files.items(), 1):
        named = path.resolve().name if name is None else name
        try:
            yield Row(checked_id(named), number, {}, file=str(file.resolve()))
        except InputError as error:
            yield Row(broken_id(number), number, {}, file=str(file.resolve()), problem=str(error))


def _read(place: str, reader: Reader) -> Iterator[dict[str, object] | str]:
    """A reader's rows; read errors become one-sentence messages."""
    try:
        yield from reader(place)
    except InputError:
        raise
    except ImportError as error:
        raise DependencyError(f"{_short(place)}: cannot be read: {one_line(str(error), 200)}") from error
    except (OSError, ValueError, csv.Error) as error:  # ValueError: other encodings, broken Parquet, unknown protocols
        reason = getattr(error, "strerror", None) or one_line(str(error), 120) or type(error).__name__
        raise InputError(f"{_short(place)}: the manifest cannot be read: {reason}") from error


@contextmanager
def _opened(place: str, mode: str, **options: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever fsspec takes and gives
    import fsspec

    with fsspec.open(place, mode, **options) as file:  # pyright: ignore[reportGeneralTypeIssues]
        yield file


def _json_lines(place: str) -> Iterator[dict[str, object] | str]:
    with _opened(place, "rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                value = read_json(line, "row")
            except InputError as error:
                yield str(error)
                continue
            yield dict(value) if isinstance(value, Mapping) else f"row must be a JSON object, got {echo(value)}"


def _csv(place: str) -> Iterator[dict[str, object] | str]:
    with _opened(place, "rt", encoding="utf-8-sig", newline="") as file:
        for cells in csv.DictReader(file):
            if None in cells:
                yield f"row has {len(cells[None])} more cells than the table has columns"  # pyright: ignore[reportArgumentType]
                continue
            yield {name: _cell(name, text) for name, text in cells.items()}


def _cell(column: str, text: str | None) -> object:
    """Parse a CSV cell by its column; text that is not a number is kept, and rejected later."""
    if text is None or not text.strip():
        return None
    try:
        if column in WHOLE_COLUMNS:
            return int(text)
        return float(text) if column == "fov_y_deg" else text
    except ValueError:
        return text


def _parquet(place: str) -> Iterator[dict[str, object] | str]:
    import pyarrow.parquet as parquet

    with _opened(place, "rb") as file, parquet.ParquetFile(file) as table:
        if table.metadata.num_rows > MAX_MANIFEST_ROWS:
            raise _too_many(place)
        for batch in table.iter_batches(PARQUET_ROWS):
            yield from batch.to_pylist()


READERS: dict[str, Reader] = {"jsonl": _json_lines, "ndjson": _json_lines, "csv": _csv, "parquet": _parquet}


def _too_many(place: str) -> InputError:
    return InputError(f"{_short(place)}: a manifest must have at most {MAX_MANIFEST_ROWS} rows, got more")


def _endings() -> str:
    return ", ".join(f".{suffix}" for suffix in READERS)


def _short(place: str) -> str:
    """The manifest's name in messages."""
    return one_line(place.rstrip("/").rpartition("/")[2] or place, 80)


def decoded(column: str, value: object) -> object:
    """Parse a cell that may contain JSON as text, as in CSV.

    Raises:
        InputError: invalid JSON.
    """
    is_text = isinstance(value, str) and value.lstrip()[:1] in ("{", "[")
    return read_json(value, column) if is_text else value  # pyright: ignore[reportArgumentType]
