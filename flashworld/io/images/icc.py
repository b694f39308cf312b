"""Primaries, and small ICC profiles made from them and a curve, so that LittleCMS also applies colour information in other forms.

A matrix profile of version 2: primaries adapted to the D50 white of the profile connection space (Bradford), one curve
for all three channels.

Source: ICC.1:2001-04 (layout, `XYZ `, `curv`); ICC.1:2022 annex E (Bradford); ITU-T H.273 (primaries).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
CURVE_POINTS = 1024
MAX_FIXED = 32767.0


class Primaries(NamedTuple):
    """CIE xy of red, green, blue and white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]


D65 = (0.3127, 0.3290)
SRGB = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
ADOBE_RGB = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
BT_2020 = Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
C = (0.310, 0.316)
PRIMARIES = {
    1: SRGB,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), C),
    9: BT_2020,
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""By code point of ITU-T H.273."""


def rgb_to_xyz(primaries: Primaries) -> np.ndarray | None:
    """Linear RGB to XYZ with white at Y = 1; None for primaries that span no triangle. (3, 3)"""
    xy = np.array(primaries, dtype=np.float64)
    if not np.isfinite(xy).all() or (np.abs(xy) > 10).any() or (xy[:, 1] < 1e-4).any():
        return None
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy[:, 0] - xy[:, 1]) / xy[:, 1]])
    if abs(np.linalg.det(columns[:, :3])) < 1e-6:
        return None
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def matrix_profile(primaries: Primaries, to_linear: Callable[[np.ndarray], np.ndarray]) -> bytes | None:
    """An ICC profile for RGB values.

    Args:
        primaries: Primaries of the values.
        to_linear: From values in [0, 1] to light in [0, 1].

    Returns:
        The profile's bytes; None if no profile can represent the primaries.
    """
    matrix = rgb_to_xyz(primaries)
    if matrix is None:
        return None
    adapted = _adaptation(matrix.sum(axis=1)) @ matrix
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > MAX_FIXED:
        return None
    curve = np.clip(to_linear(np.linspace(0.0, 1.0, CURVE_POINTS)), 0.0, 1.0)
    table = np.round(curve * 65535).astype(">u2").tobytes()
    trc = b"curv" + struct.pack(">II", 0, CURVE_POINTS) + table
    tags = [
        (b"wtpt", _xyz(D50)),
        *((name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), adapted.T, strict=True)),
    ]
    return _profile([*tags, (b"rTRC", trc), (b"gTRC", trc), (b"bTRC", trc)])


def primaries_of_colorants(colorants: np.ndarray) -> Primaries | None:
    """The primaries of a matrix profile, for a white of D65; None for colorants that span no triangle.

    Args:
        colorants: XYZ of red, green and blue as the profile holds them, adapted to D50. (3, 3), a column each
    """
    d65 = np.array([D65[0] / D65[1], 1.0, (1 - D65[0] - D65[1]) / D65[1]])
    xyz = np.linalg.inv(_adaptation(d65)) @ colorants
    sums = xyz.sum(axis=0)
    if not (np.abs(sums) > 1e-6).all():
        return None
    red, green, blue = ((float(x), float(y)) for x, y in (xyz[:2] / sums).T)
    found = Primaries(red, green, blue, D65)
    return None if rgb_to_xyz(found) is None else found


def _adaptation(white: np.ndarray) -> np.ndarray:
    """From XYZ under a white to XYZ under D50. (3, 3)"""
    return np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65536))


def _profile(tags: list[tuple[bytes, bytes]]) -> bytes:
    """Header, table of tags, and each distinct tag once."""
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    places: dict[bytes, int] = {}
    for name, data in tags:
        if data not in places:
            places[data] = offset + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", places[data], len(data))
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s", offset + len(body), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"\0" * 12, b"acsp",
        b"\0" * 28,
    ) + struct.pack(">I", 0) + b"".join(_fixed(value) for value in D50)  # fmt: skip
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
