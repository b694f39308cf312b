"""The 3D stage as a Gradio component: its `view` names the scene file and the camera path.

The template never changes (Gradio would otherwise patch the DOM around the canvas); data arrives through `watch`. Everything
is in one property, which is not `value`: when another property changes first, Gradio 6.31 writes the previous `value` back and
may so lose the new one. Recorded keyframes are returned in the `keyframes` event, which any client can send, so
`ui.events.camera_path` checks them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from flashworld.config import DEFAULT_VIDEO_SECONDS

if TYPE_CHECKING:
    from flashworld.cameras import Cameras

STATIC_DIR = Path(__file__).parents[1] / "assets" / "static"
_MOUNT = (Path(__file__).parents[1] / "assets" / "stage_mount.js").read_text(encoding="utf-8")


class Stage(gr.HTML):
    """Spark viewer, path player and keyframe recorder."""

    def __init__(self, *, origin: Literal["path", "scene"], view: dict | None = None, **kwargs: Any) -> None:
        """A stage; `origin` identifies keyframes recorded in it, `view` comes from `stage_view`."""
        self.view = view or {}  # set first: Gradio takes a quoted name in the script for an event unless it is a prop
        super().__init__(
            html_template=f'<div class="fw-stage" data-origin="{origin}"></div>',
            js_on_load=_MOUNT.replace("__STATIC__", STATIC_DIR.as_posix()),
            apply_default_css=False,
            view=self.view,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        """Never part of the public API."""
        return {"type": "object"}


def camera_rows(cameras: Cameras) -> list[list[float]]:
    """Position, quaternion wxyz and vertical field of view in degrees, one row per camera, for the browser. (N, 8)"""
    from flashworld.cameras import fov_y_deg

    columns = zip(
        cameras.positions.tolist(), cameras.quats_wxyz.tolist(), fov_y_deg(cameras.intrinsics).tolist(), strict=True
    )
    return [[round(v, 6) for v in (*position, *quat, fov)] for position, quat, fov in columns]


def stage_view(
    cameras: Cameras,
    height: int,
    width: int,
    *,
    picture: str | None = None,
    picture_index: int = 0,
    keyframes: dict | None = None,
    recording: bool = False,
    focus_distance: float | None = None,
    seconds: float = DEFAULT_VIDEO_SECONDS,
    poster: str | None = None,
    invite: str = "viewer.show",
    note: str = "",
    play: bool = False,
    scene: Path | None = None,
    full: Path | None = None,
) -> dict:
    """The data that the stage draws.

    Args:
        cameras: The path, OpenGL axes, scene units.
        height: Rows of the cameras' images.
        width: Columns of them.
        picture: Data URL of the visitor's picture, cropped, or None.
        picture_index: Index of its camera.
        keyframes: Recorded keyframes, to show them in this stage too; ignored by the stage in which they were recorded.
        recording: Open the keyframe panel.
        focus_distance: Distance of the orbit centre in front of the first camera, scene units.
        seconds: Duration of playing the path.
        poster: An image shown until the scene is drawn; a file that the page may serve.
        invite: Text key of the button that loads the scene.
        note: Text key of a sentence over the view, for a path without its scene; empty for none.
        play: Play the path back and forth a few times, until the visitor takes control.
        scene: The scene file (SPZ, PLY or .splat) to show; a file that the page may serve.
        full: The full scene, which replaces the light one; a file that the page may serve.
    """
    return {
        "cameras": camera_rows(cameras),
        "aspect": width / height,
        "picture": picture,
        "picture_index": picture_index,
        "keyframes": keyframes,
        "recording": recording,
        "focus_distance": focus_distance,
        "seconds": seconds,
        "poster": poster,
        "invite": invite,
        "note": note,
        "play": play,
        "height": height,
        "scene": _served_file(scene),
        "full": _served_file(full),
    }


def _served_file(path: Path | None) -> dict | None:
    return {"file": path.as_posix(), "bytes": path.stat().st_size} if path else None
