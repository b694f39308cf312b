"""Tone mapping of HDR values (PQ and HLG) to sRGB: light up to half of paper white is kept, brighter light is rolled off.

Paper white is 203 cd/m2 in both, as in broadcasting. The shoulder is applied to the largest channel and all three
are scaled equally, so that colours keep their hue.

Source: ITU-R BT.2100-2 tables 4 and 5 (PQ, HLG); ITU-R BT.2408 (203 cd/m2); IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

import numpy as np

from flashworld.io.images.icc import SRGB, Primaries, rgb_to_xyz

PQ, HLG = 16, 18
"""Transfer code points of ITU-T H.273."""
PAPER_WHITE = 203.0
"""cd/m2 of a white page."""
PQ_PEAK, HLG_PEAK = 10_000.0, 1000.0
HLG_GAMMA = 1.2
KNEE = 0.5
"""Relative to paper white; below this nothing changes."""
ENCODING_STEPS = 4096


def pq_to_light(signal: np.ndarray) -> np.ndarray:
    """PQ values in [0, 1] to light, paper white = 1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (PQ_PEAK / PAPER_WHITE)


def hlg_to_scene(signal: np.ndarray) -> np.ndarray:
    """HLG values in [0, 1] to scene light in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def encode_srgb(light: np.ndarray) -> np.ndarray:
    """Light in [0, 1] to sRGB values in [0, 1]."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def decode_srgb(signal: np.ndarray) -> np.ndarray:
    """The inverse."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


class ToneMap:
    """Converts a band of HDR pixels to sRGB.

    Args:
        transfer: `PQ` or `HLG`.
        primaries: Primaries of the pixels.
    """

    def __init__(self, transfer: int, primaries: Primaries) -> None:
        signal = np.linspace(0.0, 1.0, 256)
        self._light = (pq_to_light(signal) if transfer == PQ else hlg_to_scene(signal)).astype(np.float32)
        own, srgb = rgb_to_xyz(primaries), rgb_to_xyz(SRGB)
        if own is None or srgb is None:
            raise ValueError("primaries span no triangle")
        self._luminance = own[1].astype(np.float32) if transfer == HLG else None
        self._to_srgb = (np.linalg.inv(srgb) @ own).T.astype(np.float32)
        self._encoded = np.round(255 * encode_srgb(np.linspace(0.0, 1.0, ENCODING_STEPS))).astype(np.uint8)

    def __call__(self, band: np.ndarray) -> np.ndarray:
        """Convert uint8 (..., 3)."""
        light = self._light[band]
        if self._luminance is not None:  # the scene's light to that of a display, BT.2100's OOTF
            scene = np.maximum(light @ self._luminance, 1e-6)
            light = light * (scene ** (HLG_GAMMA - 1) * (HLG_PEAK / PAPER_WHITE))[..., None]
        light = np.maximum(light @ self._to_srgb, 0)
        largest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        above = np.maximum(largest - KNEE, 0)
        rolled = np.where(largest > KNEE, KNEE + (1 - KNEE) * above / (above + 1 - KNEE), largest)
        return self._encoded[np.round(light * (rolled / largest) * (ENCODING_STEPS - 1)).astype(np.int32)]
