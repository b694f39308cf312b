"""HDR that an ICC profile describes is tone-mapped as with code points, and no other profile is mistaken for it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from flashworld.io.images.hdr import HLG, PAPER_WHITE, PQ, PQ_PEAK, hlg_to_scene, pq_to_light
from flashworld.io.images.icc import BT_2020, D65, SRGB, Primaries, matrix_profile, primaries_of_colorants, rgb_to_xyz
from flashworld.io.images.icc_hdr import hdr_of_profile
from flashworld.io.images.reading import read_picture

P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
RED, RED_OF_P3 = (220, 30, 30), (240, 0, 0)
WHITE = {PQ: 148, HLG: 191}  # 203 cd/m2: 58 % of PQ, 75 % of HLG
CURVES = {PQ: lambda signal: pq_to_light(signal) * PAPER_WHITE / PQ_PEAK, HLG: hlg_to_scene}


def profile(primaries: Primaries, curve) -> bytes:
    made = matrix_profile(primaries, curve)
    assert made is not None
    return made


def p3_profile() -> bytes:
    return profile(P3, lambda s: np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4))


def tagged(data: bytes, *tags: tuple[bytes, bytes], without: tuple[bytes, ...] = ()) -> bytes:
    """A profile with further tags, and without some."""
    count = struct.unpack_from(">I", data, 128)[0]
    table = [struct.unpack_from(">4sII", data, 132 + 12 * i) for i in range(count)]
    kept = [(name, data[at : at + size]) for name, at, size in table if name not in without] + list(tags)
    at, index, body = 132 + 12 * len(kept), b"", b""
    for name, content in kept:
        index += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    made = data[:128] + struct.pack(">I", len(kept)) + index + body
    return struct.pack(">I", len(made)) + made[4:]


def described(words: bytes) -> tuple[bytes, bytes]:
    return b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(words) + 1) + words + bytes(80)


def encode(colour: tuple[int, ...] | int, kind: str, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (32, 32), colour).save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with a chunk after its header."""
    made = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data[:33] + made + data[33:]


def shown(data: bytes) -> np.ndarray:
    return read_picture(data).pixels[8, 8].astype(int)


def near(data: bytes, colour, levels: int = 2) -> bool:
    return bool(np.abs(shown(data) - colour).max() <= levels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize(("primaries", "code"), [(BT_2020, 9), (P3, 12)], ids=["BT.2020", "Display P3"])
def test_hdr_with_an_icc_profile_looks_as_with_code_points(kind, transfer, primaries, code):
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = profile(primaries, CURVES[transfer])
    for colour in ((WHITE[transfer],) * 3, (120, 100, 60), (200, 90, 110), (0, 0, 0), (255, 255, 255)):
        wanted = shown(with_chunk(encode(colour, "PNG"), b"cICP", bytes([code, transfer, 0, 1])))
        assert near(encode(colour, kind, icc_profile=data, **lossless), wanted, 5 if kind == "JPEG" else 1)
    assert near(encode((WHITE[transfer],) * 3, kind, icc_profile=data, **lossless), 225, 6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_hdr_profile_is_tone_mapped(transfer):
    data = profile(SRGB, CURVES[transfer])
    at = data.index(b"curv")
    size = 12 + 2 * struct.unpack_from(">I", data, at + 8)[0]
    grey = tagged(data, (b"kTRC", data[at : at + size]), without=(b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"))
    assert near(encode(WHITE[transfer], "PNG", "L", icc_profile=grey[:16] + b"GRAY" + grey[20:]), 225, 6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_code_points_inside_a_profile_are_read(transfer):
    cicp = (b"cicp", b"cicp\0\0\0\0" + bytes([12, transfer, 0, 0]))
    data = tagged(profile(BT_2020, lambda s: s**2.2), cicp)
    wanted = shown(with_chunk(encode((120, 100, 60), "PNG"), b"cICP", bytes([12, transfer, 0, 1])))
    assert near(encode((120, 100, 60), "PNG", icc_profile=data), wanted, 0)
    ordinary = tagged(p3_profile(), (b"cicp", b"cicp\0\0\0\0" + bytes([12, 13, 0, 1])))
    assert near(encode(RED, "PNG", icc_profile=ordinary), RED_OF_P3)
    assert near(encode(RED, "PNG", icc_profile=tagged(p3_profile(), (b"cicp", b"cicp\0\0"))), RED_OF_P3)


@pytest.mark.parametrize(
    ("words", "transfer"),
    [(b"Rec. 2100 PQ", PQ), (b"ITUR_2100_PQ_FULL", PQ), (b"P3 SMPTE ST 2084", PQ), (b"BT.2100 HLG", HLG),
     (b"ASUS PQ321Q", None), (b"sRGB", None)],
)  # fmt: skip
def test_profiles_of_tables_are_known_by_their_description(words, transfer):
    curves = (b"rTRC", b"gTRC", b"bTRC")
    data = tagged(profile(BT_2020, CURVES[PQ]), described(words), without=curves)
    found = hdr_of_profile(data, words.decode())
    assert (found and found.transfer) == transfer
    assert hdr_of_profile(tagged(p3_profile(), described(words)), words.decode()) is None, "its curve is another"
    printer = data[:12] + b"prtr" + data[16:]
    assert hdr_of_profile(printer, words.decode()) is None


@pytest.mark.parametrize("curve", [lambda s: s, lambda s: s**1.8, lambda s: s**2.6, lambda s: s**6.7, lambda s: s**10])
def test_curves_of_other_profiles_are_not_mistaken_for_hdr(curve):
    assert hdr_of_profile(profile(P3, curve), "") is None


@pytest.mark.parametrize("primaries", [SRGB, P3, BT_2020])
def test_primaries_are_recovered_from_a_profile(primaries):
    data = profile(primaries, CURVES[PQ])
    found = hdr_of_profile(data, "")
    assert found is not None and found.transfer == PQ
    np.testing.assert_allclose(np.array(found.primaries), np.array(primaries), atol=1e-3)
    assert primaries_of_colorants(np.zeros((3, 3))) is None and rgb_to_xyz(primaries) is not None


def test_hdr_profile_without_usable_primaries_is_still_tone_mapped():
    empty = [(name, b"XYZ \0\0\0\0" + bytes(12)) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    data = tagged(profile(BT_2020, CURVES[PQ]), *empty, without=(b"rXYZ", b"gXYZ", b"bXYZ"))
    assert near(encode((148,) * 3, "PNG", icc_profile=data), 225, 6)


def test_damaged_profiles_are_searched_within_their_bounds():
    data = tagged(profile(P3, CURVES[PQ]), (b"cicp", b"cicp\0\0\0\0" + bytes([12, PQ, 0, 1])))
    for end in range(0, len(data), 7):
        hdr_of_profile(data[:end], "")
    for at in range(128, 300):
        hdr_of_profile(data[:at] + b"\xff" + data[at + 1 :], "")
