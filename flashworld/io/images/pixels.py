"""Pixels of any mode, depth and transparency to RGB uint8 in sRGB, on white.

Done in bands of rows: full-size intermediate copies would take 2 GB for the largest image allowed.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from flashworld.errors import ImageError
from flashworld.io.images.colour import Claims, ToSrgb, from_lab, to_srgb
from flashworld.io.images.colour_tags import PngTags
from flashworld.limits import MAX_IMAGE_ASPECT, MAX_IMAGE_PIXELS, MIN_IMAGE_SIDE_PX
from flashworld.types import Frame

BAND_PIXELS = 1 << 20
GREY_MODES = ("1", "L", "LA", "La")


def check_size(height: int, width: int) -> None:
    """Refuse a size given in a header, before memory is allocated."""
    if min(height, width) < MIN_IMAGE_SIDE_PX:
        raise ImageError(f"picture must be at least {MIN_IMAGE_SIDE_PX} pixels on each side, got {width}x{height}")
    if height * width > MAX_IMAGE_PIXELS:
        raise ImageError(f"picture must have at most {MAX_IMAGE_PIXELS} pixels, got {width}x{height}")
    if max(height, width) > MAX_IMAGE_ASPECT * min(height, width):
        raise ImageError(f"picture must be at most {MAX_IMAGE_ASPECT:g} times as long as wide, got {width}x{height}")


def scaled_key(mode: str, png: PngTags) -> object:
    """The transparent value of a PNG converted to the bit depth of Pillow's pixels; Pillow does not convert it.

    Pillow reduces 16-bit RGB to 8 bits, so the upper bytes of the key are compared.
    """
    if png.key is None:
        return None
    if mode == "RGB":
        return tuple(value >> 8 for value in png.key) if png.bit_depth == 16 else png.key
    if mode in ("1", "L") and png.bit_depth < 8:
        return png.key[0] * 255 // (2**png.bit_depth - 1)
    return png.key[0]


def pixels_of(image: Image.Image, claims: Claims, key: object = None) -> Frame:
    """Convert a loaded picture.

    Args:
        image: Upright.
        claims: The file's colour information.
        key: Its transparent value, if it has one instead of an alpha channel.

    Raises:
        ImageError: grey values of 32 bits.
    """
    if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip these instead of scaling them
        return _deep_grey(image, to_srgb(image.info, "L", claims), key)
    mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in GREY_MODES else "RGB"
    convert = from_lab() if image.mode == "LAB" else to_srgb(image.info, mode, claims)
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        if key is not None and band.mode in ("1", "L", "RGB", "P"):
            band.info["transparency"] = key
        pixels[top : top + rows] = np.asarray(_band_to_rgb(band, mode, convert))
    return pixels


def _band_to_rgb(band: Image.Image, mode: str, convert: ToSrgb | None) -> Image.Image:
    """Convert colours first, then composite on white: blending is defined on displayed values."""
    if not band.has_transparency_data:
        if convert is None:
            return band.convert("RGB")
        return convert(band if band.mode in (mode, "LAB") else band.convert(mode))
    band = band.convert("RGBA")
    if convert is not None:
        alpha = band.getchannel("A")
        band = convert(band.getchannel("R") if mode == "L" else band.convert("RGB")).convert("RGBA")
        band.putalpha(alpha)
    white = Image.new("RGBA", band.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, band).convert("RGB")


def _deep_grey(image: Image.Image, convert: ToSrgb | None, key: object) -> Frame:
    """Grey of 16 bits or floats; a conversion is interpolated between its values at 256 levels."""
    values = np.asarray(image)
    if image.mode.startswith("I"):
        if values.min() < 0 or values.max() > 65535:
            raise ImageError("picture: grey values must be 8 or 16 bits deep, got 32")
        values = values.astype(np.uint16)
    if convert is None:
        pixels = pixels_of_array(values)
    else:
        check_floats(values)
        table = np.asarray(convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None])))[0]
        levels = values.astype(np.float32) * (255 if values.dtype.kind == "f" else 255 / 65535)
        pixels = np.stack([np.interp(levels, np.arange(256), table[:, c]).round() for c in range(3)], axis=-1)
        pixels = pixels.astype(np.uint8)
    if isinstance(key, int) and image.mode.startswith("I"):
        pixels = np.where((values == key)[..., None], np.uint8(255), pixels)
    return pixels


def pixels_of_array(array: np.ndarray) -> Frame:
    """Convert an array of sRGB values.

    Args:
        array: (h, w), (h, w, 1 | 3 | 4) of uint8, of uint16 (0 to 65535) or of floats (0 to 1).

    Raises:
        ImageError: another shape, type or range, or a size that is refused.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"picture array must have shape (h, w), (h, w, 3) or (h, w, 4), got {array.shape}")
    check_size(array.shape[0], array.shape[1])
    values = _to_uint8(array if array.ndim == 3 else array[..., None])
    if values.shape[2] == 4:
        return pixels_of(Image.fromarray(np.ascontiguousarray(values)), Claims())
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))


def _to_uint8(array: np.ndarray) -> np.ndarray:
    """Scale uint16 (0 to 65535) and floats (0 to 1) to 0 to 255, rounding to nearest."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ImageError(f"picture array must be uint8, uint16 or floats, got {array.dtype}")
    check_floats(array)
    return np.round(array.astype(np.float32) * 255).astype(np.uint8)


def check_floats(array: np.ndarray) -> None:
    """Refuse floats outside [0, 1].

    Raises:
        ImageError: outside of [0, 1], or not finite.
    """
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise ImageError("picture array of floats must lie between 0 and 1")
