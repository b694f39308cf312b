"""Held-out worlds for evaluation: an input image, a camera path, and the ground truth along it.

Seeds 0 to 9,999 are the benchmark's; training starts at 1,000,000. Textures are held out as well, and galleries show
crops of the held-out photographs. Paths are the longest that the benchmark covers: orbits of 15 degrees about a point
two units ahead, and translations of half a unit, with the app's default field of view.

Numerics: float32. Images average 2 x 2 rays per pixel; depth is exact, along the optical axis, at pixel centres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from flashworld.cameras import Cameras, intrinsics_from_fov, quat_from_axis_angle
from flashworld.cameras.raymaps import ray_directions
from flashworld.nano.training import raycast
from flashworld.nano.training.batches import CLEARANCE
from flashworld.nano.training.builder import build_worlds
from flashworld.nano.training.layouts import FREE, Layout
from flashworld.nano.training.materials import PATTERN_VARIANTS, PATTERNS, TextureAtlas, build_atlas
from flashworld.nano.training.specs import WorldSpec, sample_spec
from flashworld.nano.training.textures import muted_noise, random_crop
from flashworld.nano.training.worlds import FIRST_SLOT, SKY_DISTANCE, SLOTS, WorldBatch
from flashworld.trajectories import build_trajectory, video_path

SEEDS = range(0, 10_000)
"""Seeds of held-out worlds."""
FIRST_CAPTION_SEED = 5_000
"""First seed of the worlds for captions; those for images start at 0."""
Parameters: TypeAlias = "dict[str, Any]"
"""Parameters of a preset."""
ORBIT: Parameters = {"angle_deg": 15.0, "distance": 2.0}
MOVE: Parameters = {"amplitude": 0.5}
PATHS: tuple[tuple[str, Parameters], ...] = (
    ("orbit_right", ORBIT), ("left", MOVE), ("orbit_up", ORBIT), ("forward", MOVE),
    ("orbit_left", ORBIT), ("right", MOVE), ("up", MOVE), ("backward", MOVE),
)  # fmt: skip
"""World k uses path k modulo 8, or the next one without a collision."""
FOV_Y_DEG = 60.0
SAMPLES = 2
TEXTURE_SEED = 77
TEXTURE_SIZE = 256
PICTURES = 16
RAYS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Trial:
    """One evaluation sample: input and ground truth, in the first camera's axes and scene units.

    Attributes:
        spec: Description of the world.
        path: Name of the preset.
        cameras: The views to generate. N
        all_cameras: The same cameras, interleaved with the midpoints between them. V = 2 N - 1
        rgb: Ground-truth views, in [0, 1]. (V, H, W, 3)
        depth: Along the optical axis, scene units; NaN for sky. (V, H, W)
    """

    spec: WorldSpec
    path: str
    cameras: Cameras
    all_cameras: Cameras
    rgb: torch.Tensor
    depth: torch.Tensor

    @property
    def picture(self) -> np.ndarray:
        """The input image: the first view, uint8 (H, W, 3)."""
        return (self.rgb[0] * 255).round().byte().numpy()


def unseen_atlas(photos: dict[str, Image.Image]) -> TextureAtlas:
    """Held-out textures; images are crops of the given photographs, or noise without any."""
    generator = torch.Generator().manual_seed(TEXTURE_SEED)
    sources = [np.asarray(photos[name]) for name in sorted(photos)]
    pictures = [
        random_crop(sources[i % len(sources)], TEXTURE_SIZE, generator)
        if sources
        else muted_noise(1, TEXTURE_SIZE, 1.6, generator)[0]
        for i in range(PICTURES)
    ]
    return build_atlas(
        torch.stack(pictures), size=TEXTURE_SIZE, seed=TEXTURE_SEED, device="cpu", dtype=torch.float32
    )  # fmt: skip


def build_world(spec: WorldSpec, layout: Layout = FREE) -> WorldBatch:
    """Build a single world with the images of `unseen_atlas`."""
    return build_worlds([spec], len(PATTERNS) * PATTERN_VARIANTS, PICTURES, layout)


def make_trial(
    seed: int, atlas: TextureAtlas, *, frames: int, height: int, width: int, gallery_share: float = 0.2
) -> Trial:
    """Build the trial of a seed.

    Args:
        seed: Seed of the world, within `SEEDS`.
        atlas: From `unseen_atlas`.
        frames: Views to generate.
        height: Image height.
        width: Image width.
        gallery_share: As for `sample_spec`.
    """
    spec = sample_spec(seed, gallery_share)
    world = build_world(spec)
    lens = intrinsics_from_fov(FOV_Y_DEG, height, width)
    name, parameters = next(
        (path for path in _in_turn(seed) if _is_clear(world, path, frames, lens)), _in_turn(seed)[0]
    )  # fmt: skip
    cameras = build_trajectory(name, frames=frames, intrinsics=lens, **parameters)
    standing = video_path(in_world(world, name, parameters, frames, lens), fps=2)
    views = [look(world, standing[i], atlas, height, width) for i in range(len(standing))]
    depth = [surfaces(world, standing[i], height, width)[0] for i in range(len(standing))]
    return Trial(spec, name, cameras, video_path(cameras, fps=2), torch.stack(views), torch.stack(depth))


def _in_turn(seed: int) -> list[tuple[str, Parameters]]:
    return [PATHS[(seed + i) % len(PATHS)] for i in range(len(PATHS))]


def _is_clear(world: WorldBatch, path: tuple[str, Parameters], frames: int, lens: torch.Tensor) -> bool:
    cameras = in_world(world, *path, frames, lens)
    rows, columns = 24, 36
    return all(float(nearest(world, camera, rows, columns)[0].min()) > CLEARANCE for camera in each(cameras))


def each(cameras: Cameras) -> list[Cameras]:
    """Iterate over single cameras."""
    return [cameras[i] for i in range(len(cameras))]


def in_world(world: WorldBatch, name: str, parameters: Parameters, frames: int, lens: torch.Tensor) -> Cameras:
    """A path in world axes: the first camera at the origin, with the world's pitch."""
    return build_trajectory(name, frames=frames, intrinsics=lens, start=first_camera(world, lens), **parameters)


def first_camera(world: WorldBatch, lens: torch.Tensor) -> Cameras:
    """The first camera of a world."""
    tilt = quat_from_axis_angle([1.0, 0.0, 0.0], world.eye[:, 1])
    return Cameras(tilt, torch.zeros(1, 3), lens[None])


def look(
    world: WorldBatch, camera: Cameras, atlas: TextureAtlas, height: int, width: int, samples: int = SAMPLES
) -> torch.Tensor:
    """Render one view of one world, in [0, 1]. (H, W, 3)"""
    rays = ray_directions(camera, height * samples, width * samples).flatten(1, 2)
    angle = 1.0 / (camera.intrinsics[:, 1] * height)
    origin = camera.positions[:, None]
    parts = [
        raycast.shade_rays(world, atlas, origin, part, angle, hit_present)[0] for part in rays.split(RAYS_AT_ONCE, 1)
    ]
    return torch.cat(parts, dim=1).view(height, samples, width, samples, 3).mean(dim=(1, 3))


def nearest(world: WorldBatch, camera: Cameras, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ray distance and surface index at pixel centres. (H, W) each"""
    rays = ray_directions(camera, height, width).flatten(1, 2)
    distance, surface, _, _ = raycast.nearest_hit(world, camera.positions[:, None], rays, hit_present)
    return distance.view(height, width), surface.view(height, width)


def surfaces(world: WorldBatch, camera: Cameras, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth along the optical axis (NaN: sky) and surface index (-1: sky) at pixel centres. (H, W) each"""
    distance, surface = nearest(world, camera, height, width)
    forward = -camera.c2w[0, :3, 2]
    depth = distance * (ray_directions(camera, height, width)[0] @ forward)
    sky = distance >= SKY_DISTANCE
    return torch.where(sky, torch.full_like(depth, math.nan), depth), torch.where(sky, -1, surface)


def hit_present(
    center: torch.Tensor,
    half: torch.Tensor,
    turn: torch.Tensor,
    active: torch.Tensor,
    origin: torch.Tensor,
    direction: torch.Tensor,
) -> torch.Tensor:
    """`raycast.hit_solids` for a single world, skipping inactive solids. (1, R, SOLIDS)"""
    hits = direction.new_full((*direction.shape[:2], active.shape[1]), raycast.FAR)
    shapes = {
        "box": raycast.hit_box, "ellipsoid": raycast.hit_sphere, "cylinder": raycast.hit_cylinder, "cone": raycast.hit_cone,
    }  # fmt: skip
    for kind, hit in shapes.items():
        slots = torch.arange(FIRST_SLOT[kind], FIRST_SLOT[kind] + SLOTS[kind])
        slots = slots[active[0, slots] > 0]
        if len(slots):
            own_turn, own_half = turn[:, None, slots], half[:, None, slots]
            o = raycast.turn_in(origin[:, :, None] - center[:, None, slots], own_turn) / own_half
            hits[:, :, slots] = hit(o, raycast.turn_in(direction[:, :, None], own_turn) / own_half)
    return hits
