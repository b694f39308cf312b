"""`docs/limits.md` agrees with the code: every constant, every limit, every message."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs.limits_rows import all_rows
from docs.make_limits import TARGET, cell, code, constants, generate, sentence_of
from flashworld import limits

ROOT = Path(__file__).parents[2]
NO_REFUSAL = {"ANONYMOUS_GPU_SECONDS", "MAX_ICC_BYTES"}
"""Not a limit on anything a visitor gives, and one beyond which the file's word is ignored, as the file says above its tables."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return all_rows(tmp_path_factory.mktemp("limits"))


@pytest.fixture(scope="module")
def written() -> str:
    return TARGET.read_text(encoding="utf-8")


def test_every_message_in_the_file_is_that_of_a_refusal(rows, written):
    for row in rows:
        line = f"| {cell(row.what)} | {cell(row.limit)} | {code(sentence_of(row))} |"
        assert line in written, f"run `python -m docs.make_limits`: {line}"


def test_values_at_the_limit_are_accepted(rows):
    for row in rows:
        if row.accept is not None:
            row.accept()


def test_every_constant_of_the_code_has_a_row_with_its_value(rows, written):
    names = {name for name in vars(limits) if name.isupper()}
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", written, re.MULTILINE))
    assert table.keys() == names == constants().keys()
    for name, value in table.items():
        assert float(value) == getattr(limits, name), name
    assert {name for row in rows for name in row.constants} == names - NO_REFUSAL


def test_the_file_is_the_generated_one(written):
    assert written == generate(), "run `python -m docs.make_limits`"


def test_the_pages_own_limit_is_the_one_stated(written):
    (size,) = re.findall(r'"max_file_size": "(\d+)mb"', (ROOT / "ui" / "page.py").read_text())
    assert f"uploads of up to {size} MB" in written


INPUT_MODULES = (
    "inputs", "checks", "io/request_json", "io/json_text", "io/reading",
    "io/images/reading", "io/images/data_urls", "io/images/crops",
    "io/scenes/ply", "io/scenes/ply_body", "io/scenes/ply_columns", "io/scenes/ply_header", "io/scenes/spz", "io/scenes/splat",
    "io/scenes/spz_body", "io/scenes/spz_zstd", "io/scenes/spz_extensions", "io/scenes/sog", "io/scenes/sog_reader", "io/scenes/sog_files",
    "io/scenes/compressed_ply",
    "trajectories/json_forms", "trajectories/own_json", "trajectories/original_json", "trajectories/transforms_json",
    "trajectories/camera_json", "trajectories/resolve",
    "trajectories/keyframes", "trajectories/presets", "trajectories/paths", "trajectories/lenses", "trajectories/matrices",
    "trajectories/nerfstudio_path", "trajectories/inria_cameras", "trajectories/colmap", "trajectories/chan",
    "trajectories/files", "io/images/pixels",
)  # fmt: skip
INSIDE_PYTHON = (
    "video must be VideoSettings",  # a type of this project, constructed wrongly
    "cameras must be one a frame",
    "picture in a request must be uint8",
    "SPZ positions must fit 24 bits",  # from a writer, not about input
    " decode",  # only where warnings are errors; the size is refused first
    "the COLMAP model cannot be read",  # an operating-system error
    "the file ends in the middle of its Gaussians",  # truncated while it is read
)
REFUSING = {
    "InputError",
    "TrajectoryError",
    "ImageError",
    "PromptError",
    "SceneFileError",
    "error",
    "ValueError",
    "_refuse",
}


def refusals(module: str) -> list[str]:
    """The longest literal part of every refusal message of a module."""
    tree = ast.parse((ROOT / "flashworld" / f"{module}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSING]
    found = []
    for call in calls:
        pieces = [
            part.value for part in ast.walk(call) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        if pieces:
            found.append(max(pieces, key=len))
    return found


@pytest.mark.parametrize("module", INPUT_MODULES)
def test_every_refusal_of_the_code_has_a_row(module, written):
    missing = [
        piece for piece in refusals(module) if piece not in written and not any(p in piece for p in INSIDE_PYTHON)
    ]
    assert not missing
