""".splat, the format of the first web viewers: 32 bytes per Gaussian, colour without view dependence.

Each row is position (3 float32), standard deviations (3 float32), red green blue opacity (4 bytes), rotation w x y z
(4 bytes, 128 + 128 q). Axes are right, down, forward, as in PLY. Rows are sorted by opacity x volume, largest first:
viewers draw what has been downloaded so far. There is no header or end mark, so any file of the right length looks like one:
the reader checks that it does not begin like another format, that positions and sizes are plausible, and that
rotations have nearly unit length.

Precision: positions and scales float32; opacity 1/510; colour 1/510 of brightness and only 0 to 1; rotation 1/256 per
component (the viewers' 128 q cannot hold +1, which becomes 127/128).

Source: antimatter15/splat (`convert.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from flashworld.checks import file_name
from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import SH_C0, Gaussians
from flashworld.io.atomic import new_file
from flashworld.io.reading import SceneFile, check_count, check_finite, opened, read_rows
from flashworld.io.scenes.activations import SMALLEST_SCALE, nearest_bytes, unit_quats
from flashworld.io.scenes.axes import MEAN_SIGNS, QUAT_SIGNS
from flashworld.io.scenes.chunks import CHUNK_ROWS, Chunk, iter_chunks

OTHER_FORMATS = {
    b"ply\n": ".ply", b"ply\r": ".ply", b"\x1f\x8b": ".spz", b"NGSP": ".spz", b"PK\x03\x04": ".sog", b"glTF": ".glb",
}  # fmt: skip
"""First bytes of files that are commonly renamed, and their correct suffixes."""
MAX_EXTENT = 1e9
"""Scene units from the origin, and of a Gaussian's size; bytes of other formats exceed it almost certainly."""
QUAT_LENGTHS = (0.9, 1.1)
"""Rounding a unit quaternion to bytes leaves 0.98 to 1.02."""
MAX_ODD_SHARE = 0.1
"""Largest share of rotations outside these lengths; four zeros count as the identity."""
ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def write_splat(scene: Gaussians, path: str | Path) -> None:
    """Write a scene as .splat, the most important Gaussians first.

    Args:
        scene: OpenGL axes, any device. Only band 0 of its SH is written.
        path: Where to; an existing file is replaced.

    Raises:
        SceneError: empty or non-finite scene, or values too far out.
        WriteError: the file cannot be written.
    """
    name = file_name(path)
    flat = replace(scene, sh=scene.sh[:, :1])
    order = _by_importance(flat, name)
    rows = np.empty(CHUNK_ROWS, dtype=ROW)
    with new_file(path) as file:
        for part in order.split(CHUNK_ROWS):
            for chunk in iter_chunks(flat[part.to(scene.means.device)], name):
                used = rows[: len(part)]
                _fill(used, chunk)
                file.write(used.data)


def _by_importance(scene: Gaussians, name: str) -> torch.Tensor:
    """Indices by descending opacity x volume."""
    parts = []
    for chunk in iter_chunks(scene, name):
        if max(np.abs(chunk.means).max(), chunk.scales.max()) > MAX_EXTENT:
            raise SceneError(f"{name}: positions and sizes in a .splat file must lie within {MAX_EXTENT:g} scene units")
        with np.errstate(divide="ignore"):
            parts.append(np.log(chunk.scales).sum(axis=1) + np.log(chunk.opacities))
    return torch.from_numpy(np.argsort(-np.concatenate(parts), kind="stable"))


def _fill(rows: np.ndarray, chunk: Chunk) -> None:
    rows["mean"] = chunk.means * MEAN_SIGNS
    rows["scale"] = chunk.scales
    with np.errstate(over="ignore"):  # infinity is clamped to white
        rows["rgba"][:, :3] = nearest_bytes((0.5 + SH_C0 * chunk.sh[:, 0]) * 255)
    rows["rgba"][:, 3] = nearest_bytes(chunk.opacities * 255)
    rows["quat"] = nearest_bytes(unit_quats(chunk.quats_wxyz) * (QUAT_SIGNS * 128) + 128)


def read_splat(path: str | Path) -> Gaussians:
    """Read a .splat file, SH degree 0, turned to OpenGL axes; float32, on the CPU.

    Raises:
        SceneFileError: another format, not a whole number of rows, too many, not finite, or not plausible.
    """
    with opened(path) as source:
        _refuse_other_formats(source)
        if source.size % ROW.itemsize:
            raise SceneFileError(f"{source.name}: a .splat file holds rows of 32 bytes, got {source.size} bytes")
        count = check_count(source.size // ROW.itemsize, source.name)
        means, quats, scales, opacities, sh = (torch.empty(count, n) for n in (3, 4, 3, 1, 3))
        odd = 0
        for start in range(0, count, CHUNK_ROWS):
            here = slice(start, min(start + CHUNK_ROWS, count))
            rows = read_rows(source, ROW, here.stop - start)
            check_finite(rows["mean"], "means", source.name)
            check_finite(rows["scale"], "scales", source.name)
            if max(np.abs(rows["mean"]).max(), np.abs(rows["scale"]).max()) > MAX_EXTENT:
                raise SceneFileError(
                    f"{source.name}: a .splat file whose positions or sizes reach beyond {MAX_EXTENT:g} is none"
                )
            odd += _odd_rotations(rows["quat"])
            means.numpy()[here] = rows["mean"] * MEAN_SIGNS
            scales.numpy()[here] = np.maximum(np.abs(rows["scale"]), np.float32(SMALLEST_SCALE))
            quats.numpy()[here] = _unit(rows["quat"].astype(np.float32) - 128) * QUAT_SIGNS
            opacities.numpy()[here] = rows["rgba"][:, 3:] / np.float32(255)
            sh.numpy()[here] = (rows["rgba"][:, :3] / np.float32(255) - 0.5) / np.float32(SH_C0)
        if odd > MAX_ODD_SHARE * count:
            raise SceneFileError(
                f"{source.name}: not a .splat file: {odd} of its {count} rotations are not of length 1"
            )
        return Gaussians(means, quats, scales, opacities[:, 0], sh[:, None])


def _refuse_other_formats(source: SceneFile) -> None:
    head = source.file.read(4)
    source.file.seek(0)
    suffix = next((suffix for start, suffix in OTHER_FORMATS.items() if head.startswith(start)), None)
    if suffix is not None:
        raise SceneFileError(f"{source.name}: this begins as a {suffix} file does: give it a name that ends so")


def _odd_rotations(packed: np.ndarray) -> int:
    lengths = np.linalg.norm(packed.astype(np.float32) - 128, axis=1) / 128
    low, high = QUAT_LENGTHS
    return int(((lengths != 0) & ((lengths < low) | (lengths > high))).sum())


def _unit(quats: np.ndarray) -> np.ndarray:
    """Unit length; four zeros become the identity."""
    quats[~quats.any(axis=1), 0] = 1
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
