"""Colours, materials and the texture atlas of nano's procedural worlds.

A surface's albedo is `low + texture * (high - low)` per channel: pattern textures are grey masks that mix two shades,
images (photographs, dead leaves) are used unchanged with low = 0 and high = 1. All textures are square, use mirrored
repeat addressing, and are stored as a flat mip pyramid so that a lookup takes four gathers on any device.

Numerics: float32 texels in [0, 1]; the atlas may be stored in float16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.82, 0.12, 0.10),
    "orange": (0.95, 0.50, 0.08),
    "yellow": (0.95, 0.85, 0.15),
    "green": (0.16, 0.62, 0.18),
    "cyan": (0.15, 0.75, 0.78),
    "blue": (0.14, 0.28, 0.82),
    "purple": (0.48, 0.18, 0.68),
    "pink": (0.95, 0.50, 0.68),
    "brown": (0.45, 0.27, 0.13),
    "black": (0.07, 0.07, 0.08),
    "white": (0.93, 0.93, 0.92),
    "grey": (0.50, 0.50, 0.51),
}
"""Named albedos; the names are used in captions and by the colour classifier."""


@dataclass(frozen=True)
class Material:
    """Appearance of a surface.

    Attributes:
        pattern: Name of the mask texture.
        contrast: Relative darkening where the mask is 1.
        tile: Scene units one texture covers.
        colour: Fixed colour; None: variable.
    """

    pattern: str
    contrast: float
    tile: float
    colour: tuple[float, float, float] | None = None


MATERIALS: dict[str, Material] = {
    "plain": Material("flat", 0.0, 1.0),
    "rough": Material("cloud", 0.22, 0.7),
    "striped": Material("stripes", 0.45, 0.6),
    "dotted": Material("dots", 0.5, 0.5),
    "checkered": Material("checker", 0.45, 0.9),
    "grass": Material("grain", 0.45, 0.5, (0.25, 0.60, 0.16)),
    "sand": Material("cloud", 0.25, 0.6, (0.88, 0.76, 0.48)),
    "snow": Material("cloud", 0.12, 0.9, (0.93, 0.94, 0.97)),
    "stone": Material("cells", 0.40, 0.8, (0.54, 0.53, 0.52)),
    "dirt": Material("grain", 0.40, 0.7, (0.45, 0.30, 0.17)),
    "water": Material("waves", 0.35, 0.8, (0.14, 0.38, 0.68)),
    "wood": Material("planks", 0.40, 1.0, (0.58, 0.37, 0.19)),
    "tiles": Material("tiles", 0.40, 0.8),
    "carpet": Material("grain", 0.25, 0.5),
    "brick": Material("bricks", 0.38, 0.8),
    "leaves": Material("grain", 0.5, 0.35, (0.15, 0.50, 0.14)),
    "roof": Material("stripes", 0.25, 0.5, (0.62, 0.25, 0.18)),
    "rock": Material("cloud", 0.35, 2.5, (0.47, 0.47, 0.50)),
    "asphalt": Material("grain", 0.20, 0.6, (0.28, 0.28, 0.30)),
    "glass": Material("flat", 0.0, 1.0, (0.70, 0.86, 0.97)),
    "bark": Material("planks", 0.5, 0.3, (0.40, 0.25, 0.13)),
}
NATURAL = ("cloud", "grain", "cells", "waves", "sky")
PATTERNS = ("flat", *NATURAL, "stripes", "dots", "checker", "planks", "tiles", "bricks")
PATTERN_VARIANTS = 3


@dataclass(frozen=True)
class TextureAtlas:
    """Mip pyramids of `count` square textures in one flat list of texels.

    Attributes:
        texels: RGB, level by level, texture by texture, row by row. (total, 3)
        count: Textures.
        size: Side of level 0 in texels, a power of two.
        levels: Mip levels stored; the last one is `size >> (levels - 1)` wide.
        first_picture: Index of the first image texture; those before are patterns, PATTERN_VARIANTS of each.
    """

    texels: torch.Tensor
    count: int
    size: int
    levels: int
    first_picture: int

    def lookup(self, index: torch.Tensor, u: torch.Tensor, v: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Bilinear lookup; `u`, `v` in texture widths, any value; `level` any float. (..., 3)"""
        level = level.round().clamp(0, self.levels - 1).long()
        side = torch.bitwise_right_shift(torch.full_like(level, self.size), level)
        # texels before level L: count * size^2 * (1 + 1/4 + ... ) = count * 4 (size^2 - side^2) / 3
        base = self.count * ((self.size * self.size - side * side) * 4 // 3) + index * side * side
        x, y = (mirror(u) * side - 0.5), (mirror(v) * side - 0.5)
        x0, y0 = x.floor(), y.floor()
        fx, fy = (x - x0)[..., None], (y - y0)[..., None]
        limit = side - 1
        left, right = torch.minimum(x0.clamp(min=0).long(), limit), torch.minimum(x0.long() + 1, limit)
        top, bottom = torch.minimum(y0.clamp(min=0).long(), limit), torch.minimum(y0.long() + 1, limit)
        upper = torch.lerp(self._at(base + top * side + left), self._at(base + top * side + right), fx)
        lower = torch.lerp(self._at(base + bottom * side + left), self._at(base + bottom * side + right), fx)
        return torch.lerp(upper, lower, fy)

    def _at(self, texel: torch.Tensor) -> torch.Tensor:
        return self.texels[texel].float()


def mirror(x: torch.Tensor) -> torch.Tensor:
    """Mirrored repeat of any number into [0, 1]."""
    folded = x - 2 * torch.floor(x / 2)
    return torch.where(folded > 1, 2 - folded, folded)


def build_atlas(
    pictures: torch.Tensor, *, size: int, seed: int, device: torch.device | str, dtype: torch.dtype = torch.float16
) -> TextureAtlas:
    """Build an atlas of pattern masks and the given images.

    Args:
        pictures: RGB in [0, 1], side `size`. (count, 3, size, size)
        size: Power of two.
        seed: Seed of the random patterns.
        device: Device of the texels.
        dtype: Dtype of the texels.
    """
    generator = torch.Generator().manual_seed(seed)
    masks = [pattern(name, size, generator) for name in PATTERNS for _ in range(PATTERN_VARIANTS)]
    stacked = torch.cat([torch.stack(masks)[:, None].expand(-1, 3, -1, -1), pictures.cpu().float()]).to(device)
    levels = max(1, int(math.log2(size)) - 2)
    flat, current = [], stacked
    for _ in range(levels):
        flat.append(current.movedim(1, -1).reshape(-1, 3).to(dtype))
        current = F.avg_pool2d(current, 2)
    return TextureAtlas(torch.cat(flat), len(stacked), size, levels, len(masks))


def pattern_index(name: str, variant: int) -> int:
    """Index of a pattern's variant in the atlas."""
    return PATTERNS.index(name) * PATTERN_VARIANTS + variant % PATTERN_VARIANTS


def pattern(name: str, size: int, generator: torch.Generator) -> torch.Tensor:
    """Generate one mask in [0, 1]. (size, size)"""
    axis = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return _natural(name, x, y, size, generator) if name in NATURAL else _built(name, x, y, size, generator)


def _natural(name: str, x: torch.Tensor, y: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Noise-based masks."""

    def fractal(slope: float) -> torch.Tensor:
        return spectral_noise(1, size, slope, generator)[0, 0]

    if name == "cloud":
        return fractal(2.0)
    if name == "grain":
        return 0.5 * fractal(0.8) + 0.5 * fractal(2.0)
    if name == "sky":
        return ((fractal(2.6) - 0.45) * 3).clamp(0, 1)
    if name == "waves":
        return 0.5 + 0.5 * torch.sin(2 * math.pi * (5 * y + 1.2 * fractal(2.2)))
    return _cells(x, y, 14, generator) * 0.7 + 0.3 * fractal(1.5)


def _built(name: str, x: torch.Tensor, y: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Geometric masks."""
    soft = 12.0  # edge width: about a texel at level 0
    if name == "stripes":
        return torch.sigmoid(soft * torch.sin(2 * math.pi * 3 * x))
    if name == "dots":
        return torch.sigmoid(soft * (0.2 - torch.hypot((x * 3 % 1) - 0.5, (y * 3 % 1) - 0.5)) * 4)
    if name == "checker":
        return torch.sigmoid(soft * torch.sin(2 * math.pi * 1.5 * x) * torch.sin(2 * math.pi * 1.5 * y))
    if name == "planks":
        boards = torch.rand(8, generator=generator)[(y * 8).long().clamp(max=7)]
        veins = spectral_noise(1, size, 1.6, generator, stretch=8.0)[0, 0]
        return (0.45 * boards + 0.35 * veins + _joints(y * 8)).clamp(0, 1)
    if name == "tiles":
        shade = torch.rand(4, 4, generator=generator)[(y * 4).long().clamp(max=3), (x * 4).long().clamp(max=3)]
        return (0.35 * shade + torch.maximum(_joints(x * 4), _joints(y * 4))).clamp(0, 1)
    if name == "bricks":
        row = (y * 8).long()
        along = x * 4 + 0.5 * (row % 2)
        shade = torch.rand(8, 5, generator=generator)[row.clamp(max=7), along.long().clamp(max=4)]
        return (0.5 * shade + torch.maximum(_joints(along), _joints(y * 8))).clamp(0, 1)
    return torch.zeros(size, size)


def _joints(along: torch.Tensor) -> torch.Tensor:
    """A thin anti-aliased line at every integer."""
    return torch.exp(-((((along + 0.5) % 1) - 0.5) ** 2) / 0.004) * 0.8


def _cells(x: torch.Tensor, y: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Worley cells: dark borders between stones of different shade."""
    points = torch.rand(count * 2, 2, generator=generator)
    shades = torch.rand(count * 2, generator=generator)
    distance = torch.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    nearest = distance.topk(2, dim=-1, largest=False)
    border = torch.exp(-(nearest.values[..., 1] - nearest.values[..., 0]) / 0.02)
    return (0.5 * shades[nearest.indices[..., 0]] + border).clamp(0, 1)


def spectral_noise(
    count: int, size: int, slope: float, generator: torch.Generator, *, channels: int = 1, stretch: float = 1.0
) -> torch.Tensor:
    """Noise with amplitude falling as frequency^(-slope / 2 - 0.5), spread over [0, 1]. (count, channels, size, size)"""
    rows = torch.fft.fftfreq(size)[:, None]
    columns = torch.fft.rfftfreq(size)[None, :] * stretch
    radius = torch.hypot(rows, columns).clamp(min=1.0 / size)
    noise = torch.randn(count, channels, size, size, generator=generator)
    spectrum = torch.fft.rfft2(noise) * radius ** (-(slope / 2 + 0.5))
    spectrum[..., 0, 0] = 0
    field = torch.fft.irfft2(spectrum, s=(size, size))
    field = field / field.std(dim=(-1, -2), keepdim=True)
    return (0.5 + 0.22 * field).clamp(0, 1)
