"""The test scene for viewers: its files in every format, one camera, and our render from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import SCENE_SUFFIXES, UNPACKED, read_scene, write_scene
from flashworld.rendering import render
from flashworld.trajectories.json_forms import parse_trajectory

EXAMPLE = Path(__file__).parents[2] / "examples" / "coffee" / "result"
ZOOM = 2
"""Pixels of the images per pixel of the example's."""
PLACE = 0.25
"""Which camera of the path: not the first, which looks along an axis, and has no roll."""


@dataclass(frozen=True)
class Subject:
    """A scene with a camera.

    Attributes:
        scene: OpenGL axes.
        camera: One camera, OpenGL axes.
        height: Rows of the images.
        width: Columns.
        rgb: Our render over white, uint8. (H, W, 3)
        plain_rgb: The same without view dependence, for formats that do not keep it.
    """

    scene: Gaussians
    camera: Cameras
    height: int
    width: int
    rgb: np.ndarray
    plain_rgb: np.ndarray

    @property
    def fov_y_deg(self) -> float:
        """The camera's vertical field of view."""
        return float(torch.rad2deg(2 * torch.atan(0.5 / self.camera.intrinsics[0, 1])))


def load_subject(folder: Path = EXAMPLE) -> Subject:
    """The shipped example."""
    data = json.loads((folder / "path.json").read_text(encoding="utf-8"))
    height, width = data["image_size"]
    path = parse_trajectory(data, height=height, width=width, fov_y_deg=60.0).cameras
    at = round(PLACE * (len(path) - 1))
    camera, scene = path[at : at + 1], read_scene(folder / "scene.spz")
    height, width = ZOOM * height, ZOOM * width
    plain = Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh[:, :1])
    return Subject(
        scene, camera, height, width, picture(scene, camera, height, width), picture(plain, camera, height, width)
    )


def picture(scene: Gaussians, camera: Cameras, height: int, width: int) -> np.ndarray:
    """Our render over white, uint8. (H, W, 3)"""
    rgb = render(scene, camera, height, width).rgb[0]
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def write_files(subject: Subject, folder: Path) -> dict[str, Path]:
    """The scene in every format, by file extension; an unpacked SOG in a separate folder."""
    files = {suffix: folder / f"scene{suffix}" for suffix in SCENE_SUFFIXES}
    files[UNPACKED] = folder / "sog" / UNPACKED
    files[UNPACKED].parent.mkdir(exist_ok=True)
    for file in files.values():
        write_scene(subject.scene, file)
    return files
