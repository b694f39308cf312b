"""Write `docs/limits.md`: every input, its limit, and the sentence that refuses what lies beyond.

    python -m docs.make_limits

Values come from `flashworld/limits.py`; sentences are not typed here but provoked: each row holds a call that is
refused, and where that is cheap one at the very limit that is not. `tests/unit/test_limits_doc.py` checks that the file
says what the code does.
"""

from __future__ import annotations

import ast
import tempfile
from itertools import groupby
from pathlib import Path

from docs.limits_row import Row
from docs.limits_rows import all_rows
from flashworld import limits
from flashworld.errors import FlashWorldError

TARGET = Path(__file__).with_name("limits.md")
INTRODUCTION = """\
# Limits

Every input, its limit, and the sentence that refuses what lies beyond it. The page, the API, the command line and the
library share these checks. They run before any GPU second is spent and before a file is written. A refusal is an
`InputError` (or a subclass); on the command line it is one line on standard error and exit code 2.

This file is written by `python -m docs.make_limits`, which provokes every sentence. The numbers live in
[`flashworld/limits.py`](../flashworld/limits.py).

The page takes uploads of up to 48 MB.

Not refused: a picture whose colour profile is larger than `MAX_ICC_BYTES` is read without it, with a warning in the log. HDR
pictures (PQ or HLG, by code points or by an ICC profile) are tone-mapped.
"""


def sentence_of(row: Row) -> str:
    """What a refused call says.

    Raises:
        AssertionError: the call is not refused.
    """
    try:
        row.refuse()
    except FlashWorldError as error:
        return str(error)
    raise AssertionError(f"{row.what}: expected a refusal")


def constants() -> dict[str, tuple[object, str]]:
    """Value and meaning (empty where none is given) of every constant of `limits.py`."""
    body = ast.parse(Path(limits.__file__).read_text(encoding="utf-8")).body
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[name] = (getattr(limits, name), str(text))
    return found


def render(rows: list[Row]) -> str:
    """The whole file."""
    parts = [INTRODUCTION]
    for section, members in groupby(rows, key=lambda row: row.section):
        parts += [f"\n## {section}\n", "| Input | Limit | Beyond it |", "|---|---|---|"]
        parts += [f"| {cell(row.what)} | {cell(row.limit)} | {code(sentence_of(row))} |" for row in members]
    parts += ["\n## Constants\n", "| Name | Value | Why |", "|---|---|---|"]
    parts += [f"| `{name}` | {value} | {cell(why)} |" for name, (value, why) in constants().items()]
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def cell(text: str) -> str:
    """Text inside a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """A sentence as code inside a table, whatever marks it holds."""
    fence = "``" if "`" in text else "`"
    space = " " if fence == "``" else ""
    return f"{fence}{space}{cell(text)}{space}{fence}"


def generate() -> str:
    """The file as it should be now."""
    with tempfile.TemporaryDirectory() as folder:
        return render(all_rows(Path(folder)))


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
