"""Training data on the GPU: banks of worlds, paths and captions, and pools of rendered views to sample batches from.

A pool holds, for one image size, every view of some hundred (world, path) pairs. Each training step samples a batch
from it and re-renders a few entries, so that ray casting takes a bounded share of the step and no pair repeats often.

Numerics: images uint8, distances float16 (scene units, at most 12) in the pool; float32 in batches.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from flashworld.cameras import (
    SCALE_MARGIN,
    Cameras,
    compose,
    invert_rigid,
    matrix_to_quat,
    quat_from_axis_angle,
    quat_multiply,
    quat_to_matrix,
)
from flashworld.config import TEXT_PREFIX
from flashworld.nano.language.phrasing import phrase
from flashworld.nano.training.builder import build_worlds
from flashworld.nano.training.layouts import Layout
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.paths import VIEWS, PathBank
from flashworld.nano.training.raycast import HitSolids, cast
from flashworld.nano.training.specs import WorldSpec, empty_prompt_spec, sample_spec
from flashworld.nano.training.tokenizer import build_tokenizer
from flashworld.nano.training.worlds import WorldBatch

log = logging.getLogger(__name__)
EMPTY_PROMPT_EVERY = 50
"""Under an exact layout, one world in this many is the default scene with an empty prompt."""
CLEARANCE = 0.12
"""Minimum clearance between a path and any surface, scene units; other paths are rejected."""
FOV_Y_DEG = (48.0, 68.0)
SEEDS_TRAINING = 1_000_000
"""First seed of training worlds; the benchmark's seeds are smaller."""


@dataclass(frozen=True)
class WorldBank:
    """A set of worlds with their captions.

    Attributes:
        worlds: Arrays for the ray caster.
        tokens: Token ids of each world's sentence, zero-padded; galleries have the empty sentence. (W, length)
        captioned: Whether a world has captions. (W,)
    """

    worlds: WorldBatch
    tokens: torch.Tensor
    captioned: torch.Tensor

    def __len__(self) -> int:
        return len(self.worlds)

    def to(self, device: torch.device | str) -> WorldBank:
        """The same bank on another device."""
        return WorldBank(self.worlds.to(device), self.tokens.to(device), self.captioned.to(device))


def build_bank(
    first_seed: int,
    count: int,
    atlas_first_picture: int,
    pictures: int,
    *,
    gallery_share: float,
    extra_rooms: float,
    max_tokens: int,
    workers: int,
    layout: Layout,
) -> WorldBank:
    """Worlds `first_seed` to `first_seed + count - 1`; call before CUDA is initialised if `workers` > 1 (they fork)."""
    chunk = max(1, min(256, count))
    jobs = [
        (
            first_seed + i,
            min(chunk, count - i),
            atlas_first_picture,
            pictures,
            gallery_share,
            extra_rooms,
            max_tokens,
            layout,
        )
        for i in range(0, count, chunk)
    ]
    if workers > 1:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            parts = pool.map(_bank_part, jobs)
    else:
        parts = [_bank_part(job) for job in jobs]
    worlds = WorldBatch(*(torch.cat([torch.from_numpy(p[0][f.name]) for p in parts]) for f in fields(WorldBatch)))
    tokens = torch.cat([torch.from_numpy(p[1]) for p in parts])
    captioned = torch.cat([torch.from_numpy(p[2]) for p in parts])
    return WorldBank(worlds, tokens, captioned)


def _bank_part(job: tuple[int, int, int, int, float, float, int, Layout]) -> tuple[dict, np.ndarray, np.ndarray]:
    """One worker's share, as numpy arrays (tensors would be passed between processes by file descriptor)."""
    first, count, first_picture, pictures, gallery_share, extra_rooms, max_tokens, layout = job
    specs = [_spec_of(seed, gallery_share, extra_rooms, layout) for seed in range(first, first + count)]
    worlds = build_worlds(specs, first_picture, pictures, layout)
    texts = ["" if _is_empty_prompt(seed, layout) else phrase(spec) for seed, spec in enumerate(specs, first)]
    captioned = np.array([spec.setting != "gallery" for spec in specs])
    return (
        {f.name: getattr(worlds, f.name).numpy() for f in fields(WorldBatch)},
        token_rows(texts, max_tokens),
        captioned,
    )


def _is_empty_prompt(seed: int, layout: Layout) -> bool:
    return layout.exact and seed % EMPTY_PROMPT_EVERY == 0


def _spec_of(seed: int, gallery_share: float, extra_rooms: float, layout: Layout) -> WorldSpec:
    if _is_empty_prompt(seed, layout):
        return empty_prompt_spec(seed)
    return sample_spec(seed, gallery_share, extra_rooms)


def token_rows(sentences: Sequence[str], length: int) -> np.ndarray:
    """Padded token ids of nano's sentences, with the model's prefix. int32 (N, length)"""
    tokenizer = build_tokenizer()
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=0, pad_token="<pad>")
    return np.array([e.ids for e in tokenizer.encode_batch([TEXT_PREFIX + text for text in sentences])], np.int32)


@dataclass(frozen=True)
class Batch:
    """B scenes of N input frames and E frames in between, in the model's normalised frame.

    Attributes:
        rgb: In [0, 1]. (B, N + E, 3, H, W)
        distance: Along the ray, model units. (B, N, H, W)
        things: Mask of the caption's things. Booleans (B, N + E, H, W)
        cameras: B x N normalised cameras, scene by scene.
        all_vectors: Cameras of all N + E views. (B, N + E, 11)
        divisor: Scene units per model unit. (B,)
        tokens: Token ids of the caption. (B, length)
        captioned: Whether the caption is not empty. (B,)
    """

    rgb: torch.Tensor
    distance: torch.Tensor
    things: torch.Tensor
    cameras: Cameras
    all_vectors: torch.Tensor
    divisor: torch.Tensor
    tokens: torch.Tensor
    captioned: torch.Tensor


class ViewPool:
    """Rendered views of `size` (world, path) pairs for one image size.

    Args:
        bank: Worlds to sample, on the device to render on.
        paths: Paths to sample, same device.
        atlas: Textures, same device.
        height: Image height.
        width: Image width.
        size: Number of entries.
        samples: Rays per pixel along each axis.
        seed: Seed for the choice of worlds, paths and fields of view.
        solids: A compiled `raycast.hit_solids`, or None.
        poses: Number of evenly spaced poses of a path that are rendered, ends included.
        fov_y_deg: Range of the vertical field of view.
        entries_per_cast: Worlds per ray-casting call; divides `size`. The same product of entries and poses in all
            pools avoids recompilation.
    """

    def __init__(
        self, bank: WorldBank, paths: PathBank, atlas: TextureAtlas, height: int, width: int, size: int, *,
        samples: int = 2, seed: int = 0, solids: HitSolids | None = None, poses: int = VIEWS,
        fov_y_deg: tuple[float, float] = FOV_Y_DEG, entries_per_cast: int = 1,
    ) -> None:  # fmt: skip
        if size % entries_per_cast:
            raise ValueError(f"pool: size must be a multiple of {entries_per_cast}, got {size}")
        device = bank.tokens.device
        self.bank, self.paths, self.atlas, self.solids = bank, paths, atlas, solids
        self.height, self.width, self.size, self.samples = height, width, size, samples
        self.poses, self.fov_y_deg, self.entries_per_cast = spread(poses, VIEWS), fov_y_deg, entries_per_cast
        self.generator = torch.Generator().manual_seed(seed)
        self.rgb = torch.empty((size, poses, 3, height, width), dtype=torch.uint8, device=device)
        self.distance = torch.empty((size, poses, height, width), dtype=torch.float16, device=device)
        self.things = torch.empty((size, poses, height, width), dtype=torch.bool, device=device)
        self.vectors = torch.zeros((size, poses, 11), device=device)
        self.world = torch.zeros(size, dtype=torch.long, device=device)
        self.usable = torch.zeros(size, dtype=torch.bool, device=device)
        self.next = 0

    def fill(self, seconds: float = float("inf")) -> int:
        """Render every entry once within the time limit; returns how many. Unrendered entries are never sampled."""
        began, done = time.monotonic(), 0
        while done < self.size and (done == 0 or time.monotonic() - began < seconds):
            self.refresh(self.entries_per_cast)
            done += self.entries_per_cast
            if self.world.device.type == "cuda":
                torch.cuda.synchronize()
        return done

    @torch.no_grad()
    def refresh(self, count: int) -> None:
        """Replace at least `count` of the oldest entries with new pairs, without synchronising with the device."""
        device, part = self.world.device, self.entries_per_cast
        for _ in range(0, count, part):
            slots = torch.arange(part) + self.next
            self.next = (self.next + part) % self.size
            worlds = torch.randint(len(self.bank), (part,), generator=self.generator)
            paths = torch.randint(len(self.paths), (part,), generator=self.generator)
            fov = torch.empty(part).uniform_(*self.fov_y_deg, generator=self.generator)
            slots, worlds, paths, fov = (x.to(device) for x in (slots, worlds, paths, fov))
            rgb, distance, things, vectors = self.render(worlds, paths, fov)
            self.rgb[slots], self.distance[slots], self.things[slots] = rgb, distance, things
            self.vectors[slots], self.world[slots] = vectors, worlds
            self.usable[slots] = distance.amin(dim=(1, 2, 3)) > CLEARANCE

    def render(
        self, worlds: torch.Tensor, paths: torch.Tensor, fov_y_deg: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views of chosen pairs, see `Batch`: RGB uint8, distance float16, things, world cameras (n, V, 11)."""
        chosen = self.bank.worlds[worlds]
        vectors = self.world_cameras(chosen.eye[:, 1], paths, fov_y_deg)
        each = WorldBatch(
            *(getattr(chosen, f.name).repeat_interleave(len(self.poses), dim=0) for f in fields(WorldBatch))
        )
        cameras = Cameras.from_vectors(vectors.flatten(0, 1))
        rgb, distance, things = cast(
            each, cameras, self.atlas, self.height, self.width, samples=self.samples, solids=self.solids
        )
        rgb = (rgb * 255 + 0.5).to(torch.uint8).unflatten(0, (-1, len(self.poses)))
        distance, things = (x.unflatten(0, (-1, len(self.poses))) for x in (distance.to(torch.float16), things))
        return rgb, distance, things, vectors

    def world_cameras(self, pitch: torch.Tensor, paths: torch.Tensor, fov_y_deg: torch.Tensor) -> torch.Tensor:
        """Paths in world axes: the first camera at the origin, pitched. (n, V, 11)"""
        tilt, chosen = quat_from_axis_angle([1.0, 0.0, 0.0], pitch), (paths[:, None], torch.tensor(self.poses))
        quats = quat_multiply(tilt[:, None].expand(-1, len(self.poses), -1), self.paths.quats_wxyz[chosen])
        positions = torch.einsum("nij,nvj->nvi", quat_to_matrix(tilt), self.paths.positions[chosen])
        fy = 0.5 / torch.tan(torch.deg2rad(fov_y_deg) / 2)[:, None] * self.paths.focal_scale[chosen]
        centre = torch.full_like(fy, 0.5)
        lens = torch.stack([fy * self.height / self.width, fy, centre, centre], dim=-1)
        return torch.cat([quats, positions, lens], dim=-1)

    def draw(self, count: int, frames: int, between: int, generator: torch.Generator) -> Batch:
        """Sample a random batch.

        Args:
            count: Number of scenes.
            frames: Input frames per scene, evenly spaced over the path.
            between: Further frames of the path (none remain if `frames` takes all).
            generator: CPU generator.
        """
        weights = self.usable.float() + 1e-8  # never an empty choice, without synchronising with the device
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        on_device = torch.Generator(weights.device).manual_seed(seed)
        slots = torch.multinomial(weights, count, replacement=True, generator=on_device)
        inputs, others = spread_frames(frames, between, len(self.poses), generator)
        views = torch.tensor(inputs + others, device=slots.device)
        vectors, divisor = normalize_batch(self.vectors[slots][:, views], len(inputs))
        distance = self.distance[slots[:, None], views[None, : len(inputs)]].float() / divisor[:, None, None, None]
        worlds = self.world[slots]
        return Batch(
            rgb=self.rgb[slots[:, None], views[None]].float() / 255,
            distance=distance,
            things=self.things[slots[:, None], views[None]],
            cameras=Cameras.from_vectors(vectors[:, : len(inputs)].flatten(0, 1)),
            all_vectors=vectors,
            divisor=divisor,
            tokens=self.bank.tokens[worlds].long(),
            captioned=self.bank.captioned[worlds],
        )


def spread(count: int, among: int) -> list[int]:
    """`count` evenly spaced indices below `among`, ends included."""
    return [round(i * (among - 1) / (count - 1)) for i in range(count)]


def spread_frames(frames: int, between: int, views: int, generator: torch.Generator) -> tuple[list[int], list[int]]:
    """Indices of a path's input frames (evenly spaced, ends included) and of a random choice of the others."""
    inputs = spread(frames, views)
    rest = [v for v in range(views) if v not in inputs]
    order = torch.randperm(len(rest), generator=generator)[:between].tolist()
    return inputs, [rest[i] for i in order]


def normalize_batch(vectors: torch.Tensor, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`cameras.normalize` for B paths at once: only the first `frames` cameras determine the scale.

    Args:
        vectors: World cameras. (B, V, 11)
        frames: Number of input frames.

    Returns:
        Cameras in the model's frames, (B, V, 11), and the divisor of distances, (B,).
    """
    c2w = compose(quat_to_matrix(vectors[..., :4]), vectors[..., 4:7])
    relative = invert_rigid(c2w[:, :1]) @ c2w
    divisor = relative[:, :frames, :3, 3].norm(dim=-1).amax(dim=1) + SCALE_MARGIN
    positions = relative[..., :3, 3] / divisor[:, None, None]
    return torch.cat([matrix_to_quat(relative[..., :3, :3]), positions, vectors[..., 7:]], dim=-1), divisor
