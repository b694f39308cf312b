"""The `Outcome` of each row, and the table of outcomes as Parquet."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from flashworld.errors import WriteError

State = Literal["done", "failed"]


@dataclass(frozen=True)
class Outcome:
    """One row of the table of results.

    Attributes:
        id: Scene id.
        state: "failed" rows are retried when the batch is started again.
        error: One sentence; None when done.
        seed: Seed of the noise; None if the request was rejected.
        seconds: Time from the validated request to the last file.
        gaussians: Number of Gaussians in the files.
        model: Name of the model.
        files: Paths relative to the output location.
        worker: host/process that made the scene.
        digest: Hash of its inputs; see `Row.digest`.
        notes: Sentences on its camera path: what was sorted, ignored or assumed; see `PathOrigin`.
    """

    id: str
    state: State
    error: str | None = None
    seed: int | None = None
    seconds: float | None = None
    gaussians: int | None = None
    model: str | None = None
    files: tuple[str, ...] = ()
    worker: str | None = None
    digest: str = ""
    notes: tuple[str, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """The row as stored in JSON and Parquet."""
        return asdict(self) | {"files": list(self.files), "notes": list(self.notes)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Outcome:
        """Inverse of `to_row`; unknown columns are ignored, and those of older batches may be missing."""
        names = {field.name for field in fields(cls)}
        known: dict[str, Any] = {name: value for name, value in row.items() if name in names}
        known |= {name: tuple(known.get(name) or ()) for name in ("files", "notes")}
        return cls(**known)

    @classmethod
    def from_json(cls, data: bytes) -> Outcome | None:
        """Parse a scene's `result.json`; None if it is invalid."""
        try:
            return cls.from_row(json.loads(data))
        except (ValueError, TypeError, AttributeError):
            return None


def table_bytes(outcomes: list[Outcome]) -> bytes:
    """Serialise the table as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    text = pa.string()
    schema = pa.schema([
        ("id", text), ("state", text), ("error", text), ("seed", pa.int64()), ("seconds", pa.float64()),
        ("gaussians", pa.int64()), ("model", text), ("files", pa.list_(text)), ("worker", text), ("digest", text),
        ("notes", pa.list_(text)),
    ])  # fmt: skip
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([outcome.to_row() for outcome in outcomes], schema), buffer)
    return buffer.getvalue()


def read_table(data: bytes) -> list[Outcome]:
    """Parse a table.

    Raises:
        WriteError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        return [Outcome.from_row(row) for row in parquet.read_table(io.BytesIO(data)).to_pylist()]
    except (pa.ArrowException, TypeError) as error:
        raise WriteError("results.parquet is damaged: delete it, it is written again from the scenes") from error
