"""Extension records of an SPZ file; one of them states the file's axes, which are right, up, back without it.

A record is its type and the length of its content (uint32 each, little-endian), then the content. Records follow each
other after the last section in versions 2 and 3, and between header and table of sizes in version 4; a flag of the
header says that there are any. Types that are not known here are skipped, and so is what follows a record that is
longer than the data.

The content of SPZ_ADOBE_coordinate_system is one uint32, read here as 0 (not specified: right, up, back) or as 1 to 8,
which are left or right, down or up, back or forward, the first changing fastest. The library also defines 9 to 16, with
z up or down, but numbered them in another order in its earlier versions: such a file is refused, because a scene
could be turned the wrong way.

Source: nianticlabs/spz (`extensions/README.md`, `coordinate-system-adobe.cc`, `splat-types.h`).
"""

from __future__ import annotations

import struct

from flashworld.errors import SceneFileError
from flashworld.io.scenes.axes import AxisSigns, axis_signs

FLAG = 2
"""Bit of the header's flags: the file holds extension records."""
MAX_EXTENSION_BYTES = 2**20
"""All records of a file; the known ones take less than 100 bytes each."""
RECORD = struct.Struct("<II")
NUMBER = struct.Struct("<I")
COORDINATE_SYSTEM = 0xADBE0003
SIGN_CHANGES = 8


def stated_axes(records: bytes, name: str) -> AxisSigns | None:
    """The signs that turn the file's axes to right, up, back; None if that is what they are.

    Args:
        records: All extension records; a byte more than MAX_EXTENSION_BYTES is enough to be refused.
        name: The file's, for messages.

    Raises:
        SceneFileError: axes that are stated but cannot be read, or too many bytes.
    """
    if len(records) > MAX_EXTENSION_BYTES:
        raise SceneFileError(f"{name}: an SPZ file may hold at most {MAX_EXTENSION_BYTES} bytes of extensions")
    at = 0
    while at + RECORD.size <= len(records):
        kind, length = RECORD.unpack_from(records, at)
        at += RECORD.size
        if kind == COORDINATE_SYSTEM:
            return _signs(records[at : at + length], name)
        at += length
    return None


def _signs(content: bytes, name: str) -> AxisSigns | None:
    if len(content) < NUMBER.size:
        raise SceneFileError(f"{name}: the record of the SPZ file that states its axes is cut short")
    (number,) = NUMBER.unpack_from(content)
    if number > SIGN_CHANGES:
        raise SceneFileError(
            f"{name}: the SPZ file states its axes as number {number} of SPZ_ADOBE_coordinate_system, expected 0 to "
            f"{SIGN_CHANGES}: write it with right, up, back or other axes whose y points up or down"
        )
    if number == 0:
        return None
    right, up, forward = (bool((number - 1) >> bit & 1) for bit in range(3))
    return axis_signs(1 if right else -1, 1 if up else -1, -1 if forward else 1)
