"""The encoding of an SPZ file: each field of a Gaussian to bytes and back. Pure functions of float32 arrays.

See `spz` for the precision of each. `pack_*` take the scene's arrays (n, ...) and return uint8 arrays of n rows;
`unpack_*` take uint8 (n, bytes) and return float32.

Source: the format of nianticlabs/spz (`load-spz.cc`), versions 2 and 3.
"""

from __future__ import annotations

import numpy as np

from flashworld.io.scenes.activations import log_scales, nearest_bytes, scales_from_log, unit_quats

COLOUR_SCALE = 0.15
"""SH band 0 is stored times this, plus 0.5."""
MAX_FIXED = 2**23 - 1
"""Largest 24-bit signed integer."""
MAX_FRACTIONAL_BITS = 24
COMPONENT_BITS = 9
COMPONENT_MAX = 2**COMPONENT_BITS - 1
SQRT_HALF = np.float32(np.sqrt(0.5))
"""Upper bound of all but the largest component of a unit quaternion."""


def fitting_fractional_bits(extent: float) -> int | None:
    """The most fractional bits with which coordinates up to `extent` fit 24 bits; None if not even one does."""
    for bits in range(MAX_FRACTIONAL_BITS, 0, -1):
        if extent * 2**bits <= MAX_FIXED:
            return bits
    return None


def pack_positions(means: np.ndarray, fractional_bits: int) -> np.ndarray:
    """24-bit signed fixed point, little endian. (n, 9)"""
    fixed = np.rint(means.astype(np.float64) * 2.0**fractional_bits).astype("<i4")
    return np.ascontiguousarray(fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3]).reshape(-1, 9)


def unpack_positions(packed: np.ndarray, fractional_bits: int) -> np.ndarray:
    """The inverse. (n, 3)"""
    wide = np.zeros((len(packed), 3, 4), dtype=np.uint8)
    wide[:, :, 1:] = packed.reshape(-1, 3, 3)  # 256 times the number, so that the sign lands in the top bit
    return wide.view("<i4")[:, :, 0].astype(np.float32) * np.float32(2.0 ** -(fractional_bits + 8))


def pack_alphas(opacities: np.ndarray) -> np.ndarray:
    """Opacity in 255ths. (n, 1)"""
    return nearest_bytes(opacities * np.float32(255))[:, None]


def unpack_alphas(packed: np.ndarray) -> np.ndarray:
    """The inverse. (n, 1)"""
    return packed * np.float32(1 / 255)


def pack_colours(dc: np.ndarray) -> np.ndarray:
    """SH band 0 of each channel. (n, 3)"""
    with np.errstate(over="ignore"):  # infinity is clamped
        return nearest_bytes(dc * np.float32(COLOUR_SCALE * 255) + np.float32(0.5 * 255))


def unpack_colours(packed: np.ndarray) -> np.ndarray:
    """The inverse. (n, 3)"""
    return (packed * np.float32(1 / 255) - np.float32(0.5)) * np.float32(1 / COLOUR_SCALE)


def pack_scales(scales: np.ndarray) -> np.ndarray:
    """Natural logarithms from -10 to 5.94 in sixteenths. (n, 3)"""
    return nearest_bytes((log_scales(scales) + np.float32(10)) * np.float32(16))


def unpack_scales(packed: np.ndarray) -> np.ndarray:
    """The inverse. (n, 3)"""
    return scales_from_log(packed * np.float32(1 / 16) - np.float32(10))


def pack_rotations(quats_wxyz: np.ndarray) -> np.ndarray:
    """Smallest three, version 3: index of the largest of x y z w, then sign and 9 bits of each other. (n, 4)"""
    xyzw = np.roll(unit_quats(quats_wxyz), -1, axis=1).T
    magnitude = np.abs(xyzw)
    largest = magnitude.argmax(axis=0)
    flip = np.take_along_axis(xyzw, largest[None], axis=0)[0] < 0
    packed = largest.astype(np.uint32)
    steps = np.minimum(np.rint(magnitude * (COMPONENT_MAX / SQRT_HALF)), COMPONENT_MAX).astype(np.uint32)
    for axis in range(4):
        code = (packed << (COMPONENT_BITS + 1)) | ((xyzw[axis] < 0) ^ flip).astype(np.uint32) << COMPONENT_BITS
        packed = np.where(largest == axis, packed, code | steps[axis])
    return packed.astype("<u4")[:, None].view(np.uint8)


def unpack_rotations(packed: np.ndarray) -> np.ndarray:
    """The inverse, unit length. (n, 4) wxyz"""
    code = np.ascontiguousarray(packed).view("<u4")[:, 0]
    largest = code >> 30
    xyzw = np.empty((4, len(code)), dtype=np.float32)
    for axis in (3, 2, 1, 0):
        value = (code & COMPONENT_MAX).astype(np.float32) * (SQRT_HALF / np.float32(COMPONENT_MAX))
        value[(code >> COMPONENT_BITS) & 1 == 1] *= -1
        here = largest == axis
        xyzw[axis] = np.where(here, 0, value)
        code = np.where(here, code, code >> (COMPONENT_BITS + 1))
    rest = np.sqrt(np.maximum(1 - np.square(xyzw).sum(axis=0), 0))
    np.put_along_axis(xyzw, largest[None].astype(np.intp), rest[None], axis=0)
    return _unit_wxyz(xyzw)


def unpack_rotations_v2(packed: np.ndarray) -> np.ndarray:
    """Version 2: x, y, z in 127.5ths, w >= 0 follows from unit length. (n, 4) wxyz"""
    xyz = (packed * np.float32(1 / 127.5) - np.float32(1)).T
    w = np.sqrt(np.maximum(1 - np.square(xyz).sum(axis=0), 0))
    return _unit_wxyz(np.concatenate([xyz, w[None]]))


def pack_sh(higher: np.ndarray) -> np.ndarray:
    """SH above band 0 in 128ths, coefficient-major RGB. (n, 3 (K - 1))"""
    with np.errstate(over="ignore"):
        return nearest_bytes(higher.reshape(len(higher), -1) * np.float32(128) + np.float32(128))


def unpack_sh(packed: np.ndarray) -> np.ndarray:
    """The inverse. (n, 3 (K - 1))"""
    return (packed - np.float32(128)) * np.float32(1 / 128)


def _unit_wxyz(xyzw: np.ndarray) -> np.ndarray:
    """Columns of x y z w to rows of w x y z of unit length; bytes that do not come from a unit quaternion may be longer."""
    return np.roll((xyzw / np.sqrt(np.square(xyzw).sum(axis=0))).T, 1, axis=1)
