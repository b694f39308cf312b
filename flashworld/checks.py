"""Checks of input values: accepted exactly or refused with the field's name, never converted by guessing.

A boolean, a string, NaN and infinity are not numbers. 24.0 is a whole number (JSON writers produce it), 24.5 is not.
"""

from __future__ import annotations

import math
import numbers
from pathlib import Path

import numpy as np

from flashworld.errors import InputError

MAX_ECHO_CHARS = 40
MAX_NAME_CHARS = 80


def echo(value: object) -> str:
    """An input value for use in a message: escaped, on one line, short."""
    if isinstance(value, dict | list | tuple | set | bytes | bytearray):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**MAX_ECHO_CHARS:
        return "a huge number"  # Python limits the digits it prints
    if isinstance(value, str):
        value = value[: MAX_ECHO_CHARS + 1]  # escaping all of it would cost ten times its size
    elif value is not None and not isinstance(value, int | float | np.generic):
        return type(value).__name__  # its repr may be long and span many lines
    text = ascii(value)
    return text if len(text) <= MAX_ECHO_CHARS else text[: MAX_ECHO_CHARS - 3] + "..."


def file_name(path: str | Path) -> str:
    """The last part of a path for use in a message: without control characters, on one line, short."""
    return one_line(Path(path).name, MAX_NAME_CHARS)


def one_line(text: str, most: int) -> str:
    """Text with a question mark for every control character and direction override, cut to `most` characters."""
    text = "".join(mark if mark.isprintable() else "?" for mark in text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."


def real_number(
    value: object, name: str, low: float, high: float, error: type[InputError] = InputError, unit: str = ""
) -> float:
    """A finite number between two limits.

    Args:
        value: The input.
        name: The field's name, for the message.
        low: Smallest value allowed.
        high: Largest value allowed.
        error: Exception class to raise.
        unit: Written after the limits, for example " degrees".

    Raises:
        InputError: or the class given: not a number, not finite, or outside the limits.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = _to_float(value)
        if math.isfinite(number) and low <= number <= high:
            return number
    raise error(f"{name} must be a number from {low:g} to {high:g}{unit}, got {echo(value)}")


def whole_number(value: object, name: str, low: int, high: int, error: type[InputError] = InputError) -> int:
    """A whole number between two limits; see `real_number`."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = _to_float(value)
        if math.isfinite(number) and number == int(number) and low <= number <= high:
            return int(number)  # exact: every limit here lies far below 2^53
    raise error(f"{name} must be a whole number from {low} to {high}, got {echo(value)}")


def true_or_false(value: object, name: str, error: type[InputError] = InputError) -> bool:
    """A boolean, and no value that merely converts to one.

    Raises:
        InputError: or the class given.
    """
    if isinstance(value, bool):
        return value
    raise error(f"{name} must be true or false, got {echo(value)}")


def one_of(value: object, name: str, choices: tuple[str, ...], error: type[InputError] = InputError) -> str:
    """One of several strings.

    Raises:
        InputError: or the class given; the message lists the choices.
    """
    if isinstance(value, str) and value in choices:
        return value
    raise error(f"{name} must be one of {', '.join(choices)}, got {echo(value)}")


def _to_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return math.inf
