"""ICC profiles of JPEG 2000 and BMP, which Pillow does not hand on.

Only headers are parsed, and every length is checked: a file that is inconsistent has no profile.

Source: ISO/IEC 15444-1 annex I (`jp2h`, `colr`); Microsoft, BITMAPV5HEADER.
"""

from __future__ import annotations

import struct

from flashworld.io.images.colour_tags import NOTHING, boxes

ICC_METHODS = (2, 3)
"""Kinds of `colr` that hold a profile: a simple one, and any; the other kinds name a colour space, which Pillow reads."""
BMP_HEADER = 14
"""Bytes of the file's header; offsets of the profile count from its end."""
V5_BYTES = 124
EMBEDDED = 0x4D424544
"""Kind of colour space of a BMP: "MBED"; "LINK" names a file instead, which is never opened."""


def embedded_profile(kind: str | None, data: bytes) -> bytes | None:
    """The ICC profile of a file in one of the two formats.

    Args:
        kind: Pillow's name of the format.
        data: The file.

    Returns:
        The profile, which may be damaged; None if there is none, or for another format.
    """
    try:
        if kind == "JPEG2000":
            return _of_jpeg_2000(data)
        return _of_bmp(data) if kind == "BMP" else None
    except (struct.error, IndexError):
        return None


def _of_jpeg_2000(data: bytes) -> bytes | None:
    header = next((body for name, body in boxes(memoryview(data)) if name == b"jp2h"), NOTHING)
    colours = next((body for name, body in boxes(header) if name == b"colr"), NOTHING)  # readers ignore further ones
    return bytes(colours[3:]) if len(colours) > 3 and colours[0] in ICC_METHODS else None


def _of_bmp(data: bytes) -> bytes | None:
    (size,) = struct.unpack_from("<I", data, BMP_HEADER)
    (colours,) = struct.unpack_from("<I", data, BMP_HEADER + 56)
    offset, length = struct.unpack_from("<II", data, BMP_HEADER + 112)
    if size != V5_BYTES or colours != EMBEDDED or offset < V5_BYTES:
        return None
    return data[BMP_HEADER + offset :][:length] or None
