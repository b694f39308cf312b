"""A disk that is really full: every writer reports it in one sentence and leaves no partial file.

A file system of 256 KiB is mounted where the system allows it; elsewhere these tests are skipped, and those of
`test_atomic.py`, which limit the size of a file, stand alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashworld.cli import main
from flashworld.errors import WriteError
from flashworld.io.scenes import write_scene
from flashworld.io.video import write_animation, write_video
from flashworld.result import write_jpeg, write_text
from flashworld.serving.delivery import write_poster, write_zip
from tests.unit.conftest import SMALL_DISK_BYTES


def noise(count: int = 1, side: int = 400) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def writers(scene, source: Path):
    return {
        "a.ply": lambda path: write_scene(scene, path),
        "a.spz": lambda path: write_scene(scene, path),
        "a.splat": lambda path: write_scene(scene, path),
        "a.mp4": lambda path: write_video(iter(noise(20)), path, fps=10),
        "a.gif": lambda path: write_animation(noise(4), path, fps=10),
        "a.webp": lambda path: write_animation(noise(8, 600), path, fps=10),
        "a.jpg": lambda path: write_jpeg(noise(1, 1200)[0], path),
        "poster.webp": lambda path: write_poster(noise(1, 1200)[0], path),
        "a.json": lambda path: write_text("x" * 2 * SMALL_DISK_BYTES, path),
        "a.zip": lambda path: write_zip([source], path),
    }


def test_every_writer_reports_a_full_disk_and_keeps_the_old_file(small_disk, make_scene, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(np.random.default_rng(0).bytes(2 * SMALL_DISK_BYTES))
    for name, write in writers(make_scene(20_000), source).items():
        (small_disk / name).write_bytes(b"old")
        with pytest.raises(WriteError) as refused:
            write(small_disk / name)
        message = str(refused.value)
        assert message.startswith(f"{name}: ") and message.isprintable(), message
        assert "No space left on device" in message, message
        assert [path.name for path in small_disk.iterdir()] == [name]
        assert (small_disk / name).read_bytes() == b"old"
        (small_disk / name).unlink()


def test_command_line_reports_a_full_disk_and_exits_with_1(small_disk, make_scene, tmp_path, capsys):
    write_scene(make_scene(20_000), tmp_path / "a.ply")
    for name in ("b.ply", "b.spz", "b.splat"):
        assert main(["convert", str(tmp_path / "a.ply"), str(small_disk / name)]) == 1
        assert f"flashworld: {name}: the file cannot be written: No space left on device\n" == capsys.readouterr().err
        assert list(small_disk.iterdir()) == []
