"""The memory of the running app; `tests/load` measures how it develops over thousands of requests."""

from __future__ import annotations

from pathlib import Path


def test_no_memory_of_the_app_is_marked_for_huge_pages(app, scene):
    """NumPy marks arrays of 4 MB and more, and the mark stays when the memory is used for something small."""
    smaps = Path(f"/proc/{app.process.pid}/smaps").read_text()
    flags = [line.split()[1:] for line in smaps.splitlines() if line.startswith("VmFlags:")]
    assert len(flags) > 100
    assert [flag for flag in flags if "hg" in flag] == []
