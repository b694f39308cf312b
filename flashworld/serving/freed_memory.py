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

HEAP_END_BYTES = 4 * 2**20
"""Free memory that the end of a heap may keep; by itself the limit rises to twice the size of the largest freed block."""
MAPPED_BYTES = 32 * 2**20
"""Blocks of this size get pages of their own. This is the value that the C library reaches by itself, and its maximum."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def return_ends_of_heaps() -> None:
    """From now on return the free end of any thread's heap as soon as it exceeds `HEAP_END_BYTES`; does nothing without glibc.

    `return_freed_memory` cannot return it: `malloc_trim` leaves the ends of all heaps but the main one as they are, 10 MB for
    each of up to eight heaps per core. A fixed limit stops the adjustment of both thresholds, so both are set.
    """
    if _malloc_trim() is not None:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, HEAP_END_BYTES)


def return_freed_memory() -> None:
    """Return free pages inside all heaps to the system; does nothing without glibc.

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
