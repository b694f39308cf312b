"""ICC profiles of JPEG 2000 and BMP, which Pillow does not hand on, are applied like those of other formats."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from flashworld.io.images.embedded import embedded_profile
from flashworld.io.images.hdr import decode_srgb
from flashworld.io.images.icc import D65, Primaries, matrix_profile
from flashworld.io.images.reading import read_picture

P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
RED, RED_OF_P3 = (220, 30, 30), (240, 0, 0)


def p3_profile() -> bytes:
    made = matrix_profile(P3, decode_srgb)
    assert made is not None
    return made


def encode(colour: tuple[int, ...] | int, kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (32, 32), colour).save(buffer, kind)
    return buffer.getvalue()


def near(data: bytes, colour, levels: int = 2) -> bool:
    return bool(np.abs(read_picture(data).pixels[8, 8].astype(int) - colour).max() <= levels)


def jp2(*boxes: bytes, colour: tuple[int, ...] | int = RED, mode: str = "RGB") -> bytes:
    """A JPEG 2000 whose colour boxes are the given ones."""
    data = encode(colour, "JPEG2000", mode)
    at, start = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    size, own = (struct.unpack_from(">I", data, place)[0] for place in (at, start))
    made = b"".join(struct.pack(">I4s", 8 + len(box), b"colr") + box for box in boxes)
    whole = struct.pack(">I", size - own + len(made))
    return data[:at] + whole + data[at + 4 : start] + made + data[start + own :]


def bmp(kind: bytes, body: bytes, *, offset: int | None = None, size: int | None = None) -> bytes:
    """A BMP of version 5, 24 bits, whose profile follows its pixels."""
    pixels = bytes(reversed(RED)) * 32 * 32
    at = 124 + len(pixels) if offset is None else offset
    head = struct.pack("<IiiHHIIiiII16x4s48xIIII", 124, 32, 32, 1, 24, 0, len(pixels), 0, 0, 0, 0, kind, 4, at,
                       len(body) if size is None else size, 0)  # fmt: skip
    assert len(head) == 124
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(body), 0, 0, 138) + head + pixels + body


def test_profile_of_a_jpeg_2000_is_applied():
    for method in (2, 3):
        assert near(jp2(bytes([method, 0, 0]) + p3_profile()), RED_OF_P3)
    enumerated = [bytes([1, 0, 0]) + struct.pack(">I", code) for code in (16, 17)]
    assert near(jp2(enumerated[0]), RED, 0)
    assert near(jp2(enumerated[0], b"\2\0\0" + p3_profile()), RED, 0), "only the first box counts"
    assert near(jp2(enumerated[1], colour=99, mode="L"), 99, 0)
    stream = jp2(enumerated[0])
    assert near(stream[stream.index(b"\xff\x4f\xff\x51") :], RED, 0), "a bare code stream names no colours"


def test_profile_of_a_bmp_is_applied():
    assert near(bmp(b"DEBM", p3_profile()), RED_OF_P3)
    for other in (bmp(b"KNIL", b"C:\\p3.icc"), bmp(b"BGRs", b""), bmp(b" niW", p3_profile()), encode(RED, "BMP")):
        assert near(other, RED, 0)
    for offset, size in ((0, None), (2**31, None), (2**32 - 1, 2**32 - 1), (None, 2**32 - 1), (None, 0)):
        assert near(bmp(b"DEBM", p3_profile(), offset=offset, size=size), RED, 0) or size == 2**32 - 1


@pytest.mark.parametrize("data", [jp2(b"\2\0\0" + p3_profile()), bmp(b"DEBM", p3_profile())], ids=["JPEG2000", "BMP"])
def test_truncated_files_give_at_most_a_part_of_a_profile(data):
    kind = "BMP" if data.startswith(b"BM") else "JPEG2000"
    assert embedded_profile(kind, data) == p3_profile()
    for end in range(0, len(data), 5):
        found = embedded_profile(kind, data[:end])
        assert found is None or p3_profile().startswith(found)
    assert embedded_profile("PNG", data) is None
