"""Where things stand and how large they are: loosely, for worlds seen through pictures, or exactly, for worlds of words.

A caption means one scene. Under an exact layout every draw of a world is its middle, each place lies apart from the
others in the picture, and the light comes over the left shoulder, so that the words fix every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flashworld.nano.language.scene import PLACES, ROWS, SIZES


@dataclass(frozen=True)
class Layout:
    """Positions and sizes.

    Attributes:
        exact: Whether nothing is left to chance.
        rows: Distance of each row, scene units.
        directions: Of each place, sideways over ahead.
        radii: Of each size, scene units.
        eye: Range of the camera's height.
        pitch_down_deg: Range of its pitch.
        patch: Factor on the size of the patterns of natural grounds; large ones can be learned.
        contrast: Factor on their strength.
    """

    exact: bool
    rows: Mapping[str, float]
    directions: Mapping[tuple[str, str], float]
    radii: Mapping[str, float]
    eye: tuple[float, float]
    pitch_down_deg: tuple[float, float]
    patch: float = 1.0
    contrast: float = 1.0


def _places(near: tuple[float, float, float], far: tuple[float, float, float]) -> dict[tuple[str, str], float]:
    return dict(zip(PLACES, (*near, *far), strict=True))


def _sizes(small: float, medium: float, large: float) -> dict[str, float]:
    return dict(zip(SIZES, (small, medium, large), strict=True))


def _exact(spread: float, size: float) -> Layout:
    return Layout(
        exact=True,
        rows=dict(zip(ROWS, (1.45, 2.3), strict=True)),
        directions={
            place: spread * x
            for place, x in _places(near=(-0.46, 0.06, 0.50), far=(-0.72, -0.22, 0.75)).items()
        },
        radii=_sizes(0.12 * size, 0.175 * size, 0.245 * size),
        eye=(0.62, 0.62),
        pitch_down_deg=(10.0, 10.0),
        patch=2.5,
        contrast=0.5,
    )  # fmt: skip


FREE = Layout(
    exact=False,
    rows=dict(zip(ROWS, (1.35, 2.3), strict=True)),
    directions=_places(near=(-0.4, 0.0, 0.4), far=(-0.4, 0.0, 0.4)),
    radii=_sizes(0.13, 0.20, 0.30),
    eye=(0.42, 0.62),
    pitch_down_deg=(2.0, 12.0),
)
LANDSCAPE, PORTRAIT = _exact(1.0, 1.0), _exact(0.46, 0.65)
"""For pictures wider than high, and the others, with a vertical field of view of about 60 degrees."""


def exact_layout(height: int, width: int) -> Layout:
    """The layout of captions for a picture size."""
    return LANDSCAPE if width > height else PORTRAIT
