"""gsplat, where gradients are needed or the custom kernels cannot run; the only file that imports it.

One rasterization call for several views keeps the GPU busy. Colours are computed view by view from one table of
coefficients: gsplat itself would first copy the table for every view (3.5 GB for 8 views of 4 million Gaussians).
Differentiable with respect to the scene; callers that need no gradients disable them.

Numerics: float32 throughout; gsplat compiles with fast math, so images differ from the CPU's by rounding and, where
a value sits on a threshold, by one Gaussian's 1/255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from flashworld.errors import DependencyError
from flashworld.gaussians import Gaussians
from flashworld.rendering.gsplat_compat import kernel_library
from flashworld.rendering.views import Rendering, Views

GSPLAT = "gsplat==1.5.3"


def load_gsplat() -> Any:  # noqa: ANN401 - a module that may not be installed
    """gsplat, its kernels loaded (without a prebuilt wheel this compiles them, once).

    Raises:
        DependencyError: gsplat is not installed, or has no compiled kernels and cannot compile them.
    """
    try:
        import gsplat

        library = kernel_library()
    except (ImportError, RuntimeError, OSError) as error:  # a failed compilation raises the last two
        raise DependencyError(f"rendering on a GPU needs gsplat: pip install {GSPLAT} ({error})") from error
    if library is None:
        raise DependencyError(
            f"rendering on a GPU needs gsplat's compiled kernels: install a wheel that holds them, or nvcc, then "
            f"pip install {GSPLAT}"
        )
    return gsplat


def without_broken_gaussians(scene: Gaussians) -> Gaussians:
    """The scene in contiguous float32; Gaussians with NaN or infinity are made transparent, which gsplat skips."""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    means, quats, scales, opacities, sh = (field.float() for field in fields)
    with torch.no_grad():  # a sum is finite if its terms are; no copy of the scene is made
        total = means.sum(1) + quats.sum(1) + scales.sum(1) + opacities + sh.sum((1, 2))
        finite = torch.isfinite(total)
    opacities = torch.where(finite, opacities, torch.zeros_like(opacities))
    # SH too: a slice of the decoder's output would be copied again for every view.
    return Gaussians(means.contiguous(), quats.contiguous(), scales.contiguous(), opacities, sh.contiguous())


def rasterize(
    gsplat: Any,  # noqa: ANN401 - a module that may not be installed
    scene: Gaussians,
    views: Views,
    batch: slice,
    want_depth: bool,
) -> Rendering:
    """One gsplat call, which cannot take an empty scene. Gradients flow to all fields of the scene."""
    device = scene.means.device
    w2c, centers = sent(views.w2c[batch], device), sent(views.centers[batch], device)
    colors, alpha, _ = gsplat.rasterization(
        means=scene.means,
        quats=scene.quats_wxyz,
        scales=scene.scales,
        opacities=scene.opacities,
        colors=torch.stack([colors_from(gsplat, scene, center) for center in centers]),
        viewmats=w2c,
        Ks=sent(views.K_px[batch], device),
        width=views.width,
        height=views.height,
        near_plane=views.near,
        far_plane=views.far,
        backgrounds=filled(views.background, w2c[:, 0, 0]),
        packed=False,  # faster, and the packed path does not accept backgrounds of this shape
        render_mode="RGB+D" if want_depth else "RGB",  # gsplat adds no background to depth
        rasterize_mode="classic",
    )
    return Rendering(colors[..., :3], alpha[..., 0], colors[..., 3] if want_depth else None)


def colors_from(gsplat: Any, scene: Gaussians, center: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """The colour of each Gaussian from a camera centre, clamped at 0 as in gsplat. (N, 3)"""
    return (gsplat.spherical_harmonics(scene.sh_degree, scene.means - center, scene.sh) + 0.5).clamp_min(0.0)


def sent(matrices: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Float32 on the device, copied asynchronously: a copy from pageable memory would wait for the device."""
    matrices = matrices.to(torch.float32)
    return (
        matrices.pin_memory().to(device, non_blocking=True)
        if device.type == "cuda" != matrices.device.type
        else matrices
    )


def filled(color: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """One colour for every element of `like`, on its device. (..., 3)"""
    return torch.stack([torch.full_like(like, value) for value in color], dim=-1)
