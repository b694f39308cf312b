"""PQ and HLG in ICC profiles.

A profile's light is relative to its brightest value, which PQ sets at 10,000 cd/m2 and HLG at the peak of a display:
converted as it stands, a white page would come out nearly black. Such a profile is recognised by the first of these that
it has, and its pixels are tone-mapped (`hdr`) instead of being converted by LittleCMS:

    1. the tag `cicp` with PQ or HLG. Its range is not read: programs write 0 there for the full range, too;
    2. a table of the red or grey channel that is PQ's or HLG's curve;
    3. without such a table (profiles of lookup tables), PQ, HLG, ST 2084 or B67 as a word of its description, for
       displays and colour spaces only: printers and scanners are no HDR devices.

The primaries are those of `cicp`, then of the colorants, then BT.2020's.

Source: ICC.1:2022 (version 4.4) 9.2.17 and 10.3 (`cicp`), 10.6 (`curv`), 10.31 (`XYZ `); ITU-R BT.2100-2.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import numpy as np

from flashworld.io.images.hdr import HLG, PAPER_WHITE, PQ, PQ_PEAK, hlg_to_scene, pq_to_light
from flashworld.io.images.icc import BT_2020, PRIMARIES, Primaries, primaries_of_colorants

MAX_TAGS = 100
"""More are not looked at; profiles have 10 to 30."""
MIN_CURVE_POINTS = 32
CURVE_TOLERANCE = 0.005
"""Largest difference from PQ or HLG, of light in [0, 1]; powers and camera curves differ by more than 0.03."""
CURVES = {PQ: lambda signal: pq_to_light(signal) * (PAPER_WHITE / PQ_PEAK), HLG: hlg_to_scene}
WORDS = {
    PQ: re.compile(r"(?<![A-Za-z0-9])PQ(?![A-Za-z0-9])|(?<!\d)2084(?!\d)"),
    HLG: re.compile(r"(?<![A-Za-z0-9])(HLG|B67)(?![A-Za-z0-9])"),
}
CLASSES = (b"mntr", b"spac")


class HdrProfile(NamedTuple):
    """The colours of an HDR profile.

    Attributes:
        transfer: `PQ` or `HLG`.
        primaries: Primaries of the values.
    """

    transfer: int
    primaries: Primaries


def hdr_of_profile(data: bytes, description: str) -> HdrProfile | None:
    """The HDR colours that a profile describes; None for any other profile.

    Args:
        data: A profile for RGB or grey, possibly damaged.
        description: Its description; empty if it has none.
    """
    tags = _tags(data)
    code = tags.get(b"cicp", b"")
    if len(code) >= 12 and code.startswith(b"cicp") and code[9] in CURVES:
        return HdrProfile(code[9], PRIMARIES.get(code[8]) or _primaries(tags))
    curve = _curve(tags.get(b"rTRC", tags.get(b"kTRC", b"")))
    if curve is None:
        named = data[12:16] in CLASSES and not {b"rTRC", b"kTRC"} & tags.keys()
        transfer = next((key for key, words in WORDS.items() if named and words.search(description)), None)
    else:
        signal = np.linspace(0.0, 1.0, len(curve))
        close = (key for key, law in CURVES.items() if np.abs(law(signal) - curve).max() < CURVE_TOLERANCE)
        transfer = next(close, None)
    return None if transfer is None else HdrProfile(transfer, _primaries(tags))


def _tags(data: bytes) -> dict[bytes, bytes]:
    """The tags by name, each as far as the data reach."""
    if len(data) < 132:
        return {}
    (count,) = struct.unpack_from(">I", data, 128)
    places = [132 + 12 * i for i in range(min(count, MAX_TAGS)) if 144 + 12 * i <= len(data)]
    entries = [struct.unpack_from(">4sII", data, place) for place in places]
    return {name: data[at : at + size] for name, at, size in entries}


def _curve(tag: bytes) -> np.ndarray | None:
    """A table's light in [0, 1]; None for another kind of curve."""
    if len(tag) < 12 or not tag.startswith(b"curv"):
        return None
    (count,) = struct.unpack_from(">I", tag, 8)
    if count < MIN_CURVE_POINTS or len(tag) < 12 + 2 * count:
        return None
    return np.frombuffer(tag, ">u2", count, 12) / 65535


def _primaries(tags: dict[bytes, bytes]) -> Primaries:
    bodies = [tags.get(name, b"") for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if not all(len(body) >= 20 for body in bodies):
        return BT_2020
    colorants = np.array([struct.unpack_from(">3i", body, 8) for body in bodies]).T / 65536
    return primaries_of_colorants(colorants) or BT_2020
