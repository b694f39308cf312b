"""SPZ, a compact format: about 31 bytes per Gaussian at SH degree 2. Version 3 is written, versions 2, 3 and 4 are read.

A gzip stream of a 16-byte header and one section per field; in version 4 a header of 32 bytes, a table of sizes and each
section as a Zstandard stream of its own, and the numbers as in version 3 (see `spz_zstd`). Axes are right, up, back, as in
memory, unless the file states others (see `spz_extensions`).

| field | bytes | precision, round trip | range kept |
|---|---|---|---|
| position | 3 x 3 | half of 2^-b, b = fractional bits: the most that fit the scene (12 below 2048 units, 20 below 8) | all |
| opacity | 1 | 1/510 | [0, 1] |
| colour (SH band 0) | 3 | 0.0131, which is 0.0037 of brightness | -3.33 to 3.33, clamped |
| scale | 3 | 3.2 % (1/32 of the natural logarithm) | 4.5e-5 to 379, clamped |
| rotation | 4 | 0.0007 each of the three smaller components, 0.002 the largest; unit length | all |
| SH above band 0 | 3 (K - 1) | 1/256 | -1 to 127/128, clamped |

Compressed with run lengths and Huffman codes only: on such data, searching for repeats takes two to four times as long
and gives larger files.

Source: the format of nianticlabs/spz (`load-spz.cc`).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from flashworld.checks import file_name
from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.atomic import new_file
from flashworld.io.reading import SceneFile, opened
from flashworld.io.scenes import spz_codec as codec
from flashworld.io.scenes.chunks import iter_chunks, slices
from flashworld.io.scenes.spz_body import exactly, spz_body
from flashworld.io.scenes.spz_extensions import FLAG, MAX_EXTENSION_BYTES, stated_axes
from flashworld.io.scenes.spz_zstd import read_spz_zstd

MAGIC = 0x5053474E
HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, count, SH degree, fractional bits, flags, reserved."""
VERSION = 3


def write_spz(scene: Gaussians, path: str | Path, *, fractional_bits: int | None = None) -> None:
    """Write a scene as SPZ version 3, deterministic to the byte.

    Args:
        scene: OpenGL axes, SH degree 0 to 3, any device.
        path: Where to; an existing file is replaced.
        fractional_bits: Fractional bits of positions, 1 to 24; by default the most that the scene's extent allows.

    Raises:
        SceneError: empty or non-finite scene, or positions too far out.
        WriteError: the file cannot be written.
    """
    name = file_name(path)
    extent = max(float(np.abs(chunk.means).max()) for chunk in iter_chunks(scene, name))
    fitting = codec.fitting_fractional_bits(extent)
    bits = fitting if fractional_bits is None else fractional_bits
    if fitting is None or bits is None or not 1 <= bits <= fitting:
        raise SceneError(
            f"{name}: SPZ positions must fit 24 bits with 1 to 24 of them for fractions, got an extent of {extent:g} "
            f"with {bits} fractional bits"
        )
    with new_file(path) as file:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31, 9, zlib.Z_RLE)
        file.write(packer.compress(HEADER.pack(MAGIC, VERSION, len(scene), scene.sh_degree, bits, 0, 0)))
        for section in _sections(scene, bits):
            file.write(packer.compress(section.data))
        file.write(packer.flush())


def _sections(scene: Gaussians, bits: int) -> Iterator[np.ndarray]:
    """All bytes of the body, field after field, in slices."""
    for means in slices(scene.means):
        yield codec.pack_positions(means, bits)
    for opacities in slices(scene.opacities):
        yield codec.pack_alphas(opacities)
    for dc in slices(scene.sh[:, 0]):
        yield codec.pack_colours(dc)
    for scales in slices(scene.scales):
        yield codec.pack_scales(scales)
    for quats in slices(scene.quats_wxyz):
        yield codec.pack_rotations(quats)
    if scene.sh.shape[1] > 1:
        for higher in slices(scene.sh[:, 1:]):
            yield codec.pack_sh(higher)


def read_spz(path: str | Path) -> Gaussians:
    """Read an SPZ file of version 2 to 4; OpenGL axes, float32, on the CPU.

    Raises:
        SceneFileError: not an SPZ file, truncated, damaged, too large, or a decompression bomb.
    """
    with opened(path) as source:
        zstandard = source.file.read(4) == HEADER.pack(MAGIC, 0, 0, 0, 0, 0, 0)[:4]
        source.file.seek(0)
        if zstandard:
            return read_spz_zstd(source)
        with gzip.GzipFile(fileobj=source.file, mode="rb") as stream:
            try:
                return _read_stream(cast(BinaryIO, stream), source)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise SceneFileError(f"{source.name}: the SPZ file is damaged or not gzip") from error


def _read_stream(stream: BinaryIO, source: SceneFile) -> Gaussians:
    magic, version, count, degree, bits, flags, _ = HEADER.unpack(exactly(stream, HEADER.size, source.name))
    if magic != MAGIC or version not in (2, VERSION):
        raise SceneFileError(
            f"{source.name}: expected an SPZ file of version 2, 3 or 4, got magic {magic:#x} and version {version}"
        )
    body = spz_body(version, count, degree, bits, source)
    for section in body.sections:
        section.fill(stream, source.name)
    # Reading up to the end of the stream verifies the checksum; unknown bytes may follow instead.
    trailer = stream.read(MAX_EXTENSION_BYTES + 1 if flags & FLAG else 1)
    return body.scene(stated_axes(trailer, source.name) if flags & FLAG else None)
