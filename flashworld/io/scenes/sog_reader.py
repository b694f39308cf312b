"""Reading SOG; see `sog` for the format. The file is untrusted: sizes are checked before anything is decoded.

A SOG is one ZIP, or `meta.json` with its images in the same folder: see `sog_files`.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flashworld.checks import echo, real_number, whole_number
from flashworld.errors import SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.json_text import read_json
from flashworld.io.reading import check_count, check_finite, opened
from flashworld.io.scenes.activations import scales_from_log
from flashworld.io.scenes.axes import MEAN_SIGNS, QUAT_SIGNS, SH_SIGNS
from flashworld.io.scenes.smallest_three import from_smallest_three
from flashworld.io.scenes.sog_files import ArchiveFiles, FolderFiles, SogFiles, check_directory
from flashworld.limits import MAX_GAUSSIANS

VERSION = 2
LARGEST_MODE = 252
"""Alpha of a rotation whose w is the largest component; 253 to 255 for x, y, z."""
PALETTE_COLUMNS = 64
VALUES = 256
MAX_META_BYTES = 2**20
MAX_SPARE_PIXELS = 1 << 18
"""An image may have this many pixels more than twice the number of Gaussians."""
MAX_NUMBER = 1e4
"""Largest number in codebooks and bounds: logarithms and SH, whose exponentials must be finite."""
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, RuntimeError, NotImplementedError, struct.error,
    OverflowError, IndexError, MemoryError, SyntaxError,
)  # fmt: skip
"""Exceptions that the ZIP and WebP readers are known to raise for hostile files."""


def read_sog(path: str | Path) -> Gaussians:
    """Read a SOG file of version 2, turned to OpenGL axes; float32, on the CPU.

    Raises:
        SceneFileError: not such a file, damaged, or its parts are inconsistent.
    """
    with opened(path) as source:
        check_directory(source)
        try:
            with zipfile.ZipFile(source.file) as archive:
                return _Reader(ArchiveFiles(archive, source.name)).scene()
        except SceneFileError:
            raise
        except ARCHIVE_ERRORS as error:
            raise SceneFileError(f"{source.name}: the SOG file is damaged or not a ZIP of WebP pictures") from error


def read_sog_folder(path: str | Path) -> Gaussians:
    """Read an unpacked SOG of version 2: a `meta.json` and the images that it names, in the same folder.

    Args:
        path: The `meta.json`. Nothing outside its folder is opened, whatever it contains.

    Raises:
        SceneFileError: not such a file, an image is missing or damaged, or the parts are inconsistent.
    """
    with opened(path) as source:
        try:
            return _Reader(FolderFiles(Path(path).parent, Path(path).name, source.name)).scene()
        except SceneFileError:
            raise
        except ARCHIVE_ERRORS as error:
            raise SceneFileError(f"{source.name}: a picture of the SOG is damaged or not a WebP picture") from error


class _Reader:
    """One SOG."""

    def __init__(self, members: SogFiles) -> None:
        self.members, self.name = members, members.name
        name = members.name
        meta = read_json(members.read(members.meta, MAX_META_BYTES), f"{name}: meta.json", SceneFileError)
        if not isinstance(meta, Mapping) or meta.get("version") != VERSION:
            version = meta.get("version", 1) if isinstance(meta, Mapping) else None
            raise SceneFileError(f"{name}: expected a SOG file of version {VERSION}, got {echo(version)}")
        self.meta = meta
        self.count = check_count(
            whole_number(meta.get("count"), f"{name}: count", 1, MAX_GAUSSIANS, SceneFileError), name
        )

    def scene(self) -> Gaussians:
        """Decode all images."""
        low, high = (self._numbers("means", key, 3) for key in ("mins", "maxs"))
        fixed = self._pixels("means", 0).astype(np.uint16) | self._pixels("means", 1).astype(np.uint16) << 8
        logs = low + (high - low) * (fixed * np.float64(1 / 65535))
        if np.abs(logs).max() > 80:
            raise SceneFileError(f"{self.name}: positions of the SOG file are beyond all numbers")
        means = (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32) * MEAN_SIGNS
        scales = scales_from_log(
            self._numbers("scales", "codebook", VALUES)[self._pixels("scales", 0)].astype(np.float32)
        )
        rotation = self._pixels("quats", 0, 4)
        if (rotation[:, 3] < LARGEST_MODE).any():
            raise SceneFileError(f"{self.name}: a rotation of the SOG file is of an unknown kind")
        largest = rotation[:, 3].astype(np.int64) - LARGEST_MODE
        quats = from_smallest_three(largest, rotation[:, :3] * np.float32(1 / 255)) * QUAT_SIGNS
        colour = self._pixels("sh0", 0, 4)
        dc = self._numbers("sh0", "codebook", VALUES)[colour[:, :3]].astype(np.float32)
        sh = dc[:, None] if "shN" not in self.meta else np.concatenate([dc[:, None], self._higher()], axis=1)
        opacities = colour[:, 3] * np.float32(1 / 255)
        for field, values in (("means", means), ("scales", scales)):
            check_finite(values, field, self.name)
        return Gaussians(
            *(torch.from_numpy(np.ascontiguousarray(part)) for part in (means, quats, scales, opacities, sh))
        )

    def _higher(self) -> np.ndarray:
        """SH above band 0. (n, K - 1, 3)"""
        part = self._part("shN")
        bands = whole_number(part.get("bands"), f"{self.name}: bands of shN", 1, 3, SceneFileError)
        size = whole_number(part.get("count"), f"{self.name}: count of shN", 1, 65536, SceneFileError)
        coefficients = (bands + 1) ** 2 - 1
        labels = self._pixels("shN", 1)
        label = labels[:, 0].astype(np.int64) | labels[:, 1].astype(np.int64) << 8
        if label.max() >= size:
            raise SceneFileError(f"{self.name}: a Gaussian of the SOG file names an entry that its palette lacks")
        picture = self._picture("shN", 0)
        if picture.shape[1] != PALETTE_COLUMNS * coefficients or picture.shape[0] * PALETTE_COLUMNS < size:
            raise SceneFileError(f"{self.name}: the palette of the SOG file has a size that does not fit")
        book = self._numbers("shN", "codebook", VALUES).astype(np.float32)
        palette = book[picture[..., :3].reshape(-1, coefficients, 3)] * SH_SIGNS[1 : coefficients + 1, None]
        return palette[label]

    def _part(self, name: str) -> Mapping[str, object]:
        part = self.meta.get(name)
        if not isinstance(part, Mapping):
            raise SceneFileError(f"{self.name}: meta.json: {name} must be an object, got {echo(part)}")
        return part

    def _numbers(self, part: str, field: str, count: int) -> np.ndarray:
        values = self._part(part).get(field)
        if not isinstance(values, list) or len(values) != count:
            raise SceneFileError(
                f"{self.name}: meta.json: {field} of {part} must be {count} numbers, got {echo(values)}"
            )
        where = f"{self.name}: meta.json: {field} of {part}"
        return np.array([real_number(value, where, -MAX_NUMBER, MAX_NUMBER, SceneFileError) for value in values])

    def _pixels(self, part: str, index: int, channels: int = 3) -> np.ndarray:
        """The Gaussians' pixels of a picture, uint8. (n, channels)"""
        picture = self._picture(part, index)
        pixels = picture.reshape(-1, 4)[: self.count, :channels]
        if len(pixels) != self.count:
            raise SceneFileError(f"{self.name}: a picture of {part} has fewer pixels than the file has Gaussians")
        return pixels

    def _picture(self, part: str, index: int) -> np.ndarray:
        """A picture, RGBA uint8. (h, w, 4)"""
        files = self._part(part).get("files")
        if not isinstance(files, list) or len(files) <= index or not isinstance(files[index], str):
            raise SceneFileError(f"{self.name}: meta.json: files of {part} must be names, got {echo(files)}")
        most = 2 * self.count + MAX_SPARE_PIXELS
        if part == "shN" and index == 0:
            most = 65536 * 15 + MAX_SPARE_PIXELS
        data = self.members.read(files[index], 5 * most + 4096)
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as image:
            if image.width * image.height > most:
                raise SceneFileError(
                    f"{self.name}: a picture of {part} of {image.width}x{image.height} is too large for {self.count} Gaussians"
                )
            return np.asarray(image.convert("RGBA"))
