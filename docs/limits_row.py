"""One row of `docs/limits.md`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One limit.

    Attributes:
        section: Heading it stands under.
        what: The input.
        limit: What is allowed, in words.
        refuse: A call beyond the limit; raises a `FlashWorldError`.
        accept: A call at the very limit that works; None where that is slow or makes no sense.
        constants: Names in `limits.py` that the words and calls come from.
    """

    section: str
    what: str
    limit: str
    refuse: Callable[[], object]
    accept: Callable[[], object] | None = None
    constants: tuple[str, ...] = ()
