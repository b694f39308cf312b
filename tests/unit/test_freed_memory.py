"""Freed memory goes back to the system, which the C library does not do by itself."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from flashworld.serving import freed_memory
from flashworld.serving.freed_memory import return_freed_memory

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


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(freed_memory, "_malloc_trim", lambda: None)
    return_freed_memory()
