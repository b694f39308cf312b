"""One reader and one writer, which choose the format by the suffix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flashworld.errors import SceneFileError, WriteError
from flashworld.io.scenes import SCENE_SUFFIXES, read_scene, write_scene

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("suffix", [*SCENE_SUFFIXES, ".PLY"])
def test_suffix_chooses_the_format(suffix, make_scene, tmp_path):
    scene = make_scene(count=40)
    write_scene(scene, str(tmp_path / f"a{suffix}"))
    found = read_scene(str(tmp_path / f"a{suffix}"))
    order = found.means[:, 0].argsort(), scene.means[:, 0].argsort()
    atol = {".compressed.ply": 0.005, ".sog": 2e-4}.get(suffix, 1e-5)  # see the modules' tables
    torch.testing.assert_close(found.means[order[0]], scene.means[order[1]], rtol=0, atol=atol)
    torch.testing.assert_close(found.opacities[order[0]], scene.opacities[order[1]], rtol=0, atol=0.002)


@pytest.mark.parametrize("name", ["scene.obj", "scene", "ply", ".ply", "scene.ply.exe"])
def test_other_suffixes_are_refused(name, make_scene, tmp_path):
    with pytest.raises(WriteError, match=r"must end in .ply, .compressed.ply, .spz, .sog, .splat"):
        write_scene(make_scene(), tmp_path / name)
    with pytest.raises(SceneFileError, match=r"must end in .ply, .compressed.ply, .spz, .sog, .splat"):
        read_scene(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_formats_convert_into_each_other(make_scene, tmp_path):
    scene = make_scene()
    write_scene(scene, tmp_path / "a.ply")
    write_scene(read_scene(tmp_path / "a.ply"), tmp_path / "b.spz")
    write_scene(read_scene(tmp_path / "b.spz"), tmp_path / "c.ply")
    found = read_scene(tmp_path / "c.ply")
    torch.testing.assert_close(found.means, scene.means, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.scales.log(), scene.scales.log(), rtol=0, atol=0.04)
    assert ((found.quats_wxyz * scene.quats_wxyz).sum(dim=1).abs() > 1 - 1e-5).all()  # axes converted back and forth


def test_importing_the_package_is_light():
    code = "import sys, flashworld.io.scenes; print(sorted({'torch', 'PIL', 'plyfile', 'imageio_ffmpeg'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "none"])
def test_invalid_names_are_scene_file_errors(name, tmp_path):
    for suffix in SCENE_SUFFIXES:
        with pytest.raises(SceneFileError, match="the file cannot be read: ") as refused:
            read_scene(f"{tmp_path}/none/{name}{suffix}")
        assert str(refused.value).isprintable() and len(str(refused.value)) < 200
