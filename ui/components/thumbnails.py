"""The templates' tiles: a still, and the scene moving along that path. `python -m ui.build_tiles app:SERVICE` makes them.

They are committed because making them takes minutes; a test compares their key with the current presets.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.config import DEFAULT_FOV_Y_DEG
from flashworld.trajectories import PRESETS, build_trajectory
from ui.components.picker import Choice

FOLDER = Path(__file__).parents[1] / "assets" / "static" / "paths"
KEY_FILE = FOLDER / "key.txt"
FRAMES = 20
SIZE = (96, 144)
"""(height, width) in pixels; the aspect ratio of nano's views."""


def preset_choices() -> list[Choice]:
    """A tile for every template."""
    return [
        Choice(name, f"preset.{name}", f"preset.{name}.caption", FOLDER / f"{name}.still.webp", FOLDER / f"{name}.webp")
        for name in PRESETS
    ]


def preset_cameras(name: str) -> Cameras:
    """The template with its default parameters."""
    return build_trajectory(name, frames=FRAMES, intrinsics=intrinsics_from_fov(DEFAULT_FOV_Y_DEG, *SIZE))


def current_key() -> str:
    """Names and cameras of all templates, rounded, as a hash."""
    rows = {name: preset_cameras(name).to_vectors().double().mul(1e4).round().int().tolist() for name in PRESETS}
    return hashlib.sha256(repr((rows, SIZE)).encode()).hexdigest()
