"""Atomic writes: every writer leaves a complete file or none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flashworld.errors import WriteError
from flashworld.io.atomic import TEMPORARY_PATTERN, new_file, replacing
from flashworld.result import write_jpeg, write_text

ROOT = Path(__file__).parents[2]


def test_file_appears_only_at_the_end(tmp_path):
    with new_file(tmp_path / "a.bin") as file:
        file.write(b"new")
        assert not (tmp_path / "a.bin").exists()
        assert len(list(tmp_path.glob(TEMPORARY_PATTERN))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"new"


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_failure_keeps_the_old_file_and_leaves_nothing_else(exception, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(exception), new_file(tmp_path / "a.bin") as file:
        file.write(b"new")
        raise exception
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_new_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with new_file(tmp_path / "a.bin") as file:
        file.write(b"x")
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_impossible_paths_are_export_errors(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none" / "a.bin", tmp_path / "file" / "a.bin", tmp_path / "folder"):
        with pytest.raises(WriteError, match="the file cannot be written: "), new_file(path) as file:
            file.write(b"x")
    with pytest.raises(WriteError, match=r"a\.bin: the file"), replacing(tmp_path / "a.bin"):
        pass  # nothing was written, so there is nothing to move
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
import torch
from flashworld.errors import WriteError
from flashworld.io.scenes import write_scene
from flashworld.io.video import write_animation, write_video
from flashworld.gaussians import Gaussians

def frames():
    for seed in range(30):
        yield np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)

folder = Path(sys.argv[1])
scene = Gaussians(torch.randn(5000, 3), torch.randn(5000, 4), torch.rand(5000, 3), torch.rand(5000), torch.randn(5000, 9, 3))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
errors = {}
for name in ("a.ply", "a.spz", "a.splat", "a.mp4", "a.gif", "a.webp"):
    (folder / name).write_bytes(b"old")
    try:
        if name in ("a.ply", "a.spz", "a.splat"):
            write_scene(scene, folder / name)
        elif name == "a.mp4":
            write_video(frames(), folder / name, fps=10)
        else:
            write_animation(frames(), folder / name, fps=10)
    except WriteError as error:
        errors[name] = str(error)
print(json.dumps(errors))
"""


def test_full_disk_leaves_the_old_files_and_is_reported(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    errors = json.loads(done.stdout)
    names = ["a.gif", "a.mp4", "a.ply", "a.splat", "a.spz", "a.webp"]
    assert sorted(errors) == names
    for name, message in errors.items():
        assert message.startswith(f"{name}: the "), message
        assert "\n" not in message
    assert "File too large" in errors["a.ply"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"old"}


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\0b", "\ud800"])
def test_invalid_file_name_is_an_export_error(name):
    with pytest.raises(WriteError, match="expected the name of a file to write, got "), replacing(name):
        pass


def test_long_and_hostile_names_give_one_sentence(tmp_path):
    for name in ("x" * 300, "a." + "y" * 300, "no\nfolder/a\x1b.ply"):
        with pytest.raises(WriteError) as refused, new_file(tmp_path / name):
            pass
        assert str(refused.value).isprintable() and len(str(refused.value)) < 200
    assert list(tmp_path.iterdir()) == []


def test_write_errors_of_a_library_give_the_same_message(tmp_path):
    with pytest.raises(WriteError, match=r"^a\.png: the file cannot be written: No such file"):
        write_jpeg(np.zeros((8, 8, 3), np.uint8), tmp_path / "none" / "a.png")
    with pytest.raises(WriteError, match=r"^a\.json: the file cannot be written: No such file"):
        write_text("{}", tmp_path / "none" / "a.json")


def test_a_symlink_is_replaced_and_its_target_left_alone(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.json").symlink_to(outside / "precious")
    (out / "dangling.json").symlink_to(outside / "nothing")
    (out / "round.json").symlink_to("round.json")
    for name in ("a.json", "dangling.json", "round.json"):
        write_text("{}", out / name)
        assert not (out / name).is_symlink() and (out / name).read_text() == "{}"
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "precious"


def test_a_folder_where_a_file_should_go_is_kept(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "a.json").symlink_to("real")
    (tmp_path / "b.json").mkdir()
    write_text("{}", tmp_path / "a.json")  # a link to a folder is a link
    with pytest.raises(WriteError, match="Is a directory"):
        write_text("{}", tmp_path / "b.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "real"]
