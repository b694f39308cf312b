"""Validation of text conditioning during training: the benchmark's claims and classifier, on other captions."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from flashworld.cameras import Cameras, concatenate, intrinsics_from_fov, normalize
from flashworld.cameras.raymaps import ray_directions
from flashworld.nano.language.phrasing import phrase
from flashworld.nano.training import raycast
from flashworld.nano.training.batches import token_rows
from flashworld.nano.training.builder import build_worlds
from flashworld.nano.training.claims import Claim, claims
from flashworld.nano.training.layouts import exact_layout
from flashworld.nano.training.losses import psnr
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.rasterize import Rasterizer
from flashworld.nano.training.specs import sample_spec
from flashworld.nano.training.unroll import Computing
from flashworld.nano.training.unseen import FOV_Y_DEG, ORBIT, first_camera
from flashworld.nano.training.validation import generate, save_sheet
from flashworld.nano.training.worlds import SKY_DISTANCE
from flashworld.trajectories import build_trajectory

AT_ONCE = 16
"""Batch size of generation."""
CAST_AT_ONCE = 4
SHEET_ROWS = 12


class WordCheck:
    """Captions with their claims and the ground-truth first view.

    Args:
        first_seed: First seed of the captions' worlds.
        count: Number of captions.
        atlas: Textures; its images are not used.
        height: Image height.
        width: Image width.
        frames: Views to generate.
        max_tokens: Maximum tokens of a sentence.
    """

    def __init__(
        self, first_seed: int, count: int, atlas: TextureAtlas, height: int, width: int, frames: int, max_tokens: int
    ) -> None:
        device = atlas.texels.device
        self.height, self.width = height, width
        specs = [sample_spec(first_seed + i, gallery_share=0.0) for i in range(count)]
        worlds = build_worlds(specs, atlas.first_picture, 1, exact_layout(height, width)).to(device)
        lens = intrinsics_from_fov(FOV_Y_DEG, height, width)
        cameras = concatenate([first_camera(worlds[i : i + 1].to("cpu"), lens) for i in range(count)]).to(device)
        self.truth = torch.cat([
            raycast.cast(worlds[i : i + CAST_AT_ONCE], cameras[i : i + CAST_AT_ONCE], atlas, height, width, samples=2)[0]
            for i in range(0, count, CAST_AT_ONCE)
        ])  # fmt: skip
        self.claims: list[list[Claim]] = []
        for i, spec in enumerate(specs):
            rays = ray_directions(cameras[i : i + 1], height, width).flatten(1, 2)
            origin = cameras.positions[i : i + 1, None]
            distance, surface, _, _ = raycast.nearest_hit(worlds[i : i + 1], origin, rays, raycast.hit_solids)
            surface = torch.where(distance >= SKY_DISTANCE, -1, surface).view(height, width).cpu()
            self.claims.append(claims(spec, worlds[i : i + 1].to("cpu"), as_frames(self.truth[i]), surface))
        self.tokens = torch.from_numpy(token_rows([phrase(spec) for spec in specs], max_tokens)).long().to(device)
        path = build_trajectory("orbit_right", frames=frames, intrinsics=lens, **ORBIT)
        self.path = normalize(path)[0].to_vectors()

    @torch.no_grad()
    def __call__(self, model: Computing, rasterize: Rasterizer, sheet: Path | None = None) -> dict[str, float]:
        """Shares of claims that hold, by kind, and PSNR of first views against the ground truth."""
        device, shown = self.truth.device, []
        for start in range(0, len(self.truth), AT_ONCE):
            tokens = self.tokens[start : start + AT_ONCE]
            count = len(tokens)
            cameras = Cameras.from_vectors(self.path.repeat(count, 1)).to(device)
            blank = torch.zeros((count, 3, self.height, self.width), device=device)
            blind = torch.zeros(count, dtype=torch.bool, device=device)
            output = generate(model, cameras, blank, 0, blind, tokens, rasterize)
            first = Cameras.from_vectors(self.path[[0, -1]].repeat(count, 1)).to(device)
            shown.append(rasterize(output.scenes, first, count, self.height, self.width)[0])
        pictures = torch.cat(shown)
        found = defaultdict(list)
        for i, asked in enumerate(self.claims):
            frame = as_frames(pictures[i, 0])
            for claim in asked:
                found[claim.kind].append(claim.holds(frame))
        if sheet is not None:
            save_sheet(sheet, torch.cat([pictures, self.truth[:, None]], dim=1)[:SHEET_ROWS])
        every = [ok for kind in found.values() for ok in kind]
        numbers = {f"found_{kind}": float(np.mean(oks)) for kind, oks in found.items()}
        return numbers | {"found": float(np.mean(every)), "words_psnr": float(psnr(pictures[:, 0], self.truth).mean())}


def as_frames(picture: torch.Tensor) -> np.ndarray:
    """Convert [0, 1] (3, H, W) to uint8 (H, W, 3)."""
    return (picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
