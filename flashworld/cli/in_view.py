"""The note for a path along which hardly anything of the scene is in view: a blank result is never silent."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flashworld.cli.output import Output

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.gaussians import Gaussians

HARDLY = 0.002
"""Share of the pictures: a ball of a twentieth of their height covers as much."""
MAX_VIEWS = 8
"""Of the path, evenly spaced."""
ROWS, COLUMNS = 48, 72
"""Size of the pictures that are measured; small, because only the covered area counts."""


def note_hardly_in_view(scene: Gaussians, cameras: Cameras, args: argparse.Namespace, output: Output) -> None:
    """Say why a scene may be out of view, and what to do about it; nothing if it is in view.

    Args:
        scene: On any device.
        cameras: The views, same world and units.
        args: The command's `trajectory` and `from_first_camera`.
        output: Where the note goes.
    """
    share = covered_share(scene, cameras)
    if share < HARDLY:
        output.remarks([f"hardly anything of the scene is in view ({100 * share:.2g} % of the pictures): {_why(args)}"])


def covered_share(scene: Gaussians, cameras: Cameras) -> float:
    """Mean opacity, 0 to 1, of small pictures of the scene from a few cameras along a path."""
    from flashworld.rendering import render

    count = min(len(cameras), MAX_VIEWS)
    indices = [round(k * (len(cameras) - 1) / max(count - 1, 1)) for k in range(count)]
    return float(render(scene, cameras[indices], ROWS, COLUMNS).alpha.mean())


def _why(args: argparse.Namespace) -> str:
    from flashworld.trajectories import PRESETS

    if args.trajectory in PRESETS:
        return (
            "a preset starts at the scene's origin and looks along -z; give the scene's own cameras with --trajectory"
        )
    if args.from_first_camera:
        return "a trained scene is seen by the cameras of its training without --from-first-camera"
    return (
        "a generated scene starts at the first camera of its path: use --from-first-camera, or the path.json of its result; "
        "a trained scene needs the cameras of its own training"
    )
