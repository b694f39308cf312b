"""Conversion of a file's colours to sRGB, on which the model was trained.

The colour space of a file is given by the first of these that is present and valid:

    cICP of a PNG, then the ICC profile, then nclx of an AVIF or HEIF, then gAMA (with cHRM) of a PNG, then the EXIF
    option file "R03" (Adobe RGB of cameras that embed no profile); otherwise sRGB.

ICC profiles are applied by LittleCMS with the perceptual intent and black point compensation; other descriptions
(code points, gamma) are converted to a profile first. A profile that is broken, does not match the image's mode, or is within
two levels of sRGB is ignored: the values stay unchanged; so is one of more than MAX_ICC_BYTES, with a warning in the log.
PQ and HLG are tone-mapped (`hdr`), also those of ICC profiles (`icc_hdr`). Curves of cameras (BT.709, BT.601, BT.2020) are
treated as sRGB's, as in browsers. Values of the narrow range that a cICP states are widened first.

Source: PNG Specification (Third Edition) 4.3 (precedence); ITU-T H.273 (code points); DCF 2.0 (option file).
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms

from flashworld.io.images.colour_tags import ColourCode
from flashworld.io.images.hdr import HLG, PQ, ToneMap, decode_srgb
from flashworld.io.images.icc import ADOBE_RGB, PRIMARIES, SRGB, Primaries, matrix_profile
from flashworld.io.images.icc_hdr import hdr_of_profile
from flashworld.limits import MAX_ICC_BYTES

log = logging.getLogger(__name__)

ToSrgb: TypeAlias = Callable[[Image.Image], Image.Image]
"""Converts pixels of the mode "L", "RGB" or "CMYK" to RGB."""

PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, MemoryError)
"""What Pillow raises for profiles that LittleCMS does not accept."""
KINDS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's modes and the colour space that a profile for them names."""
INTENT = ImageCms.Intent.PERCEPTUAL
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
SAME_LEVELS = 2
"""Profiles that change no value by more are treated as sRGB: photographs with them are not converted."""
USUAL_GAMMA = 1 / 2.2
GAMMA_TOLERANCE = 0.01
MIN_GAMMA, MAX_GAMMA = 0.1, 10.0
ADOBE_GAMMA = 563 / 256

GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
"""Transfer code points that are plain powers."""


@dataclass(frozen=True)
class Claims:
    """Colour information of a file that Pillow does not keep in `info`.

    Attributes:
        png_code: cICP.
        png_narrow: Whether cICP states the narrow range.
        box_code: nclx.
        option_file: Whether EXIF states "R03".
    """

    png_code: ColourCode | None = None
    png_narrow: bool = False
    box_code: ColourCode | None = None
    option_file: bool = False


def to_srgb(info: Mapping[Any, Any], mode: str, claims: Claims) -> ToSrgb | None:
    """The conversion that an image needs; None if its values are already sRGB, or nearly so.

    Args:
        info: The `info` of Pillow's image.
        mode: "L", "RGB" or "CMYK": the mode of the pixels without transparency and palette.
        claims: Information that Pillow does not keep.
    """
    found = (
        _from_code(claims.png_code, mode)
        or _from_profile(info.get("icc_profile"), mode)
        or _from_code(claims.box_code, mode)
        or _from_gamma(info, mode)
        or _from_option_file(claims.option_file, mode)
    )
    if claims.png_narrow and mode != "CMYK":
        found = _widened(found)
    return None if found is None or _changes_nothing(found, mode) else found


def _widened(convert: ToSrgb | None) -> ToSrgb:
    """The conversion of pixels in the narrow range: 16 becomes 0 and 235 becomes 255."""
    table = [min(max(round((level - 16) * 255 / 219), 0), 255) for level in range(256)]

    def apply(pixels: Image.Image) -> Image.Image:
        wide = pixels.point(table * len(pixels.getbands()))
        return convert(wide) if convert else wide.convert("RGB")

    return apply


def from_lab() -> ToSrgb:
    """CIE Lab pixels, mode "LAB", to RGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return _applied(ImageCms.buildTransform(lab, srgb, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC))


def _from_profile(data: object, mode: str) -> ToSrgb | None:
    """An ICC profile's conversion; None for one that does not fit."""
    if not isinstance(data, bytes) or len(data) <= 128:
        return None
    if len(data) > MAX_ICC_BYTES:
        log.warning("a picture's colour profile of %d bytes is ignored: at most %d are read", len(data), MAX_ICC_BYTES)
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        header: Any = profile.profile
        if header.xcolor_space.strip() != KINDS[mode]:
            return None
        hdr = None if mode == "CMYK" else hdr_of_profile(data, header.profile_description or "")
        if hdr is not None:
            return _tone_mapped(hdr.transfer, hdr.primaries)
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT, FLAGS)
        _applied(transform)(Image.new(mode, (2, 2)))
    except PROFILE_ERRORS:
        return None
    return _applied(transform)


def _applied(transform: ImageCms.ImageCmsTransform) -> ToSrgb:
    def apply(pixels: Image.Image) -> Image.Image:
        converted = transform.apply(pixels)
        return converted if converted is not None else pixels

    return apply


def _from_code(code: ColourCode | None, mode: str) -> ToSrgb | None:
    if code is None or mode == "CMYK":
        return None
    primaries = PRIMARIES.get(code.primaries, SRGB)
    if code.transfer in (PQ, HLG):
        return _tone_mapped(code.transfer, primaries)
    gamma = GAMMAS.get(code.transfer)
    return _made(primaries, decode_srgb if gamma is None else lambda signal: signal**gamma)


def _tone_mapped(transfer: int, primaries: Primaries) -> ToSrgb:
    tone_map = ToneMap(transfer, primaries)
    return lambda pixels: Image.fromarray(tone_map(np.asarray(pixels.convert("RGB"))))


def _from_gamma(info: Mapping[Any, Any], mode: str) -> ToSrgb | None:
    """PNG's gAMA and cHRM; the sRGB chunk takes precedence over both."""
    gamma = info.get("gamma")
    if "srgb" in info or mode == "CMYK" or not isinstance(gamma, float) or not MIN_GAMMA <= gamma <= MAX_GAMMA:
        return None
    usual = abs(gamma - USUAL_GAMMA) < GAMMA_TOLERANCE
    return _made(
        _chromaticity(info.get("chromaticity")), decode_srgb if usual else lambda signal: signal ** (1 / gamma)
    )


def _chromaticity(values: object) -> Primaries:
    """Pillow's (white x, y, red x, y, ...)."""
    if not isinstance(values, tuple) or len(values) != 8:
        return SRGB
    white, red, green, blue = ((float(values[i]), float(values[i + 1])) for i in (0, 2, 4, 6))
    return Primaries(red, green, blue, white)


def _from_option_file(said: bool, mode: str) -> ToSrgb | None:
    """Adobe RGB by the EXIF option file, if there is no other information."""
    return _made(ADOBE_RGB, lambda signal: signal**ADOBE_GAMMA) if said and mode == "RGB" else None


def _made(primaries: Primaries, to_linear: Callable[[np.ndarray], np.ndarray]) -> ToSrgb | None:
    profile = matrix_profile(primaries, to_linear)
    convert = _from_profile(profile, "RGB") if profile else None
    return (lambda pixels: convert(pixels.convert("RGB"))) if convert else None


def _changes_nothing(convert: ToSrgb, mode: str) -> bool:
    """Whether a lattice of colours stays within SAME_LEVELS."""
    if mode == "CMYK":
        return False
    steps = np.round(np.linspace(0, 255, 18)).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(18, -1, 3)
    pixels = Image.fromarray(grid) if mode == "RGB" else Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    moved = np.asarray(convert(pixels)).astype(int) - np.asarray(pixels.convert("RGB"))
    return bool(np.abs(moved).max() <= SAME_LEVELS)
