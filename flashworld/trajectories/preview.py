"""A line drawing of a camera path; see `animation` for the view through the moving camera.

The drawing shows the path from behind, above and to the right of the first camera, so that forward is up and away,
right is right. Time runs from blue through violet to orange; the first camera is filled, and a grid
shows the shadows of this camera and of the path.
Everything is drawn by Pillow at several times the size and reduced. OpenGL axes, relative to the first camera.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw

from flashworld.cameras import Cameras, invert_rigid
from flashworld.trajectories import resample
from flashworld.trajectories.animation import FRAME_MS, animate_path, closes

__all__ = ["FRAME_MS", "animate_path", "draw_path", "frusta_lines"]

SUPERSAMPLE = 4
Theme = Literal["light", "dark"]
Rgb = tuple[int, int, int]
BACKGROUND: dict[str, Rgb] = {"light": (247, 247, 245), "dark": (30, 32, 36)}
GRID: dict[str, Rgb] = {"light": (222, 222, 218), "dark": (54, 57, 63)}
SHADOW: dict[str, Rgb] = {"light": (203, 203, 199), "dark": (74, 77, 84)}
TIME_COLORS: tuple[Rgb, ...] = ((38, 104, 206), (178, 72, 168), (242, 128, 40))
"""Start, half way, end."""
AZIMUTH_DEG, ELEVATION_DEG = 32.0, 24.0
FRUSTA, FRUSTA_TURNING = 6, 3
"""How many cameras are drawn, along a path and for one that only turns."""
STANDING = 0.02
"""Paths whose reach is below this fraction of SMALLEST_REACH count as rotation only."""
ROOF = 8
"""Index of the segment of `frusta_lines` that ends at the tip of the roof."""
CURVE_POINTS = 120
SMALLEST_REACH = 0.5
"""Shorter paths (scene units) are drawn at this size, so that a turn on the spot does not shrink to a dot."""
FRUSTUM_PART, DROP_PART, CELL_PART = 0.24, 0.12, 0.25
"""Depth of a drawn frustum, gap between it and the floor, and edge of a grid cell, as fractions of the path's reach."""
GRID_CELLS = 8
MARGIN = 0.07
"""Empty border, relative to the image size."""


def frusta_lines(cameras: Cameras, *, depth: float = 0.2) -> np.ndarray:
    """Line segments of the cameras' frusta, for a 3D viewer.

    Args:
        cameras: N cameras.
        depth: Distance from the camera's centre to its image plane, scene units.

    Returns:
        Ends of ten segments per camera, in the cameras' world: four edges of the pyramid, four of the image, and
        the two sides of a roof that shows which way is up. float32 (N, 10, 2, 3)
    """
    fx, fy, cx, cy = cameras.intrinsics.double().cpu().unbind(-1)
    left, right, top, bottom = -cx / fx, (1 - cx) / fx, cy / fy, (cy - 1) / fy
    roof = top + 0.25 * (top - bottom)
    xs = torch.stack([left, right, right, left, (left + right) / 2, torch.zeros_like(cx)], dim=-1)
    ys = torch.stack([top, top, bottom, bottom, roof, torch.zeros_like(cx)], dim=-1)
    zs = torch.tensor([-1.0, -1, -1, -1, -1, 0], dtype=torch.float64).expand_as(xs)
    local = torch.stack([xs, ys, zs], dim=-1) * depth
    c2w = cameras.c2w.double().cpu()
    points = local @ c2w[:, :3, :3].transpose(1, 2) + c2w[:, None, :3, 3]
    ends = [(5, 0), (5, 1), (5, 2), (5, 3), (0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (4, 1)]
    return points[:, torch.tensor(ends)].float().numpy()


def draw_path(cameras: Cameras, *, size: tuple[int, int] = (330, 480), theme: Theme = "light") -> Image.Image:
    """A drawing of the path with a few frusta, RGB.

    Args:
        cameras: At least two.
        size: (height, width) in pixels; 110 x 160 is still legible.
        theme: Whether the surrounding page is light or dark.

    Raises:
        TrajectoryError: fewer than two cameras.
    """
    path = _relative(cameras)
    curve = resample(path, CURVE_POINTS)
    points = curve.positions.numpy()
    moved = float(np.ptp(points, axis=0).max())
    reach = max(SMALLEST_REACH, moved)
    depth = reach * FRUSTUM_PART
    count = FRUSTA_TURNING if moved < STANDING * reach else FRUSTA
    last = len(path) - 1
    shown = sorted({round(k * last / (count - 1)) for k in range(count)} - ({last} if closes(path) else set()))
    frusta = frusta_lines(path[shown], depth=depth).astype(float)
    floor = min(points[:, 1].min(), frusta[..., 1].min()) - reach * DROP_PART
    drawing = _Drawing(size, theme, np.concatenate([points, frusta.reshape(-1, 3)]), floor)
    drawing.grid(reach * CELL_PART)
    drawing.shadow(points)
    for number in sorted(range(len(shown)), key=lambda k: drawing.nearness(frusta[k, 0, 0])):
        drawing.frustum(frusta[number], shown[number] / last, filled=number == 0)
    # A camera that only turns or zooms has no path of its own: the tip of its frustum's roof shows the motion.
    drawing.curve(points if count == FRUSTA else frusta_lines(curve, depth=depth)[:, ROOF, 1].astype(float))
    drawing.dot(points[0])
    return drawing.image.reduce(SUPERSAMPLE)


class _Drawing:
    """An image being drawn: parallel projection, fitted to its contents."""

    def __init__(self, size: tuple[int, int], theme: Theme, points: np.ndarray, floor: float) -> None:
        azimuth, elevation = math.radians(AZIMUTH_DEG), math.radians(ELEVATION_DEG)
        ca, sa, ce, se = math.cos(azimuth), math.sin(azimuth), math.cos(elevation), math.sin(elevation)
        self.axes = np.array([[ca, 0, -sa], [se * sa, -ce, se * ca]])  # image right, image down
        self.toward = np.array([ce * sa, se, ce * ca])
        self.theme, self.floor = theme, floor
        height, width = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
        self.line = max(SUPERSAMPLE, round(height / 110))
        on_floor = points * [1, 0, 1] + [0, floor, 0]
        self.middle = (on_floor.min(axis=0) + on_floor.max(axis=0)) / 2
        flat = np.concatenate([points, on_floor]) @ self.axes.T
        low, high = flat.min(axis=0), flat.max(axis=0)
        room = np.array([width, height]) * (1 - 2 * MARGIN)
        self.scale = float((room / np.maximum(high - low, 1e-9)).min())
        self.offset = np.array([width, height]) / 2 - self.scale * (low + high) / 2
        self.image = Image.new("RGB", (width, height), BACKGROUND[theme])
        self.draw = ImageDraw.Draw(self.image)

    def nearness(self, point: np.ndarray) -> float:
        """Larger values are nearer to the viewer."""
        return float(point @ self.toward)

    def grid(self, cell: float) -> None:
        """A square of floor around the path, its lines paler towards the edge."""
        span = np.arange(-GRID_CELLS, GRID_CELLS + 1)
        for k in span:
            for j in span[:-1]:
                fade = max(0.0, 1 - math.hypot(k, j + 0.5) / GRID_CELLS)
                for a, b in (((k, j), (k, j + 1)), ((j, k), (j + 1, k))):
                    ends = np.array([[a[0], 0, a[1]], [b[0], 0, b[1]]]) * cell + self.middle
                    self._stroke(ends, _mix(BACKGROUND[self.theme], GRID[self.theme], fade), self.line * 0.7)

    def shadow(self, points: np.ndarray) -> None:
        """The path projected onto the floor, and a vertical line at its start."""
        below = points * [1, 0, 1] + [0, self.floor, 0]
        self._stroke(below, SHADOW[self.theme], self.line * 1.3)
        self._stroke(np.stack([points[0], below[0]]), SHADOW[self.theme], self.line * 0.7)

    def frustum(self, segments: np.ndarray, time: float, *, filled: bool) -> None:
        """One camera; the start's image plane is filled."""
        color = _mix(BACKGROUND[self.theme], _time_color(time), 0.85 if filled else 0.6)
        if filled:
            pale = _mix(BACKGROUND[self.theme], _time_color(time), 0.3)
            self.draw.polygon(self._flat(segments[4:8, 0]), fill=pale)
        for segment in segments:
            self._stroke(segment, color, self.line * (1.2 if filled else 0.8))

    def curve(self, points: np.ndarray) -> None:
        """A line coloured by time, with an arrow at its end or, if the path is closed, half way."""
        for k in range(len(points) - 1):
            self._stroke(points[k : k + 2], _time_color(k / (len(points) - 2)), self.line * 2.4)
            self._disc(points[k + 1], _time_color(k / (len(points) - 2)), self.line * 1.1)  # a round joint
        closed = np.linalg.norm(points[-1] - points[0]) < 1e-3 * np.ptp(points, axis=0).max()
        self._arrow(points[: len(points) // 2 if closed else None], 0.5 if closed else 1.0)

    def dot(self, point: np.ndarray) -> None:
        """Where the path starts."""
        self._disc(point, _time_color(0.0), self.line * 2.6)

    def _arrow(self, points: np.ndarray, time: float) -> None:
        """A triangle at the last point, along the path's last direction in the image."""
        flat = np.array(self._flat(points))
        length = self.line * 8.0
        far = np.nonzero(np.linalg.norm(flat - flat[-1], axis=1) > length / 2)[0]
        if not len(far):
            return
        along = flat[-1] - flat[far[-1]]
        along *= length / np.linalg.norm(along)
        across = np.array([-along[1], along[0]]) * 0.5
        corners = [flat[-1] + along * 0.6, flat[-1] - along * 0.4 + across, flat[-1] - along * 0.4 - across]
        self.draw.polygon([tuple(corner) for corner in corners], fill=_time_color(time))

    def _flat(self, points: np.ndarray) -> list[tuple[float, float]]:
        """Project points of the path into the image."""
        flat = points @ self.axes.T * self.scale + self.offset
        return [(float(x), float(y)) for x, y in flat]

    def _disc(self, point: np.ndarray, color: Rgb, radius: float) -> None:
        x, y = self._flat(point[None])[0]
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def _stroke(self, points: np.ndarray, color: Rgb, width: float) -> None:
        self.draw.line(self._flat(points), fill=color, width=max(1, round(width)), joint="curve")


def _relative(cameras: Cameras) -> Cameras:
    """The path in its first camera's axes, float64 on the CPU."""
    cameras = cameras.to("cpu").to(torch.float64)
    return Cameras.from_c2w(invert_rigid(cameras.c2w[0]) @ cameras.c2w, cameras.intrinsics)


def _time_color(time: float) -> Rgb:
    first, half, last = TIME_COLORS
    return _mix(first, half, 2 * time) if time < 0.5 else _mix(half, last, 2 * time - 1)


def _mix(start: Rgb, end: Rgb, part: float) -> Rgb:
    """Part 0 gives the start, part 1 the end."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(start, end, strict=True))
    return red, green, blue
