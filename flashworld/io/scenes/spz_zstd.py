"""SPZ version 4: a header of 32 bytes, a table of sizes, and each section as a separate Zstandard stream.

The header is that of version 3, with the number of streams in place of the reserved byte, then the offset of the table
(uint32); extension records lie between them (see `spz_extensions`). The table holds the compressed and the plain size of
each stream (uint64 each); the streams follow it.

Source: the format of nianticlabs/spz (`load-spz.cc`), version 4.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, cast

from flashworld.errors import DependencyError, SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.reading import SceneFile
from flashworld.io.scenes.spz_body import exactly, spz_body
from flashworld.io.scenes.spz_extensions import FLAG, MAX_EXTENSION_BYTES, stated_axes

HEADER = struct.Struct("<IIIBBBBI12x")
"""Magic, version, count, SH degree, fractional bits, flags, number of streams, offset of the table."""
SIZES = struct.Struct("<QQ")
VERSION = 4
MAX_WINDOW_BYTES = 128 * 2**20
"""Largest window of the decompressor; a stream that needs more is refused."""


def read_spz_zstd(source: SceneFile) -> Gaussians:
    """Read an open file that begins with SPZ's magic number.

    Raises:
        SceneFileError: another version, damaged, truncated, too large, or a decompression bomb.
        DependencyError: the package zstandard is missing.
    """
    header = exactly(source.file, HEADER.size, source.name)
    _, version, count, degree, bits, flags, streams, table = HEADER.unpack(header)
    if version != VERSION:
        raise SceneFileError(f"{source.name}: expected an SPZ file of version 2, 3 or 4, got version {version}")
    body = spz_body(version, count, degree, bits, source)
    if streams != len(body.sections) or table < HEADER.size:
        raise SceneFileError(f"{source.name}: an SPZ file of SH degree {degree} cannot hold {streams} streams")
    records = source.file.read(min(table - HEADER.size, MAX_EXTENSION_BYTES + 1)) if flags & FLAG else b""
    signs = stated_axes(records, source.name)
    source.file.seek(table)
    sizes = [SIZES.unpack(exactly(source.file, SIZES.size, source.name)) for _ in body.sections]
    zstandard, at = _zstandard(), source.file.tell()
    for section, (packed, plain) in zip(body.sections, sizes, strict=True):
        if plain != section.size or at + packed > source.size:
            raise SceneFileError(f"{source.name}: a stream of the SPZ file has a size that does not fit")
        part = cast("BinaryIO", _Part(source.file, at, packed))
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        try:
            with decompressor.stream_reader(part, closefd=False) as stream:
                section.fill(cast("BinaryIO", stream), source.name)
        except zstandard.ZstdError as error:
            raise SceneFileError(f"{source.name}: a stream of the SPZ file is damaged") from error
        at += packed
    return body.scene(signs)


class _Part:
    """A range of a file as a file object."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._left = file, size
        file.seek(start)

    def read(self, count: int = -1) -> bytes:
        """The next bytes, fewer at the end."""
        data = self._file.read(self._left if count < 0 else min(count, self._left))
        self._left -= len(data)
        return data


def _zstandard() -> Any:  # noqa: ANN401 - a module
    try:
        import zstandard
    except ImportError as error:
        raise DependencyError("SPZ version 4 needs the package zstandard: pip install zstandard") from error
    return zstandard
