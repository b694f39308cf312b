"""Small animations of the camera paths, drawn by the project's own code from the presets the model will use.

They are shipped (drawing all takes ten seconds); `python -m ui.components.thumbnails` draws them again, and a test compares their
key with the presets of today.
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
SIZE = (90, 120)
"""(height, width) in pixels."""


def preset_choices() -> list[Choice]:
    """A tile for every template."""
    return [
        Choice(name, preset.title, preset.caption, FOLDER / f"{name}.webp", FOLDER / f"{name}.still.webp")
        for name, preset in PRESETS.items()
    ]


def preset_cameras(name: str) -> Cameras:
    """The template with its own defaults."""
    return build_trajectory(name, frames=FRAMES, intrinsics=intrinsics_from_fov(DEFAULT_FOV_Y_DEG, *SIZE))


def current_key() -> str:
    """Names and cameras of all templates, rounded, as a hash."""
    rows = {name: preset_cameras(name).to_vectors().double().mul(1e4).round().int().tolist() for name in PRESETS}
    return hashlib.sha256(repr((rows, SIZE)).encode()).hexdigest()


def draw_all() -> None:
    """Draw every template's animation and its still, and note the key."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        old.unlink()
    for name in PRESETS:
        _draw(name)
    KEY_FILE.write_text(current_key() + "\n", encoding="utf-8")


def _draw(name: str) -> None:
    from flashworld.trajectories.animation import FRAME_MS, animate_path

    first, *others = animate_path(preset_cameras(name), size=SIZE, frames=FRAMES)
    first.save(
        FOLDER / f"{name}.webp", "WEBP", quality=45, method=6,
        save_all=True, append_images=others, duration=FRAME_MS, loop=0,
    )  # fmt: skip
    others[len(others) // 2].save(FOLDER / f"{name}.still.webp", "WEBP", quality=60, method=6)


if __name__ == "__main__":
    draw_all()
