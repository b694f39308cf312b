"""An animated preview of a camera path: a small stage of solid blocks seen through the moving camera.

The stage is about 1 to 5 units deep like the scenes the presets are made for, with a gate around the point that the
presets with a look-at point circle. Sky and floor are computed pixel by pixel; blocks and their shadows are flat polygons,
clipped at the near plane, sorted far to near and drawn by Pillow at several times the size, then reduced. For paths longer than the
stage, the stage is enlarged. OpenGL axes, numpy in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw

from flashworld.cameras import Cameras, invert_rigid
from flashworld.trajectories import resample

FRAME_MS = 80
"""Display time of one frame of the animation."""
SUPERSAMPLE = 3
NEAR = 0.03
STAGE_REACH = 4.2
"""Longest path, in scene units, for which the stage keeps its size: a full orbit around the gate."""
HOLD_FRAMES, FADE_FRAMES = 3, 3
"""At the end of an open path the last view is held, then cross-fades into the first."""
CLOSED_TOLERANCE = 1e-3
"""A path is closed if its ends differ by less than this, relative to its reach, in matrix entries and in lens."""
FLOOR_Y = -0.62
HEADROOM = 0.15
"""The floor stays this far below the lowest camera."""
LIGHT = np.array([0.42, 0.84, 0.34])
SKY_TOP, SKY_LOW = np.array([150.0, 184.0, 216.0]), np.array([232.0, 238.0, 241.0])
FLOOR_LIGHT, FLOOR_DARK = np.array([214.0, 211.0, 203.0]), np.array([180.0, 178.0, 172.0])
TILE, TILE_FADE = 0.75, 7.0
"""Edge of the floor's tiles, and the distance at which they have nearly faded (scene units)."""
SHADOW = np.array([132.0, 131.0, 130.0])
FOG_DISTANCE = 22.0
GATE, BLUE, TEAL, OCHRE, PLUM = (214, 104, 66), (78, 122, 176), (76, 146, 130), (214, 166, 80), (138, 100, 150)


@dataclass(frozen=True)
class Block:
    """A block of the stage.

    Attributes:
        low: Smallest x, y, z; a y of FLOOR_Y stands for the height of the floor.
        high: Largest x, y, z.
        color: RGB, 0 to 255.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    color: tuple[int, int, int]


STAGE = (
    Block((-0.72, FLOOR_Y, -2.1), (-0.52, 0.48, -1.9), GATE),
    Block((0.52, FLOOR_Y, -2.1), (0.72, 0.48, -1.9), GATE),
    Block((-0.82, 0.48, -2.12), (0.82, 0.66, -1.88), GATE),
    Block((-1.3, FLOOR_Y, -1.62), (-0.96, -0.2, -1.28), BLUE),
    Block((0.98, FLOOR_Y, -1.7), (1.26, -0.36, -1.42), OCHRE),
    Block((0.28, FLOOR_Y, -3.2), (0.66, -0.16, -2.82), TEAL),
    Block((-0.6, FLOOR_Y, -3.4), (-0.32, -0.34, -3.12), PLUM),
    Block((-3.2, FLOOR_Y, -5.1), (-2.4, 0.8, -4.3), TEAL),
    Block((2.5, FLOOR_Y, -4.9), (3.3, 0.55, -4.1), BLUE),
    Block((-0.2, FLOOR_Y, -6.9), (0.9, 1.0, -6.1), OCHRE),
    Block((-4.2, FLOOR_Y, -2.2), (-3.4, 0.15, -1.4), PLUM),
    Block((3.5, FLOOR_Y, -2.0), (4.3, 0.8, -1.2), GATE),
    Block((-2.4, FLOOR_Y, 2.2), (-1.5, 0.35, 3.1), OCHRE),
    Block((1.6, FLOOR_Y, 2.6), (2.5, 0.8, 3.5), TEAL),
)
FACES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
"""Corners of a block's six faces; corner k has the high x if k & 4, the high y if k & 2, the high z if k & 1."""
NORMALS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], dtype=float)


@dataclass(frozen=True)
class _Eye:
    """One camera of the animation, in stage units, with its image size before reduction."""

    rotation: np.ndarray
    position: np.ndarray
    focal_px: float
    center_px: tuple[float, float]
    height: int
    width: int

    def project(self, polygon: np.ndarray) -> list[tuple[float, float]]:
        """The part of a polygon in front of the camera, in pixels; may be empty."""
        local = (polygon - self.position) @ self.rotation
        inside = -local[:, 2] > NEAR
        if not inside.any():
            return []
        if not inside.all():
            local = _clip(local)
        x = self.center_px[0] + self.focal_px * local[:, 0] / -local[:, 2]
        y = self.center_px[1] - self.focal_px * local[:, 1] / -local[:, 2]
        return list(zip(x.tolist(), y.tolist(), strict=True))


def animate_path(cameras: Cameras, *, size: tuple[int, int] = (110, 160), frames: int = 20) -> list[Image.Image]:
    """Frames of a looping animation, RGB, each to be shown for FRAME_MS.

    An open path plays once, pauses and cross-fades back into its first view, so that left and right can be told apart; a
    closed one loops without a pause.

    Args:
        cameras: At least two; the stage stands in front of the first one.
        size: (height, width) in pixels. The vertical field of view is the cameras' own.
        frames: Views along the path, without the pause and the cross-fade.

    Raises:
        TrajectoryError: fewer than two cameras, or `frames` out of range.
    """
    closed = closes(cameras)
    path = resample(cameras.to("cpu").to(torch.float64), frames + 1 if closed else frames)
    relative = (invert_rigid(path.c2w[0]) @ path.c2w).numpy()
    relative[:, :3, 3] /= max(1.0, float(np.linalg.norm(relative[:, :3, 3], axis=1).max()) / STAGE_REACH)
    floor = min(FLOOR_Y, float(relative[:, 1, 3].min()) - HEADROOM)
    height, width = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
    shadows, views = _shadows(floor), []
    for c2w, (_, fy, cx, cy) in zip(relative[:frames], path.intrinsics.tolist(), strict=False):
        eye = _Eye(c2w[:3, :3], c2w[:3, 3], fy * height, (cx * width, cy * height), height, width)
        views.append(_draw_stage(eye, floor, shadows).reduce(SUPERSAMPLE))
    return looping(views, closed=closed)


def looping(views: list[Image.Image], *, closed: bool) -> list[Image.Image]:
    """Views along a path as the frames of an animation that repeats.

    Args:
        views: From the path's start to its end; of a closed path without the last, which equals the first.
        closed: Whether the path returns to its start. An open one pauses at its end and cross-fades into its first view.
    """
    if closed:
        return views
    melting = [Image.blend(views[-1], views[0], (k + 1) / (FADE_FRAMES + 1)) for k in range(FADE_FRAMES)]
    return [*views, *[views[-1]] * HOLD_FRAMES, *melting]


def closes(cameras: Cameras) -> bool:
    """Whether the last view equals the first one and the camera moves in between."""
    poses = cameras.c2w.double().cpu()
    steps = (poses - poses[0]).flatten(1).abs().amax(dim=1)
    zooms = (cameras.intrinsics - cameras.intrinsics[0]).abs().amax(dim=1).double().cpu()
    largest = float(torch.maximum(steps, zooms).max())
    return float(torch.maximum(steps[-1], zooms[-1])) < CLOSED_TOLERANCE * largest


def _draw_stage(eye: _Eye, floor: float, shadows: list[np.ndarray]) -> Image.Image:
    """One view at the larger size."""
    image = Image.fromarray(_ground(eye, floor))
    draw = ImageDraw.Draw(image)
    for polygon in shadows:
        _paint(draw, eye, polygon, SHADOW, outline=False)
    faces = [(polygon, color) for block in STAGE for polygon, color in _lit_faces(block, eye.position, floor)]
    faces.sort(key=lambda face: -float(np.linalg.norm(face[0].mean(axis=0) - eye.position)))
    for polygon, color in faces:
        _paint(draw, eye, polygon, color, outline=True)
    return image


def _ground(eye: _Eye, floor: float) -> np.ndarray:
    """Sky above the horizon, tiles that fade with distance below it. uint8 (H, W, 3)"""
    right = ((np.arange(eye.width, dtype=np.float32) + 0.5 - eye.center_px[0]) / eye.focal_px)[None]
    up = ((eye.center_px[1] - np.arange(eye.height, dtype=np.float32) - 0.5) / eye.focal_px)[:, None]
    x, y, z = (a * right + b * up - c for a, b, c in eye.rotation.astype(np.float32))
    length = np.sqrt(x * x + y * y + z * z)
    reach = np.float32(eye.position[1] - floor) / np.maximum(-y, 1e-6)
    distance = reach * length
    tile_x, tile_z = ((reach * k + p) / TILE for k, p in ((x, eye.position[0]), (z, eye.position[2])))
    dark = ((np.floor(tile_x) + np.floor(tile_z)) % 2) * np.exp(-((distance / TILE_FADE) ** 2))
    fog = np.exp(-distance / FOG_DISTANCE)
    below = y < 0
    # Four fixed colours mixed by three weights per pixel; the weights of sky and floor exclude each other.
    weights = np.stack([fog * (1 - dark), fog * dark, np.clip(y / length / 0.7, 0, 1)], axis=-1)
    weights *= np.stack([below, below, ~below], axis=-1)
    colors = np.stack([FLOOR_LIGHT, FLOOR_DARK, SKY_TOP]) - SKY_LOW
    return (SKY_LOW.astype(np.float32) + weights @ colors.astype(np.float32)).astype(np.uint8)


def _corners(block: Block, floor: float) -> np.ndarray:
    """The eight corners; blocks on the floor reach down to it. (8, 3)"""
    low, high = np.array(block.low), np.array(block.high)
    low[1] = floor if low[1] == FLOOR_Y else low[1]
    bits = (np.arange(8)[:, None] >> np.array([2, 1, 0])) & 1
    return np.where(bits == 1, high, low)


def _lit_faces(block: Block, eye: np.ndarray, floor: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Faces turned towards the camera, each with its shaded colour."""
    corners = _corners(block, floor)
    faces = []
    for face, normal in zip(corners[FACES], NORMALS, strict=True):
        if (eye - face[0]) @ normal > 0:
            faces.append((face, np.array(block.color) * (0.62 + 0.44 * max(0.0, float(normal @ LIGHT)))))
    return faces


def _shadows(floor: float) -> list[np.ndarray]:
    """Shadows of the blocks: outlines of their corners projected onto the floor. [(M, 3)]"""
    outlines = []
    for block in STAGE:
        corners = _corners(block, floor)
        cast = corners - ((corners[:, 1] - floor) / LIGHT[1])[:, None] * LIGHT
        outlines.append(cast[_hull(cast[:, [0, 2]])])
    return outlines


def _hull(points: np.ndarray) -> list[int]:
    """Indices of the convex hull of points in the plane (N, 2), by Andrew's monotone chain."""

    def chain(order: list[int]) -> list[int]:
        outline: list[int] = []
        for index in order:
            while len(outline) > 1:
                (ax, ay), (bx, by) = points[outline[-1]] - points[outline[-2]], points[index] - points[outline[-1]]
                if ax * by - ay * bx > 1e-12:
                    break
                outline.pop()
            outline.append(index)
        return outline[:-1]

    order = np.lexsort(points.T[::-1]).tolist()
    return chain(order) + chain(order[::-1])


def _paint(draw: ImageDraw.ImageDraw, eye: _Eye, polygon: np.ndarray, color: np.ndarray, *, outline: bool) -> None:
    """Fill a polygon, lighter with distance, its edges a little darker."""
    points = eye.project(polygon)
    if len(points) < 3:
        return
    fog = np.exp(-np.linalg.norm(polygon.mean(axis=0) - eye.position) / FOG_DISTANCE)
    fill, edge = (tuple(int(v) for v in SKY_LOW + (shade - SKY_LOW) * fog) for shade in (color, color * 0.86))
    draw.polygon(points, fill=fill, outline=edge if outline else None, width=SUPERSAMPLE // 2)


def _clip(local: np.ndarray) -> np.ndarray:
    """Cut a polygon in camera axes at the near plane (Sutherland and Hodgman)."""
    kept = []
    for here, after in zip(local, np.roll(local, -1, axis=0), strict=True):
        front, then = -here[2] - NEAR, -after[2] - NEAR
        if front >= 0:
            kept.append(here)
        if front * then < 0:
            kept.append(here + (after - here) * front / (front - then))
    return np.array(kept)
