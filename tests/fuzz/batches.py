"""Target: `flashworld batch` with hostile manifests, in this process.

Rows are checked before a model is opened, so a model without weights ends the batch at the first valid row: with exit code 1 and one
sentence. A batch of invalid rows ends with exit code 1 and a table that has a sentence for each, any other with 2 and a sentence.
"""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from flashworld.batch.places import TABLE
from flashworld.batch.results import read_table
from tests.fuzz import pictures, requests_and_paths
from tests.fuzz.command_line import WORDS, Failed, Refused, execute, maybe, model_without_weights, path_file, refusal
from tests.fuzz.hostile import damaged, damaged_bytes, json_bytes, scalar
from tests.fuzz.law import Case, check_sentence
from tests.fuzz.targets import Target

COLUMNS = (
    "id",
    "image",
    "text",
    "trajectory",
    "params",
    "seed",
    "image_index",
    "frames",
    "height",
    "width",
    "fov_y_deg",
    "video",
)


def row_of(rng: random.Random, folder: Path) -> dict[str, Any]:
    """A row of columns, most of them valid, or a whole request."""
    if rng.random() < 0.2:
        return rng.choice([requests_and_paths.own_request, requests_and_paths.original_request])(rng)
    path = rng.choice(["forward", path_file(rng, folder), "none.chan", requests_and_paths.nerf_path(rng)])
    row: dict[str, Any] = {
        "id": f"s{rng.randrange(9)}",
        "text": "a room",
        "trajectory": path,
        "frames": 3,
        "height": 64,
        "width": 96,
    }
    if rng.random() < 0.3:
        row["image"] = rng.choice(
            ["a.png", "none.png", "data:image/png;base64,AAAA", "file:///etc/passwd", "nosuch://a/b.png"]
        )
    if rng.random() < 0.6:
        row[rng.choice([*COLUMNS, "extra"])] = rng.choice([scalar(rng), rng.choice(WORDS)])
    return damaged(rng, row) if rng.random() < 0.3 else row


def manifest(rng: random.Random, folder: Path) -> Path:
    """A manifest in any form, sometimes damaged."""
    rows = [row_of(rng, folder) for _ in range(rng.choice([0, 1, 1, 2, 4]))]
    kind = rng.choice(["jsonl", "jsonl", "csv", "parquet", "folder"])
    if kind == "folder":
        place = folder / "requests"
        place.mkdir()
        for number, row in enumerate(rows):
            (place / f"{number}.json").write_bytes(json_bytes(rng, row))
        return place
    if kind == "jsonl":
        data = b"\n".join(json_bytes(rng, row).replace(b"\n", b" ") for row in rows)
    elif kind == "csv":
        data = csv_bytes(rows)
    else:
        data = parquet_bytes(rows)
    file = folder / rng.choice([f"m.{kind}"] * 8 + ["m.txt", "m\udcff.jsonl"])
    file.write_bytes(damaged_bytes(rng, data) if rng.random() < 0.3 else data)
    return file


def as_text(value: Any) -> str:
    """A cell of a table of texts."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def csv_bytes(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.StringIO()
    names = list(dict.fromkeys(as_text(name) for row in rows if isinstance(row, dict) for name in row))
    writer = csv.writer(buffer)
    writer.writerow(names)
    writer.writerows([as_text(row.get(name, "")) for name in names] for row in rows if isinstance(row, dict))
    return buffer.getvalue().encode()


def parquet_bytes(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    table = [{as_text(name): as_text(value) for name, value in row.items()} for row in rows if isinstance(row, dict)]
    parquet.write_table(pa.Table.from_pylist(table or [{"text": "a room"}]), buffer)
    return buffer.getvalue()


def _batch(rng: random.Random, folder: Path) -> Case:
    (folder / "a.png").write_bytes(pictures.picture_file(rng.randrange(20), 0))
    source = (
        str(manifest(rng, folder))
        if rng.random() < 0.95
        else rng.choice([str(folder / "none.csv"), "nosuch://a.csv", *WORDS])
    )
    out = folder / "results"
    words = [
        "batch",
        source,
        "--out",
        str(out),
        "--model",
        str(model_without_weights(folder)),
        "--device",
        "cpu",
        "--quiet",
    ]
    words += maybe(rng, {"--video-fps": ["5"], "--no-video": [], "--json": [], "--spz": []}, most=1)

    def call() -> None:
        code, lines = execute(words)
        assert not list(out.glob("**/*.part"))
        if any(line.startswith("flashworld") for line in lines):
            error = refusal(code, lines)
            if isinstance(error, Failed):
                assert "weights" in str(error)
                check_sentence(str(error))
                return
            raise error
        outcomes = read_table((out / TABLE).read_bytes())
        assert code == (1 if outcomes else 0)
        for outcome in outcomes:
            assert outcome.state == "failed" and outcome.error
            check_sentence(outcome.error)
        if outcomes:
            raise Refused(str(outcomes[0].error))

    return Case(call, lambda _: None)


TARGETS = (Target("command, batch", 6, _batch),)
