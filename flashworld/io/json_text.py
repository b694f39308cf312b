"""Decoding of untrusted JSON text with bounded time and memory.

Refused before decoding: too many bytes, too many values. Refused while decoding: NaN and Infinity (they are not JSON),
the same key twice in one object (readers disagree on which one applies), nesting beyond the limit of Python's decoder.
"""

from __future__ import annotations

import json

from flashworld.checks import echo
from flashworld.errors import InputError
from flashworld.limits import MAX_JSON_BYTES, MAX_JSON_VALUES

MAX_DIGITS = 400
"""An integer with more digits is beyond every float; Python's own limit is 4300."""


def read_json(data: str | bytes, what: str, error: type[InputError] = InputError) -> object:
    """Decode JSON text.

    Args:
        data: The text, or its UTF-8 bytes.
        what: Name of the input for messages, for example "camera path".
        error: Exception class to raise.

    Raises:
        InputError: or the class given: too large, not UTF-8, not JSON, or one of the refusals above.
    """
    if len(data) > MAX_JSON_BYTES:
        raise error(f"{what}: expected at most {MAX_JSON_BYTES} bytes of JSON, got {len(data)}")
    try:
        text = bytes(data).decode("utf-8-sig") if isinstance(data, bytes | bytearray) else data.removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise error(f"{what}: expected JSON in UTF-8, got other bytes") from None
    values = sum(text.count(mark) for mark in "[{,")
    if values > MAX_JSON_VALUES:
        raise error(f"{what}: expected at most {MAX_JSON_VALUES} values, got {values}")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_whole, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as problem:
        raise error(f"{what}: not JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}") from None
    except RecursionError:
        raise error(f"{what}: JSON is nested too deeply") from None
    except ValueError as problem:  # from the hooks below
        raise error(f"{what}: not JSON: {problem}") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"key {echo(name)} comes twice in one object")
        found[name] = value
    return found
