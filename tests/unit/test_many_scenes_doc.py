"""`docs/many_scenes.md` is correct: its commands run (`test_documents` parses the others), its manifest loads, its table of columns is the code's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from flashworld.batch.manifest import COLUMNS, open_manifest
from flashworld.batch.requests import RequestSettings, request_of
from flashworld.batch.results import Outcome, read_table
from flashworld.cli import main
from flashworld.config import FULL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "many_scenes.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```([a-z]*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SMALL = {"frames": 2, "height": 64, "width": 64}


def blocks(kind: str) -> list[str]:
    return [text for name, text in FENCES if name == kind]


def commands(kind: str) -> list[list[str]]:
    return [shlex.split(line.removeprefix("$ ")) for text in blocks(kind) for line in text.splitlines()]


@pytest.fixture
def sandbox(tmp_path, monkeypatch) -> Path:
    """A working folder with two small examples and the page's manifest, small."""
    for name in ("coffee", "cat"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name)
        file = tmp_path / "examples" / name / "request.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | SMALL))
    (text,) = blocks("jsonl")
    rows = [json.loads(line) | SMALL | {"video": {"fps": 2, "seconds": 1}} for line in text.splitlines()]
    (tmp_path / "scenes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_commands_run(sandbox):
    for words in commands("console"):
        assert words[:3] == ["python", "-m", "flashworld"]
        assert main([*words[3:], "--quiet"]) == 0
    table = read_table((sandbox / "out/many/results.parquet").read_bytes())
    assert [row.id for row in table] == ["kitchen", "garden"]
    made = {path.name for path in (sandbox / "out/many/kitchen").iterdir()}
    (text,) = blocks("text")
    assert all(name in text for name in made - {"scene.ply"}) and "result.json" in made
    assert {path.parent.name for path in (sandbox / "out/many").glob("*/result.json")} == {
        "kitchen", "garden", "coffee", "cat"
    }  # fmt: skip


def test_the_manifest_loads(sandbox):
    manifest = open_manifest("scenes.jsonl")
    kitchen, garden = (request_of(row, RequestSettings(manifest.folder, FULL)) for row in manifest.rows())
    assert kitchen.path.params["angle_deg"] == 20 and garden.seed == 7


def test_columns_and_results_match_the_code():
    table = PAGE.partition("| Column |")[2].partition("\n\n")[0]
    named = [name for line in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", line)]
    assert sorted(named) == sorted(COLUMNS)
    (text,) = blocks("text")
    assert re.findall(r"\w+", text.splitlines()[0].partition("parquet")[2]) == list(Outcome.__dataclass_fields__)
