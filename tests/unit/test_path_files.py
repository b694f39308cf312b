"""Camera path files as visitors upload them: one file, the files of a COLMAP model, or a ZIP of those."""

from __future__ import annotations

import zipfile

import pytest

from flashworld.errors import TrajectoryError
from flashworld.limits import MAX_JSON_BYTES
from tests.unit.test_path_forms import COUNT, colmap
from ui.events.camera_path import PathForm
from ui.events.path_files import files_as_text


def views(text: str) -> int:
    cameras, _ = PathForm("file", "", file_text=text).cameras(COUNT, 96, 128, 60.0)
    return len(cameras)


def zipped(path, files, *, within: str = ""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{within}{name}", data)
    return path


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_colmap_model_comes_as_files_or_as_a_zip(kind, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    colmap(model, kind)
    (model / f"points3D.{kind}").write_bytes(b"0")
    text = files_as_text(sorted(model.iterdir()))
    assert views(text) == COUNT
    files = {file.name: file.read_bytes() for file in model.iterdir()}
    for within in ("", "sparse/0/", "../../"):
        assert files_as_text([zipped(tmp_path / "model.zip", files, within=within)]) == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.zip"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["images.txt"], "cameras and images together, or a ZIP of one, got images.txt"),
        (["cameras.bin", "images.txt"], "got cameras.bin, images.txt"),
        (["path.json", "other.json"], "got other.json, path.json"),
        (["scene.obj"], "got scene.obj"),
        (["a\nb\x1b\u202e.obj"], r"got a\?b\?\?\.obj$"),
    ],
)
def test_files_that_are_not_paths_are_refused(names, said, tmp_path):
    files = [tmp_path / name for name in names]
    for file in files:
        file.write_text("1")
    with pytest.raises(TrajectoryError, match=said):
        files_as_text(files)


def test_bad_zips_are_refused(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(TrajectoryError, match="the ZIP is damaged"):
        files_as_text([tmp_path / "bad.zip"])
    with pytest.raises(TrajectoryError, match="got none of these"):
        files_as_text([zipped(tmp_path / "other.zip", {"notes.txt": "x"})])
    two = {"a/cameras.txt": "", "a/images.txt": "", "b/cameras.txt": "", "b/images.txt": ""}
    with pytest.raises(TrajectoryError, match="a ZIP of one COLMAP model"):
        files_as_text([zipped(tmp_path / "two.zip", two)])
    bomb = {"cameras.txt": "#", "images.txt": b"#" * (MAX_JSON_BYTES + 1)}
    with pytest.raises(TrajectoryError, match=f"at most {MAX_JSON_BYTES} bytes"):
        files_as_text([zipped(tmp_path / "bomb.zip", bomb)])


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_zip_with_one_damaged_byte_is_read_or_refused(place, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    colmap(model, "txt")
    files = {file.name: file.read_bytes() for file in model.iterdir()}
    archive = zipped(tmp_path / "model.zip", files)
    damaged = bytearray(archive.read_bytes())
    damaged[30 + len("cameras.txt") + place] ^= 0xFF  # within the first file's compressed bytes
    archive.write_bytes(damaged)
    try:
        assert views(files_as_text([archive])) == COUNT
    except TrajectoryError as error:
        assert "the ZIP is damaged" in str(error)
