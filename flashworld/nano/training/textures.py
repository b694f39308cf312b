"""Images for nano's texture atlas: crops of photographs, dead-leaves images and coloured noise.

Dead leaves (random opaque shapes lying over one another, sizes by a power law) share the edge statistics of natural
images, so a small autoencoder trained on them also generalises to photographs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from flashworld.nano.training.materials import spectral_noise

LEAVES = 500
"""Shapes per image."""


def picture_bank(
    photos: dict[str, Image.Image], *, count: int, size: int, seed: int, device: torch.device | str
) -> torch.Tensor:
    """A mixed set of square images in [0, 1]: 30 % photographs, 50 % dead leaves, 20 % noise. (count, 3, size, size)

    Args:
        photos: Sources of the crops; may be empty (dead leaves then take their share).
        count: Total number of images.
        size: Side in pixels.
        seed: Random seed.
        device: Device on which dead leaves are rendered, and of the result.
    """
    generator = torch.Generator().manual_seed(seed)
    noisy = count // 5
    cropped = count * 3 // 10 if photos else 0
    slopes = torch.empty(noisy).uniform_(0.8, 2.6, generator=generator).tolist()
    noise = [muted_noise(1, size, slope, generator)[0] for slope in slopes]
    noise = torch.stack([recolour(n, generator) for n in noise]) if noise else torch.empty(0, 3, size, size)
    sources = [np.asarray(photos[name]) for name in sorted(photos)]
    crops = [random_crop(sources[i % len(sources)], size, generator) for i in range(cropped)]
    crops = torch.stack(crops) if crops else torch.empty(0, 3, size, size)
    leaves = dead_leaves(count - noisy - cropped, size, generator, device)
    return torch.cat([crops.to(device), leaves, noise.to(device)])


def random_crop(photo: np.ndarray, size: int, generator: torch.Generator) -> torch.Tensor:
    """A crop of random scale, mirrored, rotated and recoloured. (3, size, size)"""
    height, width = photo.shape[:2]
    draw = torch.rand(4, generator=generator).tolist()
    side = int(min(height, width) * (0.35 + 0.65 * draw[0]))
    top, left = int(draw[1] * (height - side)), int(draw[2] * (width - side))
    crop = Image.fromarray(photo[top : top + side, left : left + side]).resize((size, size), Image.Resampling.BICUBIC)
    crop = torch.from_numpy(np.asarray(crop).copy()).movedim(-1, 0).float() / 255
    turned = torch.rot90(crop, int(draw[3] * 4), dims=(1, 2))
    return recolour(turned.flip(-1) if int(draw[3] * 8) % 2 else turned, generator)


def recolour(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Randomly mix channels and change contrast and brightness. (3, H, W)"""
    mix = torch.eye(3) + torch.empty(3, 3).uniform_(-0.4, 0.4, generator=generator)
    mix = mix / mix.sum(dim=1, keepdim=True).clamp(min=0.3)
    contrast, brightness = torch.empty(2).uniform_(0.6, 1.2, generator=generator).tolist()
    grey = 0.5 + (brightness - 0.9) * 0.4
    tint = torch.empty(3, 1, 1).uniform_(0.75, 1.05, generator=generator)
    return (((torch.einsum("ij,jhw->ihw", mix, picture) - 0.5) * contrast + grey) * tint).clamp(0, 1)


def muted_noise(count: int, size: int, slope: float, generator: torch.Generator) -> torch.Tensor:
    """Noise with correlated channels, as in photographs. (count, 3, size, size)"""
    grey = spectral_noise(count, size, slope, generator)
    colour = spectral_noise(count, size, slope, generator, channels=3)
    return 0.5 + 0.85 * (grey - 0.5) + 0.3 * (colour - 0.5)


def dead_leaves(count: int, size: int, generator: torch.Generator, device: torch.device | str) -> torch.Tensor:
    """Dead-leaves images: ellipses and boxes with gradients and grain, drawn back to front. (count, 3, size, size)"""
    axis = (torch.arange(size, device=device) + 0.5) / size
    y, x = axis[None, :, None], axis[None, None, :]
    base = torch.rand(count, 3, 1, 1, generator=generator).to(device)
    picture = base.expand(-1, -1, size, size).clone()
    grain = muted_noise(4, size, 1.4, generator).to(device) - 0.5
    for _ in range(LEAVES):
        draw = torch.rand(count, 16, generator=generator).to(device)
        radius = 0.02 / (1 - 0.96 * draw[:, 0]).clamp(min=0.05)  # a power law from 2 % to 40 % of the side
        turn = draw[:, 3] * math.pi
        dx, dy = x - (draw[:, 1] * 1.2 - 0.1)[:, None, None], y - (draw[:, 2] * 1.2 - 0.1)[:, None, None]
        cosine, sine = turn.cos()[:, None, None], turn.sin()[:, None, None]
        u = (cosine * dx + sine * dy) / radius[:, None, None]
        v = (cosine * dy - sine * dx) / (radius * (0.3 + 0.7 * draw[:, 4]))[:, None, None]
        distance = torch.where((draw[:, 5] < 0.5)[:, None, None], torch.hypot(u, v), torch.maximum(u.abs(), v.abs()))
        softness = 2.0 / (size * radius)[:, None, None]
        cover = ((1 - distance) / softness + 0.5).clamp(0, 1)[:, None]
        colour = draw[:, 6:9, None, None] + 0.25 * (draw[:, 9:12, None, None] - 0.5) * u[:, None]
        texture = grain[(draw[:, 12] * 4).long().clamp(max=3)] * (0.8 * draw[:, 13] ** 2)[:, None, None, None]
        muted = torch.lerp(
            colour.mean(dim=1, keepdim=True), colour, (0.1 + 0.75 * draw[:, 14] ** 2)[:, None, None, None]
        )
        picture = torch.lerp(picture, muted + texture, cover)
    return F.avg_pool2d(F.pad(picture, (0, 1, 0, 1), mode="replicate"), 2, stride=1).clamp(0, 1)
