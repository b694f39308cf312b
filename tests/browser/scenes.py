"""A small real scene in which left, right, up and down all differ, and its files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import torch

from flashworld.cameras import Cameras
from flashworld.gaussians import SH_C0, Gaussians
from flashworld.io.scenes import write_scene
from flashworld.io.scenes.plain_preview import write_plain_preview
from flashworld.io.video import write_video
from flashworld.rendering import iter_frames
from flashworld.trajectories import video_path
from flashworld.trajectories.json_forms import trajectory_to_json

LETTER_F = ("XXXXX", "X....", "XXXX.", "X....", "X....", "X....", "X....")
FOCUS = 2.0


def asymmetric_scene(seed: int = 0, density: int = 5, tint: float = 0.0) -> Gaussians:
    """A red F at the left top, a green bar low at the right, a blue wall behind; OpenGL axes, looking along -z."""
    generator = torch.Generator().manual_seed(seed)
    points, colours = [], []

    def plate(x0, x1, y0, y1, z, colour, per_unit=16 * density):
        nx, ny = max(2, int((x1 - x0) * per_unit)), max(2, int((y1 - y0) * per_unit))
        xs, ys = torch.linspace(x0, x1, nx), torch.linspace(y0, y1, ny)
        grid = torch.stack(torch.meshgrid(xs, ys, indexing="ij"), -1).reshape(-1, 2)
        points.append(torch.cat([grid, torch.full((len(grid), 1), float(z))], 1))
        colours.append(torch.tensor(colour).expand(len(grid), 3))

    plate(-1.8, 1.8, -1.2, 1.2, -3.0, [0.35, 0.55, 0.85], 8 * density)
    for row, cells in enumerate(LETTER_F):
        for column, cell in enumerate(cells):
            if cell == "X":
                x, y = -0.9 + 0.13 * column, 0.75 - 0.13 * row
                plate(x, x + 0.12, y - 0.12, y, -2.0, [0.85, 0.15 + tint, 0.12])
    plate(0.25, 0.95, -0.62, -0.5, -1.8, [0.15, 0.65, 0.25])
    means = torch.cat(points)
    rgb = torch.cat(colours) + 0.03 * torch.randn(len(means), 3, generator=generator)
    count = len(means)
    scales = torch.full((count, 3), 0.16 / density)
    scales[:, 2] = 0.01
    sh = torch.zeros(count, 9, 3)
    sh[:, 0] = (rgb.clamp(0, 1) - 0.5) / SH_C0
    quats = torch.tensor([1.0, 0, 0, 0]).expand(count, 4).clone()
    return Gaussians(means, quats, scales, torch.full((count,), 0.95), sh)


def write_result_files(
    scene: Gaussians, cameras: Cameras, height: int, width: int, folder: Path, fps: int = 10
) -> dict:
    """Every file that a service delivers."""
    files = {name: folder / file for name, file in {
        "ply": "scene.ply", "spz": "scene.spz", "plain": "plain.splat",
        "video": "video.mp4", "poster": "poster.webp", "path": "path.json", "zip": "flashworld.zip",
    }.items()}  # fmt: skip
    for name in ("ply", "spz"):
        write_scene(scene, files[name])
    write_plain_preview(scene, cameras, FOCUS, files["plain"])
    frames = list(iter_frames(scene, video_path(cameras, fps=fps, seconds=1.0), height, width))
    write_video(frames, files["video"], fps=fps)
    from PIL import Image

    Image.fromarray(frames[0]).save(files["poster"])
    files["path"].write_text(json.dumps(trajectory_to_json(cameras, height=height, width=width)))
    with zipfile.ZipFile(files["zip"], "w") as archive:
        for name in ("ply", "spz", "video", "path"):
            archive.write(files[name], files[name].name)
    return files
