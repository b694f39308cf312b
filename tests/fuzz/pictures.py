"""Targets: picture files of every format, damaged in many ways, and the texts that encode them."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from flashworld import limits
from flashworld.errors import ImageError
from flashworld.io.images.crops import crop_box, photo_intrinsics, prepare_picture
from flashworld.io.images.data_urls import picture_from_text
from flashworld.io.images.hdr import hlg_to_scene, pq_to_light
from flashworld.io.images.icc import ADOBE_RGB, BT_2020, matrix_profile
from flashworld.io.images.reading import Photo, read_picture
from tests.fuzz.hostile import STRINGS, damaged_bytes, scalar
from tests.fuzz.law import Case
from tests.fuzz.targets import Target

KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {}), ("JPEG", "L", {"progressive": True}), ("JPEG", "CMYK", {}), ("PNG", "RGB", {}), ("PNG", "RGBA", {}),
    ("PNG", "P", {"transparency": 3}), ("PNG", "I;16", {}), ("PNG", "1", {}), ("PNG", "LA", {}), ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}), ("GIF", "P", {}), ("GIF", "ANIMATED", {}), ("WEBP", "ANIMATED", {}),
    ("PNG", "ANIMATED", {}), ("TIFF", "RGB", {}), ("TIFF", "CMYK", {}), ("TIFF", "F", {}), ("TIFF", "I", {}),
    ("TIFF", "RGB", {"compression": "jpeg"}), ("TIFF", "L", {"compression": "tiff_lzw"}), ("BMP", "RGB", {}),
    ("PPM", "RGB", {}), ("PPM", "L", {}), ("HEIF", "RGB", {}), ("AVIF", "RGB", {}), ("AVIF", "RGBA", {}),
    ("JPEG2000", "RGB", {}), ("MPO", "ANIMATED", {}),
)  # fmt: skip
OTHER_FILES = (
    b"", b"\0", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF\n",
    b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"II*\0\x08\0\0\0", b"BM", b"P6 16 16 255\n",
    b"P3 99999999999 1 255\n", b"P6 -5 16 255\n", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"MZ", b"PK\x03\x04",
    b"<html><script>", b"#!/bin/sh\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n",
)  # fmt: skip


@cache
def picture_file(kind: int, orientation: int) -> bytes:
    """A small valid file."""
    file_format, mode, options = KINDS[kind]
    colour = Image.effect_mandelbrot((40, 24), (-2, -1, 1, 1), 20).convert("RGB")
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 35
    compressed = "compression" in options  # libtiff writes no EXIF
    more = (
        {"exif": exif}
        if orientation and not compressed and file_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
        else {}
    )
    if mode == "ANIMATED":
        colour.save(
            buffer, file_format, save_all=True, append_images=[colour.rotate(90 * n) for n in (1, 2)], **options
        )
    else:
        colour.convert("L" if mode == "I;16" else mode).convert(mode).save(buffer, file_format, **options, **more)
    return buffer.getvalue()


def check_photo(photo: Photo) -> None:
    """The invariants, and that the crop and the focal length are usable."""
    rows, columns, channels = photo.pixels.shape
    assert channels == 3 and photo.pixels.dtype == np.uint8
    assert limits.MIN_IMAGE_SIDE_PX <= min(rows, columns) and rows * columns <= limits.MAX_IMAGE_PIXELS
    assert max(rows, columns) <= limits.MAX_IMAGE_ASPECT * min(rows, columns)
    for height, width in ((64, 96), (96, 64)):
        if rows * columns < 10**6:
            assert prepare_picture(photo.pixels, height, width)[0].shape == (height, width, 3)
        lens = photo_intrinsics(photo, crop_box(rows, columns, height, width), height, width)
        assert lens is None or bool((lens > 0).all() and lens.isfinite().all())


def _damaged(rng: random.Random, folder: Path) -> Case:
    data = picture_file(rng.randrange(len(KINDS)), rng.choice([0, *range(1, 9), 9, 65535]))
    if rng.random() < 0.85:
        data = damaged_bytes(rng, data, headers=rng.choice([64, 400]))
    if rng.random() < 0.5:
        return Case(lambda: read_picture(data), check_photo, (ImageError,))
    file = folder / rng.choice(["a.png", "a.jpg", "a.svg", "a", "a.heic", "\u202egnp.exe", "a\nb.png"])
    file.write_bytes(data)
    return Case(lambda: read_picture(file), check_photo, (ImageError,))


def _other(rng: random.Random, folder: Path) -> Case:
    data = rng.choice(OTHER_FILES) + rng.randbytes(rng.choice([0, 1, 100, 10_000]))
    return Case(lambda: read_picture(data), check_photo, (ImageError,))


def png_claiming(height: int, width: int, depth: int, colours: int, rows: bytes = b"") -> bytes:
    """A PNG with an arbitrary header."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    texts = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + texts
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _claims(rng: random.Random, folder: Path) -> Case:
    """Headers that declare giant, tiny and invalid sizes, decompression bombs, JPEGs of many scans."""
    side = [0, 1, 15, 16, 17, 320, 321, 30_000, 65_535, 2**31 - 1, 2**32 - 1]
    kind = rng.randrange(6)
    if kind <= 1:
        data = png_claiming(
            rng.choice(side), rng.choice(side), rng.choice([1, 8, 16, 3]), rng.choice([0, 2, 3, 4, 6, 1])
        )
    elif kind == 2:
        data = png_claiming(64, 64, 8, 2, bytes(rng.choice([10, 64 * 193, 20_000_000])))
    elif kind == 3:
        width, height = (min(s, 65535) for s in (rng.choice(side), rng.choice(side)))
        data = bytearray(picture_file(0, 0))
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
        data = bytes(data)
    elif kind == 4:
        data = bytearray(picture_file(rng.choice([11, 12]), 0))
        data[6:10] = struct.pack("<HH", min(rng.choice(side), 65535), min(rng.choice(side), 65535))
        data = bytes(data)
    else:
        data = many_scans(rng.choice([100, 256]), rng.choice([5, 900, 1100, 20_000]))
    return Case(lambda: read_picture(data), check_photo, (ImageError,))


@cache
def many_scans(side: int, scans: int) -> bytes:
    """A progressive grey JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    tables, last = data.rindex(b"\xff\xc4"), data.rindex(b"\xff\xda")
    return data[:-2] + data[tables if tables < last else last : -2] * scans + data[-2:]


def _texts(rng: random.Random, folder: Path) -> Case:
    body = base64.b64encode(picture_file(rng.randrange(len(KINDS)), 0)).decode("ascii")
    head = rng.choice(
        ["data:image/png;base64,", "DATA:;BASE64,", "data:image/png,", "data:a,b;base64,", "", "base64,", " "]
    )
    if rng.random() < 0.5:
        body = damaged_bytes(rng, body.encode()).decode("latin-1")
    value: Any = head + body if rng.random() < 0.85 else scalar(rng)
    bare = rng.random() < 0.5
    return Case(
        lambda: picture_from_text(value, "image", bare_base64=bare, folder=rng.choice([None, folder])),
        check_photo, (ImageError,),
    )  # fmt: skip


def _pixels(rng: random.Random, folder: Path) -> Case:
    """Arrays and Pillow images, as passed by a program."""
    side = [0, 1, 15, 16, 40, 300]
    shape = [(rng.choice(side), rng.choice(side)), (20, 20, rng.choice([0, 1, 2, 3, 4, 5])), (20,), (), (2, 20, 20, 3)]
    dtype = rng.choice(["u1", "u2", ">u2", "f4", "f8", "f2", "i4", "i8", "?", "c8", "U1", "O"])
    array = np.full(rng.choice(shape), rng.choice([0, 1, 0.5]), dtype=dtype)
    if array.size and array.dtype.kind == "f":
        array.flat[0] = rng.choice([0.25, np.nan, np.inf, -1.0, 1.5])
    source: Any = array
    if rng.random() < 0.3:
        source = Image.new(rng.choice(["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "La"]),
                           (rng.choice(side), rng.choice(side)))  # fmt: skip
    elif rng.random() < 0.2:
        source = rng.choice([None, 7, [], folder, folder / "none.png", "x" * 5000, *STRINGS])
    return Case(lambda: read_picture(source), check_photo, (ImageError,))


@cache
def profiles() -> tuple[bytes, ...]:
    """Complete ICC profiles: matrix, two of them HDR, LUT-based (LittleCMS makes one of Lab), and of a class that pictures do not have."""
    kinds = [ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), ImageCms.createProfile("XYZ")]
    made = [matrix_profile(primaries, lambda signal: signal**2.2) for primaries in (ADOBE_RGB, BT_2020)]
    made += [
        matrix_profile(BT_2020, lambda signal: pq_to_light(signal) * 0.0203),
        matrix_profile(BT_2020, hlg_to_scene),
    ]
    return (*(data for data in made if data), *(ImageCms.ImageCmsProfile(kind).tobytes() for kind in kinds))


def with_dropped_profile(rng: random.Random, profile: bytes) -> bytes:
    """A BMP of version 5, or a JPEG 2000, with a profile that its headers place anywhere."""
    if rng.random() < 0.5:
        sizes = [
            rng.choice([124 + 24 * 72] * 6 + [0, 123, 2**31, 2**32 - 1]),
            rng.choice([len(profile)] * 4 + [0, 2**32 - 1]),
        ]
        kind = rng.choice([b"DEBM"] * 4 + [b"KNIL", b"BGRs"])
        head = struct.pack(
            "<IiiHHI20x16x4s48xIIII", rng.choice([124] * 5 + [108]), 24, 24, 1, 24, 0, kind, 4, *sizes, 0
        )
        return b"BM" + struct.pack("<IHHI", 0, 0, 0, 138) + head + bytes(24 * 72) + profile
    data = picture_file(27, 0)
    at, start = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    body = bytes([rng.choice([1, 2, 3, 255]), 0, 0]) + profile
    box = struct.pack(">I4s", rng.choice([8 + len(body)] * 9 + [0, 1, 7, 2**31]), b"colr") + body
    (size,) = struct.unpack_from(">I", data, at)
    return data[:at] + struct.pack(">I", size - 15 + len(box)) + data[at + 4 : start] + box + data[start + 15 :]


def _colours(rng: random.Random, folder: Path) -> Case:
    """False colour profiles and tags, in otherwise intact files."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    profile = rng.choice(profiles())
    if rng.random() < 0.8:
        profile = damaged_bytes(rng, profile, headers=rng.choice([128, 400]))
    kind = rng.randrange(4)
    if kind == 0:
        mode = rng.choice(["RGB", "RGBA", "L", "LA", "CMYK", "P", "1", "I;16"])
        buffer = io.BytesIO()
        Image.new(mode, (24, 24), 1).save(buffer, "TIFF" if mode == "CMYK" else "PNG", icc_profile=profile)
        data = buffer.getvalue()
    elif kind == 1:
        numbers = struct.pack(">8I", *(rng.choice([0, 1, 31270, 32900, 64000, 2**31, 2**32 - 1]) for _ in range(8)))
        pieces = [
            chunk(b"cICP", bytes([rng.choice([0, 1, 9, 12, 255]), rng.choice([1, 8, 13, 16, 18, 255]), 0, rng.choice([0, 1])])),
            chunk(b"gAMA", struct.pack(">I", rng.choice([0, 1, 45455, 100_000, 9_999_999, 2**32 - 1]))),
            chunk(b"cHRM", numbers), chunk(b"iCCP", b"a\0\0" + zlib.compress(profile)), chunk(b"tRNS", rng.randbytes(rng.choice([1, 2, 6]))),
        ]  # fmt: skip
        whole = png_claiming(24, 24, rng.choice([8, 16]), rng.choice([0, 2, 4, 6]), bytes(24 * 200))
        data = whole[:33] + b"".join(rng.sample(pieces, rng.randint(1, 5))) + whole[33:]
    elif kind == 2:
        data = with_dropped_profile(rng, profile)
    else:
        data = damaged_bytes(rng, picture_file(25, 0), headers=400)
        at = data.find(b"colrnclx")
        data = data[: at + 8] + rng.randbytes(4) + data[at + 12 :] if at > 0 else data
    return Case(lambda: read_picture(data), check_photo, (ImageError,))


TARGETS = (
    Target("picture, colours", 10, _colours),
    Target("picture, damaged", 28, _damaged),
    Target("picture, other files", 4, _other),
    Target("picture, lying headers", 5, _claims),
    Target("picture, texts", 8, _texts),
    Target("picture, arrays", 6, _pixels),
)
