"""Colour space information that Pillow does not expose: PNG chunks and the boxes of AVIF.

Only headers are parsed, never a pixel, and every length is checked: an inconsistent file gives None.

Source: PNG Specification (Third Edition) 11.3.2 (cICP, tRNS); ISO/IEC 14496-12 and 23008-12 (boxes `pitm`, `ipma`, `colr`);
ITU-T H.273 (the code points).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOTHING = memoryview(b"")
MAX_PIECES = 2000
"""Maximum number of chunks or boxes parsed; an image's header has a few dozen."""


class ColourCode(NamedTuple):
    """Code points of ITU-T H.273.

    Attributes:
        primaries: 1 BT.709 and sRGB, 9 BT.2020, 12 Display P3, ...
        transfer: 13 sRGB, 16 PQ, 18 HLG, ...
    """

    primaries: int
    transfer: int


class PngTags(NamedTuple):
    """Information in a PNG before its pixels.

    Attributes:
        code: From cICP, if present.
        narrow: Whether cICP states the narrow range of video: black is 16 and white 235, of 255.
        bit_depth: Bits per channel in the file.
        key: The tRNS chunk's numbers of a grey (1) or RGB (3) picture: its transparent value in the file's own depth.
    """

    code: ColourCode | None = None
    narrow: bool = False
    bit_depth: int = 8
    key: tuple[int, ...] | None = None


def png_tags(data: bytes) -> PngTags:
    """Read the chunks before the pixels of a PNG."""
    tags, colour_type = PngTags(), 2
    for name, body in _chunks(data):
        if name == b"IHDR" and len(body) == 13:
            tags, colour_type = tags._replace(bit_depth=body[8]), body[9]
        elif name == b"cICP" and len(body) == 4:
            tags = tags._replace(code=ColourCode(body[0], body[1]), narrow=body[3] == 0)
        elif name == b"tRNS" and len(body) == {0: 2, 2: 6}.get(colour_type):
            tags = tags._replace(key=struct.unpack(f">{len(body) // 2}H", body))
    return tags


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG_SIGNATURE)
    if not data.startswith(PNG_SIGNATURE):
        return
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            return
        yield name, data[at + 8 : at + 8 + min(length, 64)]  # no chunk that is parsed here is longer
        at += 12 + length


def avif_code(data: bytes) -> ColourCode | None:
    """The `nclx` colours of the main image of an AVIF or HEIF file, if it has them."""
    try:
        meta = next((body for name, body in boxes(memoryview(data)) if name == b"meta"), None)
        return None if meta is None else _main_code(meta[4:])
    except (struct.error, IndexError):
        return None


def _main_code(meta: memoryview) -> ColourCode | None:
    inside = dict(boxes(meta))
    properties = dict(boxes(inside.get(b"iprp", NOTHING)))
    codes = {
        index: ColourCode(*struct.unpack_from(">HH", body, 4))
        for index, (name, body) in enumerate(boxes(properties.get(b"ipco", NOTHING)), start=1)
        if name == b"colr" and body[:4] == b"nclx"
    }
    if len(set(codes.values())) == 1:
        return next(iter(codes.values()))
    main = _item_id(inside.get(b"pitm", NOTHING))
    linked = _associations(properties.get(b"ipma", NOTHING)).get(main, ()) if codes else ()
    return next((codes[index] for index in linked if index in codes), None)


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The names and contents of the boxes of an ISO file (AVIF, HEIF, JPEG 2000), or of a box that holds boxes."""
    at = 0
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        size = size or len(data) - at
        if size < head:
            return
        yield name, data[at + head : at + size]
        at += size


def _item_id(pitm: memoryview) -> int:
    return struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0]


def _associations(ipma: memoryview) -> dict[int, tuple[int, ...]]:
    """Item id to the numbers of its properties."""
    version, wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    at, found = 8, {}
    for _ in range(min(count, MAX_PIECES)):
        item, size = (*struct.unpack_from(">I", ipma, at), 4) if version else (*struct.unpack_from(">H", ipma, at), 2)
        links = ipma[at + size]
        at += size + 1
        kind, mask = (f">{links}H", 0x7FFF) if wide else (f">{links}B", 0x7F)
        found[item] = tuple(link & mask for link in struct.unpack_from(kind, ipma, at))
        at += struct.calcsize(kind)
    return found
