"""Placement and size of things: randomised for image-conditioned worlds, exact for text-conditioned worlds.

A caption describes exactly one scene. Under an exact layout every random value of a world is its midpoint, places do
not overlap in the image, and the light comes from behind the camera on the left, so that the text
determines every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flashworld.nano.language.scene import PLACES, ROWS, SIZES


@dataclass(frozen=True)
class Layout:
    """Positions and sizes.

    Attributes:
        exact: Whether nothing is random.
        rows: Distance of each row, scene units.
        directions: Lateral over forward distance of each place.
        radii: Radius for each size, scene units.
        eye: Range of the camera's height.
        pitch_down_deg: Range of its downward pitch.
        patch: Scale of the patterns of natural grounds; large patterns can be learned.
        contrast: Scale of their contrast.
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
"""Layouts for landscape and for portrait images, with a vertical field of view of about 60 degrees."""


def exact_layout(height: int, width: int) -> Layout:
    """The exact layout for an image size."""
    return LANDSCAPE if width > height else PORTRAIT
