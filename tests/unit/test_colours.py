"""Colours: pixels are converted from the declared colour space to sRGB, and a false declaration leaves the picture readable."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from flashworld import limits
from flashworld.io.images.colour_tags import ColourCode, avif_code, png_tags
from flashworld.io.images.hdr import HLG, PQ, encode_srgb
from flashworld.io.images.icc import ADOBE_RGB, SRGB, Primaries, matrix_profile
from flashworld.io.images.reading import read_picture

RED = (220, 30, 30)
P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
RED_OF_P3 = (240, 0, 0)
RED_OF_ADOBE_RGB = (255, 24, 24)


def srgb_curve(signal):
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def profile(primaries: Primaries, curve=srgb_curve) -> bytes:
    made = matrix_profile(primaries, curve)
    assert made is not None
    return made


def grey_profile() -> bytes:
    """Linear light, as a monochrome profile of two tags."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, 256) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    body = 128 + 4 + 24
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", body, 20, b"kTRC", body + 20, 14)
    data = profile(SRGB)[:128] + tags + white + curve
    return struct.pack(">I", len(data)) + data[4:16] + b"GRAY" + data[20:]


def press_profile() -> bytes:
    """CMYK to Lab by a lookup table of two points per channel: cyan ink is (60, -37, -50), everything else gets darker."""
    corners = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij")).reshape(4, 16).T
    lab = np.array([100, 0, 0]) + corners @ np.array([[-40, -37, -50], [-40, 74, -5], [-10, -5, 90], [-90, 0, 0]])
    table = np.clip(lab * [2.55, 1, 1] + [0, 128, 128], 0, 255).astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    a2b = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + table + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    body = 128 + 4 + 24
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", body, 20, b"A2B0", body + 20, len(a2b))
    data = profile(SRGB)[:128] + tags + white + a2b
    return struct.pack(">I", len(data)) + data[4:12] + b"prtrCMYKLab " + data[24:]


def encode(image: Image.Image, kind: str, **options) -> bytes:
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(depth: int, colour_type: int, row: bytes, *chunks: bytes, side: int = 16) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * side))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def near(pixels: np.ndarray, colour, levels: int = 2) -> bool:
    return bool(np.abs(pixels[8, 8].astype(int) - colour).max() <= levels)


def flat(mode: str = "RGB", colour=RED) -> Image.Image:
    return Image.new(mode, (32, 32), colour)


def avif(code: ColourCode) -> bytes:
    """As another encoder writes it: Pillow declares sRGB, which `code` replaces."""
    data = encode(flat(), "AVIF", quality=100, subsampling="4:4:4")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", *code) + data[at + 4 :]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (profile(P3), RED_OF_P3),
        (profile(ADOBE_RGB, lambda signal: signal**2.19921875), RED_OF_ADOBE_RGB),
        (profile(Primaries(SRGB.blue, SRGB.green, SRGB.red, SRGB.white)), (30, 30, 220)),
    ],
    ids=["Display P3", "Adobe RGB", "red and blue exchanged"],
)
def test_icc_profile_is_applied(kind, data, wanted):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100},
                "HEIF": {"quality": 100}}  # fmt: skip
    pixels = read_picture(encode(flat(), kind, icc_profile=data, **lossless.get(kind, {}))).pixels
    assert near(pixels, wanted, 4)


def test_prophoto_white_stays_white_and_grey_stays_grey():
    prophoto = Primaries((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
    data = profile(prophoto, lambda signal: signal**1.8)
    for level in (0, 255):
        assert near(read_picture(encode(flat(colour=(level,) * 3), "PNG", icc_profile=data)).pixels, level, 1)
    grey = read_picture(encode(flat(colour=(100,) * 3), "PNG", icc_profile=data)).pixels
    assert near(grey, 255 * encode_srgb(np.array((100 / 255) ** 1.8)), 1)


def test_grey_and_cmyk_profiles_are_applied():
    assert near(read_picture(encode(flat("L", 128), "PNG", icc_profile=grey_profile())).pixels, 188, 1)
    with_alpha = read_picture(encode(flat("LA", (128, 255)), "PNG", icc_profile=grey_profile())).pixels
    assert near(with_alpha, 188, 1)
    deep = Image.fromarray(np.full((32, 32), 128 * 257, np.uint16))
    assert near(read_picture(encode(deep, "PNG", icc_profile=grey_profile())).pixels, 188, 1)
    lab = ImageCms.createProfile("LAB")
    ink = Image.new("LAB", (4, 4), (153, 128 - 37, 128 - 50))
    wanted = ImageCms.profileToProfile(ink, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
    cyan = read_picture(encode(flat("CMYK", (255, 0, 0, 0)), "TIFF", icc_profile=press_profile())).pixels
    assert near(cyan, wanted.getpixel((0, 0)), 3) and not near(cyan, (0, 255, 255), 40)


def test_lab_pixels_are_converted():
    assert near(read_picture(Image.new("LAB", (32, 32), (255, 128, 128))).pixels, 255, 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("data", [b"x" * 500, profile(P3)[:200], grey_profile(), press_profile(), profile(P3), b""])
def test_profiles_for_another_mode_are_ignored(mode, data):
    fitting = {"RGB": profile(P3), "L": grey_profile(), "CMYK": press_profile()}
    if data != fitting[mode]:
        image = flat(mode, {"RGB": RED, "L": 99, "CMYK": (9, 8, 7, 6)}[mode])
        plain = read_picture(encode(image, "TIFF")).pixels
        assert np.array_equal(read_picture(encode(image, "TIFF", icc_profile=data)).pixels, plain)


def test_srgb_profiles_change_no_pixel():
    ramp = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for data in (profile(SRGB), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert np.array_equal(read_picture(encode(ramp, "PNG", icc_profile=data)).pixels, np.asarray(ramp))


def test_transparency_is_composited_after_colour_conversion():
    image = flat("RGBA", (*RED, 255))
    image.paste((0, 0, 0, 0), (16, 0, 32, 32))
    pixels = read_picture(encode(image, "PNG", icc_profile=profile(P3))).pixels
    assert near(pixels, RED_OF_P3) and (pixels[:, 16:] == 255).all()


def test_heif_code_points_are_applied():
    made = encode(flat(), "HEIF", quality=100, color_primaries=12, transfer_characteristics=13)
    assert near(read_picture(made).pixels, RED_OF_P3, 4)


@pytest.mark.parametrize(("code", "wanted"), [
    ((12, 13), RED_OF_P3), ((1, 13), RED), ((1, 1), RED), ((2, 2), RED), ((250, 200), RED), ((12, 1), RED_OF_P3),
])  # fmt: skip
def test_avif_code_points_are_applied(code, wanted):
    data = avif(ColourCode(*code))
    assert avif_code(data) == code
    assert near(read_picture(data).pixels, wanted, 4)


def test_avif_header_may_be_truncated_anywhere():
    data = avif(ColourCode(12, 13))
    for end in range(0, 400, 3):
        avif_code(data[:end])


def test_png_code_points_take_precedence_over_the_profile():
    row = bytes(RED) * 16
    adobe = profile(ADOBE_RGB, lambda signal: signal**2.19921875)
    icc = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe))
    assert near(read_picture(png(8, 2, row, icc)).pixels, RED_OF_ADOBE_RGB)
    assert near(read_picture(png(8, 2, row, chunk(b"cICP", bytes([12, 13, 0, 1])), icc)).pixels, RED_OF_P3)


def test_png_gamma_and_chromaticities():
    row = bytes([55] * 3) * 16
    linear = chunk(b"gAMA", struct.pack(">I", 100000))
    assert near(read_picture(png(8, 2, row, linear)).pixels, 128, 1)
    assert near(read_picture(png(8, 0, bytes([55] * 16), linear)).pixels, 128, 1)
    assert near(read_picture(png(8, 2, row, chunk(b"sRGB", b"\0"), linear)).pixels, 55, 0)
    assert near(read_picture(png(8, 2, row, chunk(b"gAMA", struct.pack(">I", 45455)))).pixels, 55, 0)
    for nonsense in (0, 1, 2**31):
        assert near(read_picture(png(8, 2, row, chunk(b"gAMA", struct.pack(">I", nonsense)))).pixels, 55, 0)
    white_first = [*P3.white, *P3.red, *P3.green, *P3.blue]
    chrm = chunk(b"cHRM", struct.pack(">8I", *(round(100000 * value) for value in white_first)))
    usual = chunk(b"gAMA", struct.pack(">I", 45455))
    assert near(read_picture(png(8, 2, bytes(RED) * 16, usual, chrm)).pixels, RED_OF_P3)
    flat_triangle = chunk(b"cHRM", struct.pack(">8I", *[31270, 32900] * 4))
    assert near(read_picture(png(8, 2, bytes(RED) * 16, usual, flat_triangle)).pixels, RED, 0)


def test_camera_option_file_means_adobe_rgb():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    assert near(read_picture(encode(flat(), "JPEG", quality=100, subsampling=0, exif=exif)).pixels, RED_OF_ADOBE_RGB, 3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_is_tone_mapped_and_never_shown_raw(transfer):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    rows = b"".join(b"\0" + row.tobytes() for row in ramp)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 16, 8, 2, 0, 0, 0))
    data = (b"\x89PNG\r\n\x1a\n" + header + chunk(b"cICP", bytes([9, transfer, 0, 1]))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))  # fmt: skip
    shown = read_picture(data).pixels[8].astype(int)
    assert (np.abs(shown - shown[:, :1]) <= 1).all(), "grey stays grey"
    grey = shown[:, 0]
    assert grey[0] == 0 and (np.diff(grey) >= 0).all() and grey[255] > 235
    white = {PQ: 148, HLG: 191}[transfer]  # 203 cd/m2: 58 % of PQ, 75 % of HLG
    assert abs(grey[white] - 225) < 6 and abs(grey[white] - white) > 20


@pytest.mark.parametrize(("depth", "colour_type", "row", "key"), [
    (16, 0, b"\x75\x30" * 8 + b"\x12\x34" * 8, b"\x75\x30"),
    (16, 2, b"\x11\x22\x33\x44\x55\x66" * 8 + bytes(48), b"\x11\x22\x33\x44\x55\x66"),
    (8, 0, b"\x05" * 8 + bytes(8), b"\0\x05"), (4, 0, b"\x55" * 4 + bytes(4), b"\0\x05"),
    (2, 0, b"\xaa" * 2 + bytes(2), b"\0\x02"), (1, 0, b"\xff\0", b"\0\x01"),
    (8, 2, b"\1\2\3" * 8 + bytes(24), b"\0\1\0\2\0\3"),
])  # fmt: skip
def test_transparent_keys_become_white_at_every_depth(depth, colour_type, row, key):
    data = png(depth, colour_type, row, chunk(b"tRNS", key))
    assert png_tags(data).key is not None
    pixels = read_picture(data).pixels
    assert (pixels[:, :8] == 255).all() and (pixels[:, 8:] < 40).all()


def test_transparent_zero_of_sixteen_bits_is_white():
    data = png(16, 0, bytes(16) + b"\x75\x30" * 8, chunk(b"tRNS", b"\0\0"))
    pixels = read_picture(data).pixels
    assert (pixels[:, :8] == 255).all() and (pixels[:, 8:] == 117).all()


@pytest.mark.parametrize(("level", "wanted"), [(235, 255), (16, 0), (126, 128), (255, 255), (0, 0)])
@pytest.mark.parametrize(("colour_type", "samples"), [(0, 1), (2, 3), (6, 4)], ids=["L", "RGB", "RGBA"])
def test_narrow_range_of_a_png_is_widened(level, wanted, colour_type, samples):
    row = bytes([level] * min(samples, 3) + [255] * (samples == 4)) * 16
    for transfer in (1, 13):
        assert near(
            read_picture(png(8, colour_type, row, chunk(b"cICP", bytes([1, transfer, 0, 0])))).pixels, wanted, 0
        )
        assert near(read_picture(png(8, colour_type, row, chunk(b"cICP", bytes([1, transfer, 0, 1])))).pixels, level, 0)


def test_narrow_range_is_widened_before_other_conversions():
    narrow = [16 + round(level * 219 / 255) for level in (*RED, 148)]
    data = png(8, 2, bytes(narrow[:3]) * 16, chunk(b"cICP", bytes([12, 13, 0, 0])))
    assert near(read_picture(data).pixels, RED_OF_P3, 3)
    assert near(read_picture(png(8, 2, bytes(narrow[3:] * 48), chunk(b"cICP", bytes([9, PQ, 0, 0])))).pixels, 225, 6)
    for level, wanted in ((235, 255), (16, 0)):
        for colour_type, samples in ((0, 1), (2, 3)):
            row = struct.pack(">H", level << 8) * samples * 16
            deep = png(16, colour_type, row, chunk(b"cICP", bytes([1, 13, 0, 0])))
            assert near(read_picture(deep).pixels, wanted, 1)


def test_profiles_that_are_too_large_are_ignored_and_logged(caplog):
    large = profile(P3) + bytes(limits.MAX_ICC_BYTES)
    assert near(read_picture(encode(flat(), "TIFF", icc_profile=large)).pixels, RED, 0)
    assert f"{len(large)} bytes" in caplog.text and str(limits.MAX_ICC_BYTES) in caplog.text
    fitting = large[: limits.MAX_ICC_BYTES]
    assert near(read_picture(encode(flat(), "TIFF", icc_profile=fitting)).pixels, RED_OF_P3)
