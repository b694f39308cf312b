"""Return memory that the process has freed to the system, and free unreachable objects sooner.

The C library keeps freed memory for reuse. In an app whose threads allocate and free tens of megabytes for every scene,
this memory is fragmented by small long-lived blocks and grows over hundreds of scenes.

Python's garbage collector visits all objects each time their number has grown by a quarter. With half a million objects of
libraries that is rare, so unreachable objects accumulate, and a visit stops all threads for 0.3 s on a slow core.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Callable


def return_freed_memory() -> None:
    """Return free pages of all heaps to the system; does nothing without glibc.

    Takes 10 ms when there is little to return, up to 0.3 s for a gigabyte. Other Python threads run meanwhile.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def exclude_from_collection() -> None:
    """Exclude all objects that exist now from later garbage collections. To be called when something large has been loaded."""
    gc.collect()
    gc.freeze()
    gc.collect()  # visits none, and sets the number from which a quarter is counted


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`, or None if the library is not glibc."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: Windows does not accept None
        return None
