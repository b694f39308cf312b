"""The rows of `docs/limits.md` about camera paths that other programs write."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from docs.limits_row import Row
from flashworld import limits as at
from flashworld.trajectories.chan import read_chan
from flashworld.trajectories.colmap import MAX_LINE_BYTES
from flashworld.trajectories.files import read_path_file
from flashworld.trajectories.json_forms import parse_trajectory
from ui.events.path_files import files_as_text

MATRIX = np.eye(4).tolist()
FLAT = np.eye(4).flatten().tolist()
INRIA = {"rotation": np.eye(3).tolist(), "position": [0, 0, 0], "width": 704, "height": 480, "fx": 600, "fy": 600}


def file_path_rows(folder: Path) -> Iterator[Row]:
    """Paths of nerfstudio, INRIA, COLMAP and Blender.

    Args:
        folder: An empty folder for files that are read back.
    """

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Camera path of another program", *args, **more)

    def transforms(**fields: object) -> object:
        frame = {"transform_matrix": MATRIX, **fields}
        return parse_trajectory({"frames": [frame] * 2}, height=480, width=704, fov_y_deg=60.0)

    def shared_lens(**fields: object) -> object:
        shared = {"y_fov": 50, "w": 704, "h": 480}
        frame = {"transform_matrix": MATRIX, **fields}
        return parse_trajectory({**shared, "frames": [frame] * 2}, height=480, width=704, fov_y_deg=60.0)

    def camera_path(matrix: object) -> object:
        views = [{"camera_to_world": matrix, "fov": 50}] * 2
        return parse_trajectory({"camera_path": views}, height=480, width=704, fov_y_deg=60.0)

    def inria(**fields: object) -> object:
        return parse_trajectory([INRIA | fields] * 2, height=480, width=704, fov_y_deg=60.0)

    def colmap(cameras: bytes, images: bytes | int) -> object:
        (folder / "cameras.bin").write_bytes(cameras)
        with (folder / "images.bin").open("wb") as file:
            file.truncate(images) if isinstance(images, int) else file.write(images)
        return read_path_file(folder)

    def text_model(images: bytes) -> object:
        model = folder / "text"
        model.mkdir(exist_ok=True)
        (model / "cameras.txt").write_bytes(b"1 PINHOLE 704 480 600 600 352 240\n")
        (model / "images.txt").write_bytes(images)
        return read_path_file(model)

    def zipped_model(size: int, *within: str) -> object:
        with zipfile.ZipFile(folder / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for place in within or ("",):
                archive.writestr(f"{place}cameras.txt", "#")
                archive.writestr(f"{place}images.txt", b"#" * size)
        return files_as_text([folder / "model.zip"])

    lens = struct.pack("<QiiQQ4d", 1, 1, 1, 704, 480, 600, 600, 352, 240)
    fisheye = struct.pack("<QiiQQ8d", 1, 1, 5, 704, 480, 600, 600, 352, 240, 0, 0, 0, 0)
    picture = struct.pack("<i7di", 1, 1, 0, 0, 0, 0, 0, 0, 1) + b"a.png\0" + struct.pack("<Q", 0)

    yield row(
        "is_fisheye, is_panorama, ...",
        "not set",
        lambda: transforms(is_fisheye=True),
        lambda: transforms(is_fisheye=False),
    )
    yield row("lens fields", "of a known name", lambda: transforms(fov=50), lambda: transforms(y_fov=50))
    yield row("cx, cy", "beside a focal length", lambda: transforms(cx=352), lambda: transforms(cx=352, y_fov=50))
    yield row(
        "w, h of a frame", "those of the shared lens, unless it has its own",
        lambda: shared_lens(w=352, h=240), lambda: [shared_lens(w=704, h=480), shared_lens(w=352, h=240, y_fov=50)],
    )  # fmt: skip
    yield row(
        "camera_to_world", "16 numbers", lambda: camera_path([1, 2]), lambda: [camera_path(FLAT), camera_path(MATRIX)]
    )
    yield row("rotation of cameras.json", "3 rows of 3 numbers", lambda: inria(rotation=7), inria)
    yield row(
        "a line of a .chan file", "8 numbers", lambda: read_chan("1 0 0 0"), lambda: read_chan("1 0 0 0 0 0 0 50")
    )
    yield row(
        "a .chan file", f"{at.MAX_CAMERAS} lines", lambda: read_chan("1 0 0 0 0 0 0 50\n" * (at.MAX_CAMERAS + 1)),
        lambda: read_chan("1 0 0 0 0 0 0 50\n" * at.MAX_CAMERAS),
    )  # fmt: skip
    yield row(
        "COLMAP model",
        "cameras and images of one kind in a folder",
        lambda: read_path_file(folder / "none" / "images.txt"),
    )
    yield row(
        "one file of a COLMAP model", f"{at.MAX_COLMAP_BYTES // 2**20} MiB", lambda: colmap(lens, at.MAX_COLMAP_BYTES + 1),
        None, ("MAX_COLMAP_BYTES",),
    )  # fmt: skip
    yield row(
        "COLMAP model", f"at most {at.MAX_CAMERAS} pictures",
        lambda: colmap(lens, struct.pack("<Q", at.MAX_CAMERAS + 1)), lambda: colmap(lens, struct.pack("<Q", 1) + picture),
    )  # fmt: skip
    yield row(
        "COLMAP model as a ZIP (page)", f"{at.MAX_JSON_BYTES // 2**20} MiB a file, unpacked",
        lambda: zipped_model(at.MAX_JSON_BYTES + 1), None, ("MAX_JSON_BYTES",),
    )  # fmt: skip
    yield row("COLMAP model as a ZIP (page)", "one model", lambda: zipped_model(1, "a/", "b/"))
    yield row("COLMAP camera", "a pinhole", lambda: colmap(fisheye, struct.pack("<Q", 0)))
    yield row("COLMAP model", "whole", lambda: colmap(lens, struct.pack("<Q", 2) + picture))
    yield row(
        "COLMAP picture",
        "of a camera that is there",
        lambda: colmap(struct.pack("<Q", 0), struct.pack("<Q", 1) + picture),
    )
    zero = struct.pack("<i7di", 1, 0, 0, 0, 0, 0, 0, 0, 1) + b"a.png\0" + struct.pack("<Q", 0)
    crowded = picture[:-8] + struct.pack("<Q", 2**60)
    yield row("COLMAP picture", "with a rotation", lambda: colmap(lens, struct.pack("<Q", 1) + zero))
    yield row(
        "COLMAP picture", "with as many points as a file holds", lambda: colmap(lens, struct.pack("<Q", 1) + crowded)
    )
    yield row("a line of COLMAP's text", "as many numbers as belong there", lambda: text_model(b"1 1 0 0"))
    yield row("a line of COLMAP's text", f"{MAX_LINE_BYTES // 2**20} MB", lambda: text_model(b"1 " * MAX_LINE_BYTES))
    yield row("a path's file", "there", lambda: read_path_file(folder / "none.json"))
    yield row("a path's file", "of a name that can be", lambda: read_path_file(folder / f"{'a' * 300}.json"))
