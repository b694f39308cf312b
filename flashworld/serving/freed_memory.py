"""Give memory that the process has freed back to the system.

The C library keeps what is freed for later: in an app whose threads allocate and free tens of megabytes for every scene,
what it keeps is scattered between small long-lived blocks, and grows for hundreds of scenes.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def return_freed_memory() -> None:
    """Return free pages of all heaps to the system; without glibc nothing happens.

    Takes 10 ms when there is little to return, up to 0.3 s for a gigabyte. Other Python threads run meanwhile.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`, or None where it is not glibc."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: Windows does not take None
        return None
