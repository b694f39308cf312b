"""A manifest: which scenes a batch makes. A folder of requests, or a table as JSON lines, CSV or Parquet.

Columns of a table are the fields of a request (see `flashworld.io.request_json`), each optional but for one of `image`
and `text`, plus `id`, and `params` for the parameters of a preset. A JSON line may also be a whole request of either form.
Other columns are left alone. Tables are read row by row, twice: ids and columns are checked before anything is made.
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
"""A table without any of these describes no scene."""
WHOLE_COLUMNS = ("seed", "image_index", "frames", "height", "width")
JSON_COLUMNS = ("params", "video")
PARQUET_ROWS = 64
"""Rows read together: they may hold their pictures."""
Reader = Callable[[str], Iterator["dict[str, object] | str"]]
"""From the manifest's place to its rows; a text in place of a row says why it cannot be read."""


@dataclass(frozen=True)
class Manifest:
    """An opened manifest.

    Attributes:
        place: Where it is: a path or an address.
        ids: Of every scene, in order.
        ignored: Columns that mean nothing here.
    """

    place: str
    ids: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def rows(self) -> Iterator[Row]:
        """The rows again, one at a time."""
        return _rows(self.place)

    @property
    def folder(self) -> str:
        """What names of pictures and paths in the table are relative to."""
        return self.place.rstrip("/").rpartition("/")[0] or ("/" if self.place.startswith("/") else ".")


def open_manifest(place: str) -> Manifest:
    """Read ids and columns.

    Args:
        place: A folder of request files on this machine, or a `.jsonl`, `.ndjson`, `.csv` or `.parquet` file anywhere
            fsspec reads.

    Raises:
        InputError: nothing is there, it is no manifest, it has no rows or too many, columns are missing, or an id
            stands twice.
    """
    place = place if "://" in place else str(Path(place).absolute())  # workers may live in other folders
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
    if path.is_file():
        raise InputError(f"{_short(place)}: a manifest must be a folder of requests or end in {_endings()}")
    for number, (name, file) in enumerate(find_request_files(path).items(), 1):
        named = path.resolve().name if name is None else name
        try:
            yield Row(checked_id(named), number, {}, file=str(file.resolve()))
        except InputError as error:
            yield Row(broken_id(number), number, {}, file=str(file.resolve()), problem=str(error))


def _read(place: str, reader: Reader) -> Iterator[dict[str, object] | str]:
    """A reader's rows; whatever keeps it from reading is one sentence."""
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
    """What a CSV's text means in its column; a text that is no number stays one, and is refused later."""
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
    """The manifest's name for messages."""
    return one_line(place.rstrip("/").rpartition("/")[2] or place, 80)


def decoded(column: str, value: object) -> object:
    """A cell that may hold JSON as text, as it does in CSV.

    Raises:
        InputError: broken JSON.
    """
    is_text = isinstance(value, str) and value.lstrip()[:1] in ("{", "[")
    return read_json(value, column) if is_text else value  # pyright: ignore[reportArgumentType]
