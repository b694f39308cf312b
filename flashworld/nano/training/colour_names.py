"""A rule-based colour classifier: a name is a box in hue, saturation and value; boxes may overlap.

The boxes allow for shading (a wall in shadow keeps its hue but not its value), for warm sunlight and cold night light,
and for patterns that darken a surface by up to half. `claims` defines which name must appear where.

Numerics: float32 numpy; hue in degrees, saturation and value 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Band:
    """A box in HSV.

    Attributes:
        hue: First and last hue in degrees; 350 to 20 passes through 0.
        saturation: Minimum and maximum.
        value: Minimum and maximum.
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


ANY_HUE = (0.0, 360.0)
BANDS: dict[str, tuple[Band, ...]] = {
    "red": (Band((342, 18), (0.50, 1), (0.12, 1)),),
    "orange": (Band((16, 44), (0.55, 1), (0.28, 1)),),
    "yellow": (Band((42, 68), (0.40, 1), (0.22, 1)),),
    "green": (Band((75, 165), (0.25, 1), (0.10, 1)),),
    "cyan": (Band((165, 200), (0.35, 1), (0.12, 1)),),
    "blue": (Band((200, 262), (0.35, 1), (0.12, 1)),),
    "purple": (Band((258, 312), (0.30, 1), (0.12, 1)),),
    "pink": (Band((308, 2), (0.18, 0.62), (0.25, 1)),),
    "brown": (Band((10, 48), (0.35, 1), (0.06, 0.68)),),
    "black": (Band(ANY_HUE, (0, 1), (0, 0.30)),),
    "white": (Band(ANY_HUE, (0, 0.30), (0.40, 1)),),
    "grey": (Band(ANY_HUE, (0, 0.28), (0.12, 0.75)),),
    "grass": (Band((75, 150), (0.25, 1), (0.10, 1)),),
    "sand": (Band((28, 58), (0.20, 0.65), (0.25, 1)),),
    "snow": (Band(ANY_HUE, (0, 0.30), (0.40, 1)),),
    "stone": (Band(ANY_HUE, (0, 0.28), (0.12, 0.75)),),
    "dirt": (Band((10, 48), (0.30, 1), (0.06, 0.68)),),
    "water": (Band((190, 245), (0.35, 1), (0.10, 1)),),
    "wood": (Band((10, 48), (0.35, 1), (0.06, 0.75)),),
    "clear": (Band((190, 245), (0.15, 1), (0.50, 1)),),
    "cloudy": (Band((190, 245), (0.10, 1), (0.50, 1)), Band(ANY_HUE, (0, 0.15), (0.70, 1))),
    "overcast": (Band(ANY_HUE, (0, 0.16), (0.45, 0.97)),),
    "sunset": (Band((280, 45), (0.18, 1), (0.30, 1)),),
    "dawn": (Band((225, 15), (0.06, 0.55), (0.50, 1)),),
    "night": (Band(ANY_HUE, (0, 1), (0, 0.32)),),
}
"""Boxes by colour name, ground name and sky name."""


def is_named(picture: np.ndarray, name: str) -> np.ndarray:
    """Mask of the pixels of an RGB image in [0, 1], (H, W, 3), that match a name. Booleans (H, W)"""
    hue, saturation, value = to_hsv(picture)
    found = np.zeros(hue.shape, bool)
    for band in BANDS[name]:
        low, high = band.hue
        turn = (hue >= low) & (hue <= high) if low <= high else (hue >= low) | (hue <= high)
        strong = (saturation >= band.saturation[0]) & (saturation <= band.saturation[1])
        found |= turn & strong & (value >= band.value[0]) & (value <= band.value[1])
    return found


def to_hsv(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees, saturation and value of an RGB image in [0, 1]. (H, W) each"""
    red, green, blue = (picture[..., i].astype(np.float32) for i in range(3))
    value, least = picture.max(-1), picture.min(-1)
    spread = np.maximum(value - least, 1e-6)
    sector = np.where(
        value == red,
        ((green - blue) / spread) % 6,
        np.where(value == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    return sector * 60, (value - least) / np.maximum(value, 1e-6), value
