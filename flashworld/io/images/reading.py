"""Reading images: any file or array becomes checked, upright RGB uint8.

Sizes are read from the header and refused before a pixel is decoded. Only the formats of `FORMATS` are accepted, so
nothing that runs an interpreter (EPS, SVG) is ever opened. The EXIF orientation is applied, colours are converted to
sRGB (see `colour`), transparent pixels are composited on white, animated files give their first frame, and 16-bit
values are scaled (not clipped). Warnings are not turned into errors by a filter, because filters are shared by all
threads of a server: the sizes that Pillow warns about are refused here first.

Source: 35 mm equivalence by the diagonal, CIPA DCG-001.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from flashworld.checks import file_name
from flashworld.errors import ImageError
from flashworld.io.images.colour import Claims
from flashworld.io.images.colour_tags import ColourCode, PngTags, avif_code, png_tags
from flashworld.io.images.embedded import embedded_profile
from flashworld.io.images.pixels import check_size, pixels_of, pixels_of_array, scaled_key
from flashworld.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_JPEG_SCAN_PIXELS, MAX_JPEG_SCANS
from flashworld.types import Frame

PictureSource: TypeAlias = "str | Path | bytes | Image.Image | np.ndarray"
"""A file on this machine (never one named by a visitor), its bytes, or pixels."""

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "TIFF", "BMP", "PPM", "JPEG2000")
"""Pillow's names for the accepted formats; HEIF comes from pillow-heif, and JPEG opens MPO as well."""
FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""Diagonal of the reference frame of 35 mm equivalent focal lengths."""
DECODER_ERRORS = (
    OSError,  # unidentified, truncated or broken streams
    SyntaxError,  # what Pillow raises for a damaged header
    ValueError,  # impossible sizes and modes
    RuntimeError,  # libheif
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Everything that Pillow and its codecs are known to raise for a hostile file."""
SCAN_MARK = b"\xff\xda"
"""Starts each scan of a JPEG; cannot occur inside one."""
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A decoded image, upright.

    Attributes:
        pixels: RGB, uint8, (h0, w0, 3).
        focal_px: Focal length in pixels of `pixels`, from EXIF FocalLengthIn35mmFilm; None when the file has none.
    """

    pixels: Frame
    focal_px: float | None = None


def read_picture(source: PictureSource) -> Photo:
    """Decode and check an image.

    Args:
        source: A local file, the bytes of one, a Pillow image, or an array (h, w), (h, w, 1 | 3 | 4) of uint8, of
            uint16 (0 to 65535) or of floats (0 to 1).

    Raises:
        ImageError: unreadable, of an unknown kind, truncated, too large, too small or too narrow.
    """
    if isinstance(source, np.ndarray):
        return Photo(pixels_of_array(source))
    if isinstance(source, Image.Image):
        return _from_pillow(source)
    if isinstance(source, str | Path):
        source = _read_file(source)
    if not isinstance(source, bytes | bytearray | memoryview):
        raise ImageError(f"picture must be a file, bytes, a Pillow image or an array, got {type(source).__name__}")
    return _from_bytes(bytes(source))


def _read_file(path: str | Path) -> bytes:
    try:
        path = Path(path)
        if not path.is_file():
            raise ImageError(f"picture {file_name(path)!r} is not a file on this machine")
        with path.open("rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1)
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"picture file cannot be read: {type(error).__name__}") from error


def _from_bytes(data: bytes) -> Photo:
    if not data:
        raise ImageError("picture is empty (0 bytes)")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageError(f"picture file must have at most {MAX_IMAGE_BYTES // 2**20} MB, got more")
    _register_heif()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_scans(image, data)
            profile = embedded_profile(image.format, data)
            if profile is not None:
                image.info["icc_profile"] = profile
            return _from_pillow(image, png_tags(data) if image.format == "PNG" else None, _box_code(image, data))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            "picture is of an unknown kind: expected JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF or BMP"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # a warning only under -W error
        raise ImageError(f"picture must have at most {MAX_IMAGE_PIXELS} pixels, got more") from error
    except DECODER_ERRORS as error:
        raise ImageError("picture cannot be decoded: the file is damaged, truncated or of an unknown kind") from error


@cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _box_code(image: Image.Image, data: bytes) -> ColourCode | None:
    """The code points of an AVIF or HEIF, which Pillow drops and pillow-heif provides."""
    if image.format == "AVIF":
        return avif_code(data)
    found = image.info.get("nclx_profile") if image.format == "HEIF" else None
    return ColourCode(found["color_primaries"], found["transfer_characteristics"]) if found else None


def _from_pillow(image: Image.Image, png: PngTags | None = None, box_code: ColourCode | None = None) -> Photo:
    check_size(image.height, image.width)
    try:
        image.load()
        key = image.info.get("transparency") if png is None else scaled_key(image.mode, png)
        tags = png or PngTags()
        claims = Claims(tags.code, tags.narrow, box_code, _is_option_file(image))
        upright, focal_35mm = _read_exif(image)
        pixels = pixels_of(upright, claims, key)
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise ImageError("picture cannot be decoded: the file is damaged, truncated or of an unknown kind") from error
    height, width = pixels.shape[:2]
    return Photo(pixels, focal_35mm / FILM_DIAGONAL_MM * math.hypot(height, width) if focal_35mm else None)


def _check_scans(image: Image.Image, data: bytes) -> None:
    """Refuse a JPEG, or a TIFF of JPEGs, whose many scans would each be decoded over the whole image."""
    in_tiff = image.format == "TIFF" and image.info.get("compression") in ("jpeg", "tiff_jpeg")
    if image.format not in ("JPEG", "MPO") and not in_tiff:
        return
    scans = data.count(SCAN_MARK)
    if scans > MAX_JPEG_SCANS or scans * image.height * image.width > MAX_JPEG_SCAN_PIXELS:
        raise ImageError(
            f"picture: a JPEG may have at most {MAX_JPEG_SCANS} scans and {MAX_JPEG_SCAN_PIXELS} pixels in all of them, "
            f"got {scans} scans of {image.width}x{image.height}"
        )


def _read_exif(image: Image.Image) -> tuple[Image.Image, float | None]:
    """The image upright, and its 35 mm equivalent focal length."""
    transposition = _TRANSPOSITIONS.get(int(_exif_number(image, ExifTags.Base.Orientation)))
    focal = _exif_number(image, ExifTags.Base.FocalLengthIn35mmFilm)
    return image if transposition is None else image.transpose(transposition), focal if focal > 0 else None


def _is_option_file(image: Image.Image) -> bool:
    """Whether EXIF declares Adobe RGB by DCF's option file."""
    if "exif" not in image.info:
        return False
    try:
        return str(image.getexif().get_ifd(ExifTags.IFD.Interop).get(1)).startswith("R03")
    except DECODER_ERRORS:
        return False


def _exif_number(image: Image.Image, tag: ExifTags.Base) -> float:
    """One EXIF number; 0 when absent, not finite, or when the metadata is damaged."""
    try:
        exif = image.getexif()
        value = float(exif.get(tag) or exif.get_ifd(ExifTags.IFD.Exif).get(tag) or 0)
    except DECODER_ERRORS:
        return 0.0
    return value if math.isfinite(value) else 0.0
