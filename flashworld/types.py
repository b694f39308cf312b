"""Axis glossary and tensor aliases. Aliases document shape and nature; they are not checked at run time.

Axes
    OpenGL  x right, y up, looking along -z. Requests, raymaps, `Cameras` and `Gaussians` use these.
    OpenCV  x right, y down, looking along +z. Only the renderers and PLY files use these.
Letters
    B batch, T frames in latent time, N cameras (= frames) or Gaussians, H W image rows and columns,
    h w latent rows and columns (H / 16, W / 16), K spherical-harmonic coefficients.
Image sizes are always (height, width).
"""

from __future__ import annotations

import numpy as np
import torch

Transforms = torch.Tensor
"""Rigid transforms, (..., 4, 4)."""
Quaternions = torch.Tensor
"""Quaternions, real part first (w, x, y, z), (..., 4)."""
Intrinsics = torch.Tensor
"""fx, fy, cx, cy divided by image width, height, width, height, (..., 4)."""
Raymap = torch.Tensor
"""Unit ray direction, then the point of the ray's line closest to the origin, (N, 6, h, w)."""
Latents = torch.Tensor
"""VAE latents, normalised unless named `raw_latents`, (B, C, T, h, w)."""
Images = torch.Tensor
"""RGB in [-1, 1], channel first, (N, 3, H, W)."""
Frame = np.ndarray
"""RGB picture, uint8, (H, W, 3)."""
