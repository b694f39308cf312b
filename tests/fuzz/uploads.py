"""Targets: camera path files as visitors upload them to the page, one, several or in a ZIP."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from pathlib import Path

from flashworld.cameras import Cameras
from tests.fuzz import requests_and_paths
from tests.fuzz.hostile import damaged, damaged_bytes, json_bytes
from tests.fuzz.law import Case, check_sentence
from tests.fuzz.targets import Target
from ui.events.camera_path import PathForm
from ui.events.path_files import files_as_text

FRAMES = 3
NAMES = (
    "cameras.txt",
    "images.bin",
    "points3D.bin",
    "notes.txt",
    "path.json",
    "a.chan",
    "a\nb.zip",
    "IMAGES.TXT",
    "images",
)
PLACES = ("", "", "", "sparse/0/", "../", "/", "a/")


def zipped(rng: random.Random, files: list[Path]) -> bytes:
    """The files as a ZIP: in one or several folders, stored or packed, sometimes with a name twice or damaged."""
    buffer = io.BytesIO()
    place = rng.choice(PLACES)
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive,
    ):
        for file in files:
            where = place if rng.random() < 0.9 else rng.choice(PLACES)
            archive.writestr(where + file.name, file.read_bytes())
        if rng.random() < 0.2:
            archive.writestr(rng.choice(NAMES), rng.randbytes(rng.choice([0, 10, 1000])))
    packed = buffer.getvalue()
    if rng.random() < 0.2:  # the last part is the list of the contents
        return packed[:-200] + damaged_bytes(rng, packed[-200:])
    return damaged_bytes(rng, packed, headers=200) if rng.random() < 0.3 else packed


def _model(rng: random.Random, folder: Path) -> list[Path]:
    """A COLMAP model's files, or a ZIP of them."""
    requests_and_paths.colmap_model(rng, folder, rng.choice(["txt", "bin"]))
    files = sorted(folder.iterdir())
    if rng.random() < 0.3:
        extra = folder / rng.choice(NAMES)
        extra.write_bytes(rng.choice([b"", b"1", rng.randbytes(100), files[0].read_bytes()]))
        files = sorted(folder.iterdir())
    if rng.random() < 0.5:
        archive = folder / rng.choice(["model.zip", "model.ZIP", "a b\x1b.zip"])
        archive.write_bytes(zipped(rng, files))
        return [archive] if rng.random() < 0.95 else [archive, *files]
    rng.shuffle(files)
    return files[: rng.choice([len(files), len(files), len(files), 1])]


def _one(rng: random.Random, folder: Path) -> list[Path]:
    """A path's JSON, a .chan file, or something else under such a name."""
    if rng.random() < 0.3:
        file = folder / rng.choice(["a.chan", "shot_XYZ.chan", "shot_ZXY_XYZ.CHAN"])
        lines = [" ".join(f"{rng.uniform(-200, 200):.3f}" for _ in range(7)) + " 50" for _ in range(rng.randint(1, 5))]
        data = "\n".join(lines).encode()
        file.write_bytes(damaged_bytes(rng, data) if rng.random() < 0.5 else data)
        return [file]
    form = rng.choice([requests_and_paths.nerf_path, requests_and_paths.inria_path, requests_and_paths.own_path])
    data = damaged(rng, form(rng)) if rng.random() < 0.6 else form(rng)
    file = folder / rng.choice(["path.json", "path.json", "path.JSON", "path.zip", "path", "images.txt"])
    file.write_bytes(json.dumps(data).encode() if rng.random() < 0.5 else json_bytes(rng, data))
    return [file]


def _uploads(rng: random.Random, folder: Path) -> Case:
    """What the page does with uploads: to the text in its box, and from there to cameras."""
    files = _model(rng, folder) if rng.random() < 0.7 else _one(rng, folder)
    if rng.random() < 0.03:
        files = [*files, folder / "gone.json"][-rng.randint(1, 2) :]
    size = requests_and_paths.HEIGHT, requests_and_paths.WIDTH

    def read() -> Cameras:
        cameras, notes = PathForm("file", "", file_text=files_as_text(files)).cameras(FRAMES, *size, 60.0)
        for note in notes:
            check_sentence(note)
        return cameras

    return Case(read, requests_and_paths.check_cameras)


TARGETS = (Target("path, uploads", 12, _uploads),)
