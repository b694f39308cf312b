"""SOG, PlayCanvas' format: lossless WebP images with one pixel per Gaussian, and `meta.json`; in a ZIP or a folder. Version 2.

Gaussians are sorted along a Z-order curve and stored by rows, so the images compress well.

| field | stored as | precision |
|---|---|---|
| position | 16 bits per axis of sign(x) log(1 + |x|), between the scene's bounds | 1/131070 of the logarithm's range |
| scale, colour (SH band 0) | an index into 256 values made for the scene | high for frequent values |
| opacity | 8 bits | 1/510 |
| rotation | 8 bits for each of the three smaller components | 0.003 |
| SH above band 0 | an index into a palette of up to 65,536 vectors, whose components come from 256 values | the most visible loss |

Axes: the specification says right, up, back, but the tools that write SOG copy PLY's numbers unchanged, and viewers rotate
both in the same way. This module writes and reads the same axes: right, down, forward.

Source: PlayCanvas, "The SOG Format" (developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog), version 2.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flashworld.checks import file_name
from flashworld.errors import SceneError, WriteError
from flashworld.gaussians import Gaussians
from flashworld.io.atomic import new_file, replacing
from flashworld.io.scenes.activations import log_scales
from flashworld.io.scenes.axes import MEAN_SIGNS, QUAT_SIGNS, SH_SIGNS
from flashworld.io.scenes.chunks import iter_chunks
from flashworld.io.scenes.codebooks import nearest_value, value_codebook, vector_palette
from flashworld.io.scenes.morton import morton_order
from flashworld.io.scenes.smallest_three import smallest_three
from flashworld.io.scenes.sog_reader import (
    LARGEST_MODE,
    MAX_NUMBER,
    PALETTE_COLUMNS,
    VERSION,
    read_sog,
    read_sog_folder,
)

__all__ = ["read_sog", "read_sog_folder", "write_sog", "write_sog_folder"]

META = "meta.json"
MAX_POSITION = 1e30
"""Scene units: the logarithms of farther positions are refused by the reader."""
PALETTE_LEVELS = (6, 16)
"""Logarithms of the smallest and the largest palette: half as many vectors as Gaussians or more, up to 65,536."""
WEBP = {"format": "WEBP", "lossless": True, "quality": 75, "method": 2, "exact": True}
"""`exact` keeps colours where alpha is 0; more effort than method 2 saves two percent and takes four times as long."""


def write_sog(scene: Gaussians, path: str | Path) -> None:
    """Write a scene as one SOG file, deterministic to the byte.

    Args:
        scene: OpenGL axes, SH degree 0 to 3, any device.
        path: Where to; an existing file is replaced.

    Raises:
        SceneError: empty or non-finite scene, or values too far out.
        WriteError: the file cannot be written.
    """
    scene, name = _checked(scene, path), file_name(path)
    with new_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for title, data in _files(scene, name):
            archive.writestr(zipfile.ZipInfo(title), data)


def write_sog_folder(scene: Gaussians, path: str | Path) -> None:
    """Write a scene as an unpacked SOG, as served by web servers: `meta.json` and its images in the same folder.

    The files appear together when all are written, `meta.json` last; existing ones of the same names are replaced.

    Args:
        scene: OpenGL axes, SH degree 0 to 3, any device.
        path: The `meta.json`, in a folder that exists.

    Raises:
        SceneError: empty or non-finite scene, or values too far out.
        WriteError: a file cannot be written.
    """
    scene, path = _checked(scene, path), Path(path)
    with ExitStack() as stack:
        meta = stack.enter_context(replacing(path))  # entered first, so renamed last
        for title, data in _files(scene, file_name(path)):
            place = meta if title == META else stack.enter_context(replacing(path.with_name(title)))
            place.write_bytes(data)


def _checked(scene: Gaussians, path: str | Path) -> Gaussians:
    """The scene on the CPU, if SOG can hold it."""
    name = file_name(path)
    if any(
        np.abs(chunk.means).max() > MAX_POSITION for chunk in iter_chunks(scene, name)
    ):  # raises for all other faults as well
        raise SceneError(f"{name}: positions in a SOG file must lie within {MAX_POSITION:g} scene units")
    return scene.to("cpu", torch.float32)


def _files(scene: Gaussians, name: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file; `meta.json`, which names the others, is the last."""
    order = morton_order(scene.means).numpy()
    width = 4 * math.ceil(math.sqrt(len(scene)) / 4)
    layout = _Layout(order, width, math.ceil(len(scene) / width))
    low, high, fixed = _positions(scene.means.numpy())
    yield _webp("means_l", layout.picture(fixed & 255), name)
    yield _webp("means_u", layout.picture(fixed >> 8), name)
    logs = log_scales(scene.scales.numpy())
    scale_book = value_codebook(logs)
    yield _webp("scales", layout.picture(nearest_value(logs, scale_book)), name)
    yield _webp("quats", layout.picture(_rotations(scene.quats_wxyz.numpy())), name)
    dc = scene.sh[:, 0].numpy().clip(-MAX_NUMBER, MAX_NUMBER)
    colour_book = value_codebook(dc)
    alpha = np.rint(scene.opacities.numpy() * 255).astype(np.uint8)[:, None]
    yield _webp("sh0", layout.picture(np.concatenate([nearest_value(dc, colour_book), alpha], axis=1)), name)
    meta: dict[str, object] = {
        "version": VERSION,
        "asset": {"generator": "FlashWorld"},
        "count": len(scene),
        "antialias": False,
        "means": {"mins": low, "maxs": high, "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": _floats(scale_book), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": _floats(colour_book), "files": ["sh0.webp"]},
    }
    if scene.sh.shape[1] > 1:
        count, book, centroids, labels = _palette(scene.sh[:, 1:].numpy())
        yield _webp("shN_centroids", centroids, name)
        yield _webp("shN_labels", layout.picture(labels), name)
        files = ["shN_centroids.webp", "shN_labels.webp"]
        meta["shN"] = {"count": count, "bands": scene.sh_degree, "codebook": _floats(book), "files": files}
    yield META, json.dumps(meta).encode()


def _webp(title: str, pixels: np.ndarray, name: str) -> tuple[str, bytes]:
    """A file's name and its pixels, lossless."""
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, **WEBP)
    except (OSError, ValueError) as error:
        raise WriteError(f"{name}: {title} cannot be encoded as WebP: {error}") from error
    return f"{title}.webp", buffer.getvalue()


class _Layout:
    """Positions of the Gaussians in the images."""

    def __init__(self, order: np.ndarray, width: int, height: int) -> None:
        self.order, self.width, self.height = order, width, height

    def picture(self, columns: np.ndarray) -> np.ndarray:
        """Columns (n, 2 to 4) as pixels, uint8 (height, width, 3 | 4); unused pixels stay 0."""
        channels = max(3, columns.shape[1])
        pixels = np.zeros((self.width * self.height, channels), dtype=np.uint8)
        pixels[: len(columns), : columns.shape[1]] = columns[self.order]
        return pixels.reshape(self.height, self.width, channels)


def _positions(means: np.ndarray) -> tuple[list[float], list[float], np.ndarray]:
    """Lowest and highest logarithm of each axis, and 16-bit steps between them. (n, 3)"""
    means = means.astype(np.float64) * MEAN_SIGNS
    logs = np.sign(means) * np.log1p(np.abs(means))
    low, high = logs.min(axis=0), logs.max(axis=0)
    steps = np.rint((logs - low) / np.where(high > low, high - low, 1) * 65535)
    return low.tolist(), high.tolist(), steps.astype(np.uint16)


def _rotations(quats: np.ndarray) -> np.ndarray:
    largest, rest = smallest_three(quats * QUAT_SIGNS)
    return np.concatenate([np.rint(rest * 255), largest[:, None] + LARGEST_MODE], axis=1).astype(np.uint8)


def _palette(higher: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """SH above band 0 (n, K - 1, 3) as size, codebook, the palette's image, and two bytes per Gaussian."""
    count, coefficients = higher.shape[:2]
    levels = min(max(int(math.log2(count)), PALETTE_LEVELS[0]), PALETTE_LEVELS[1])
    turned = (higher.clip(-MAX_NUMBER, MAX_NUMBER) * SH_SIGNS[1 : coefficients + 1, None]).reshape(count, -1)
    palette, label = vector_palette(turned, levels)
    book = value_codebook(palette)
    rows = len(palette) // PALETTE_COLUMNS
    picture = nearest_value(palette, book).reshape(rows, PALETTE_COLUMNS * coefficients, 3)
    return len(palette), book, picture, np.stack([label & 255, label >> 8], axis=1).astype(np.uint8)


def _floats(values: np.ndarray) -> list[float]:
    """float32 as the shortest decimals that read back the same."""
    return [float(str(value)) for value in values]
