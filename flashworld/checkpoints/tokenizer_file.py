"""`tokenizer.json`, read verbatim: rebuilding it from its parts gives other ids for unknown characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flashworld.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.

    Raises:
        CheckpointError: missing, or not a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"tokenizer {path.name} is not readable ({type(error).__name__})") from error
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the tokenizers package raises nothing more specific
        raise CheckpointError(f"tokenizer {path.name} is not a tokenizer that this version can read") from error
