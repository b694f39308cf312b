"""The viewers that run here: each opens a scene file and returns the image and the number of Gaussians.

Every viewer needs the scene turned into its axes. The steps here are those that `docs/viewers.md` gives users.
"""

from __future__ import annotations

import math
from typing import Any

from benchmarks.viewers.browser import Browser, Shown
from benchmarks.viewers.subject import Subject
from flashworld.io.scenes import UNPACKED

SPARK_FORMATS = (".ply", ".compressed.ply", ".spz", ".sog", ".splat")
SUPERSPLAT_FORMATS = (".ply", ".compressed.ply", ".sog", UNPACKED)
"""The engine cannot read SPZ and .splat; SuperSplat's editor converts them."""
GL_AXES = (".spz",)
"""Formats whose axes are three.js' own."""
SPARK_OPTIONS = {"preBlurAmount": 0.3, "blurAmount": 0.0, "sortRadial": False}
"""Renders as the scenes were made: 0.3 square pixels added to every Gaussian without dimming it, sorted by depth."""
SPARK_FRAMES = 12
"""Frames until sorting, which runs in a worker, has caught up."""


def spark(browser: Browser, subject: Subject, suffix: str, options: dict[str, Any] | None = None) -> Shown:
    """three.js with Spark."""
    view = {
        "file": f"/files/scene{suffix}",
        "turn": suffix not in GL_AXES,
        "c2w": subject.camera.c2w[0].tolist(),
        "fov_y_deg": subject.fov_y_deg,
        "options": SPARK_OPTIONS if options is None else options,
        "frames": SPARK_FRAMES,
    }
    return browser.show("spark.html", view, subject.height, subject.width)


def supersplat(browser: Browser, subject: Subject, suffix: str) -> Shown:
    """SuperSplat's viewer, which turns every file half a turn about z: x left, y up, z forward."""
    c2w = subject.camera.c2w[0]
    position, forward = c2w[:3, 3], -c2w[:3, 2]
    larger = max(1.0, subject.width / subject.height)
    fov_deg = math.degrees(2 * math.atan(math.tan(math.radians(subject.fov_y_deg) / 2) * larger))

    def turned(point: Any) -> list[float]:  # noqa: ANN401 - a tensor of three
        return [-float(point[0]), float(point[1]), -float(point[2])]

    camera = {"position": turned(position), "target": turned(position + forward), "fov": fov_deg}
    off = {
        "sharpness": {"enabled": False, "amount": 0},
        "bloom": {"enabled": False, "intensity": 1, "blurLevel": 2},
        "grading": {"enabled": False, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
        "vignette": {"enabled": False, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
        "fringing": {"enabled": False, "intensity": 0.5},
    }
    settings = {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": [1, 1, 1]},
        "postEffectSettings": off,
        "animTracks": [],
        "cameras": [{"initial": camera}],
        "annotations": [],
        "startMode": "default",
    }
    file = "sog/meta.json" if suffix == UNPACKED else f"scene{suffix}"
    view = {"file": f"/files/{file}", "settings": settings}
    return browser.show("supersplat.html", view, subject.height, subject.width)
