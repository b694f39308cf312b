"""The rows of `docs/limits.md` about batches: manifests, their ids, and where scenes go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from docs.limits_row import Row
from flashworld import limits as at
from flashworld.batch.manifest import open_manifest
from flashworld.batch.places import Place
from flashworld.batch.rows import checked_id


def batch_rows(folder: Path) -> Iterator[Row]:
    """What `flashworld batch` refuses before it makes anything.

    Args:
        folder: An empty folder for manifests.
    """

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Batch", *args, **more)

    def lines(*rows: dict[str, object]) -> object:
        path = folder / "scenes.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        return open_manifest(str(path))

    def many(count: int) -> object:
        path = folder / "scenes.parquet"
        parquet.write_table(pa.table({"text": pa.nulls(count, pa.string())}), path)
        return open_manifest(str(path))

    text = {"text": "a room"}
    yield row("a manifest", "there, and of a known kind", lambda: open_manifest("none.jsonl"), lambda: lines(text))
    yield row("its columns", "image or text among them", lambda: lines({"caption": "a room"}))
    yield row("its ids", "each once", lambda: lines({"id": "a", **text}, {"id": "a", **text}))
    yield row(
        "its rows",
        f"1 to {at.MAX_MANIFEST_ROWS:,}",
        lambda: many(at.MAX_MANIFEST_ROWS + 1),
        None,
        ("MAX_MANIFEST_ROWS",),
    )
    yield row(
        "an id (refuses its row alone)", f"1 to {at.MAX_ID_CHARS} characters, a name for a folder",
        lambda: checked_id("../a"), lambda: checked_id("a" * at.MAX_ID_CHARS), ("MAX_ID_CHARS",),
    )  # fmt: skip
    yield row("--out", "an address of a known kind", lambda: Place("ftp4://host/scenes"))
    yield row("--out", "can be written", lambda: Place("/dev/null/scenes").require_access())
