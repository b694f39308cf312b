"""Validation during training: the full four-step loop on held-out worlds, photographs and captions.

The metrics guide training; the benchmark is `evaluate`. Images go to one contact sheet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flashworld.cameras import Cameras, intrinsics_from_fov, normalize
from flashworld.config import GAUSSIANS_PER_PIXEL
from flashworld.models.gaussian_decoder import FIELDS
from flashworld.nano.training.batches import Batch
from flashworld.nano.training.losses import psnr
from flashworld.nano.training.rasterize import Rasterizer
from flashworld.nano.training.unroll import Computing, StepOutput, conditions, run_step, unroll
from flashworld.sampling import STEPS
from flashworld.trajectories import build_trajectory

SHEET_ROWS = 8
SHEET_QUALITY = 88


@torch.no_grad()
def generate(
    model: Computing,
    cameras: Cameras,
    images: torch.Tensor,
    image_index: int,
    has_image: torch.Tensor,
    tokens: torch.Tensor,
    rasterize: Rasterizer,
) -> StepOutput:
    """Run the four steps for a batch: images (B, 3, H, W) in [0, 1], caption tokens (B, length)."""  # fmt: skip
    index = torch.full((len(images),), image_index, device=images.device)
    given = conditions(model, cameras, images * 2 - 1, index, has_image, model.text(tokens))
    return run_step(model, given, unroll(model, given, STEPS - 1, rasterize), STEPS - 1)


@torch.no_grad()
def validate_worlds(
    model: Computing, batch: Batch, empty: torch.Tensor, rasterize: Rasterizer, sheet: Path | None
) -> dict[str, float]:
    """Image-only generation from the first frame of each scene; empty caption tokens (length,)."""
    count, height, width = batch.rgb.shape[0], *batch.rgb.shape[-2:]
    frames = len(batch.cameras) // count
    yes = torch.ones(count, dtype=torch.bool, device=batch.rgb.device)
    output = generate(model, batch.cameras, batch.rgb[:, 0], 0, yes, empty.expand(count, -1), rasterize)
    every = Cameras.from_vectors(batch.all_vectors.flatten(0, 1))
    rgb, alpha = rasterize(output.scenes, every, count, height, width)
    quality = psnr(rgb, batch.rgb)
    points = output.maps.unflatten(1, (GAUSSIANS_PER_PIXEL, -1))
    seen = points[:, 0, sum(FIELDS[:2])].exp().unflatten(0, (count, -1))
    error = (seen / batch.distance[:, :, ::2, ::2] - 1).abs()
    if sheet is not None:
        columns = [batch.rgb[:, 0], rgb[:, 0]]
        for view in (frames // 2, frames - 1, frames):
            columns += [batch.rgb[:, min(view, batch.rgb.shape[1] - 1)], rgb[:, min(view, batch.rgb.shape[1] - 1)]]
        save_sheet(sheet, torch.stack(columns, dim=1)[:SHEET_ROWS])
    opacity = points[:, :, sum(FIELDS[:3])].sigmoid()
    return {
        "input": float(quality[:, 0].mean()),
        "path": float(quality[:, 1:frames].mean()),
        "between": float(quality[:, frames:].mean()) if quality.shape[1] > frames else float("nan"),
        "depth_error": float(error.median()),
        "alpha": float(alpha.mean()),
        "visible": float((opacity > 1 / 255).float().mean()),
    }


@torch.no_grad()
def validate_photos(
    model: Computing,
    photos: Mapping[str, Image.Image],
    empty: torch.Tensor,
    height: int,
    width: int,
    rasterize: Rasterizer,
    sheet: Path | None,
) -> dict[str, float]:
    """Held-out photographs, evaluated at the input view; all use the same default orbit."""
    if not photos:
        return {}
    device = empty.device
    pictures = torch.stack([fit_photo(photo, height, width) for photo in photos.values()]).to(device)
    frames, count = model.config.frames, len(photos)
    path, _ = normalize(
        build_trajectory("orbit_right", frames=frames, intrinsics=intrinsics_from_fov(55.0, height, width))
    )
    cameras = Cameras.from_vectors(path.to_vectors().repeat(count, 1)).to(device)
    yes = torch.ones(count, dtype=torch.bool, device=device)
    output = generate(model, cameras, pictures, 0, yes, empty.expand(count, -1), rasterize)
    rgb, _ = rasterize(output.scenes, cameras, count, height, width)
    if sheet is not None:
        save_sheet(sheet, torch.stack([pictures, *(rgb[:, i] for i in (0, frames // 2, frames - 1))], dim=1))
    quality = psnr(rgb[:, 0], pictures)
    numbers = {f"photo_{name}": float(q) for name, q in zip(photos, quality, strict=True)}
    return numbers | {"photos": float(quality.mean())}


def fit_photo(photo: Image.Image, height: int, width: int) -> torch.Tensor:
    """Centre-crop to the aspect ratio and resize, like the model's preprocessing. (3, H, W) in [0, 1]"""
    scale = max(height / photo.height, width / photo.width)
    rows, columns = int(height / scale), int(width / scale)
    left, top = (photo.width - columns) // 2, (photo.height - rows) // 2
    cut = photo.crop((left, top, left + columns, top + rows)).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(cut).copy()).movedim(-1, 0).float() / 255


def save_sheet(path: Path, pictures: torch.Tensor) -> None:
    """Write a grid of images in [0, 1] as one JPEG. (R, C, 3, H, W)"""
    rows, columns, _, height, width = pictures.shape
    grid = pictures.clamp(0, 1).permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grid * 255 + 0.5).byte().cpu().numpy()).save(path, quality=SHEET_QUALITY)
