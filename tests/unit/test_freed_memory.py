"""Freed memory goes back to the system, which the C library does not do by itself."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from flashworld.serving import freed_memory
from flashworld.serving.freed_memory import return_ends_of_heaps, return_freed_memory

ROOT = Path(__file__).parents[2]
BLOCK_BYTES, BLOCKS = 96 * 2**10, 1000
"""Small enough to come from the heap, not from a mapping of their own."""


def resident_mib() -> float:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(freed_memory._malloc_trim() is None, reason="needs glibc")
def test_freed_blocks_below_a_live_one_return_to_the_system():
    return_freed_memory()
    before = resident_mib()
    blocks = [ctypes.create_string_buffer(b"x" * BLOCK_BYTES) for _ in range(BLOCKS)]
    full = resident_mib()
    assert full - before > 60
    del blocks[:-1]
    kept = resident_mib()
    assert kept - before > 60, "the C library returned it by itself: this module is not needed any more"
    return_freed_memory()
    assert resident_mib() - before < 20
    assert len(blocks) == 1


HEAPS = """
import ctypes, sys, threading
from pathlib import Path
from flashworld.serving.freed_memory import return_ends_of_heaps, return_freed_memory

THREADS, BLOCKS, BYTES = 8, 20, 2**20

def resident_mib():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024

def allocate():
    together.wait()
    blocks = [ctypes.create_string_buffer(b"x" * BYTES) for _ in range(BLOCKS)]
    together.wait()
    del blocks

ctypes.create_string_buffer(b"x" * (31 * BYTES))  # freed at once, which raises the limits that the library adjusts
if sys.argv[1] == "returned":
    return_ends_of_heaps()
together = threading.Barrier(THREADS)
before = resident_mib()
threads = [threading.Thread(target=allocate) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
return_freed_memory()
print(resident_mib() - before)
"""


@pytest.mark.skipif(freed_memory._malloc_trim() is None, reason="needs glibc")
def test_ends_of_the_heaps_of_threads_return_to_the_system():
    kept, returned = (
        float(subprocess.run([sys.executable, "-c", HEAPS, way], check=True, capture_output=True, cwd=ROOT).stdout)
        for way in ("kept", "returned")
    )
    assert kept > 60, "the C library returned them by itself: `return_ends_of_heaps` is not needed any more"
    assert returned < 50 and returned < kept / 2


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(freed_memory, "_malloc_trim", lambda: None)
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", None)
    return_freed_memory()
    return_ends_of_heaps()


LOADED = """
import gc, weakref
from flashworld.serving.freed_memory import exclude_from_collection

class Link:
    pass

loaded = [[] for _ in range(500_000)]
exclude_from_collection()
assert gc.get_freeze_count() > 500_000
link = Link()
link.itself, gone = link, weakref.ref(link)
gc.collect(1)  # it is old now: only a full collection finds it
del link
new = [[] for _ in range(100_000)]  # a fifth of what was loaded
assert gone() is None
"""


def test_what_was_loaded_does_not_delay_collections():
    done = subprocess.run([sys.executable, "-c", LOADED], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
