"""The renderer on an NVIDIA GPU: gsplat, the only file that imports it.

Views go through in batches: one rasterization call for several views keeps the GPU busy (4 million Gaussians at
480 x 704 on an H200: 3.6 ms a view alone, 2.5 ms in batches of 8), and a bound on views x Gaussians bounds memory.
Colours are computed view by view from the one table of coefficients: gsplat itself would first write a copy of the
table for every view (3.5 GB for 8 views of 4 million Gaussians).
Differentiable with respect to the scene; callers that want no gradients say so themselves.

Numerics: float32 throughout; gsplat compiles with fast math, so pictures differ from the CPU's by rounding and, where
a value sits on a threshold, by one Gaussian's 1/255.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from flashworld.errors import DependencyError
from flashworld.gaussians import Gaussians
from flashworld.rendering.views import Rendering, Views

GSPLAT = "gsplat==1.5.3"
MAX_PROJECTIONS = 8 * 4_055_040
"""Views x Gaussians in one call: batches of 8 for a full-size scene, which keep the GPU busy within a few GiB."""
MAX_VIEWS = 32
"""Views in one call, however small the scene: more bring no speed."""


def render(scene: Gaussians, views: Views, *, want_depth: bool) -> Rendering:
    """Rasterize every view. Gaussians that are not finite are left out. Gradients flow to all fields of the scene.

    Raises:
        DependencyError: gsplat is not installed, or has no compiled kernels and no way to compile them.
    """
    gsplat = _load_gsplat()
    scene = _without_broken_gaussians(scene)
    parts = [_rasterize(gsplat, scene, views, batch, want_depth) for batch in _batches(len(scene), len(views))]
    if len(parts) == 1:
        return parts[0]
    depths = [part.depth for part in parts if part.depth is not None]
    return Rendering(
        rgb=torch.cat([part.rgb for part in parts]),
        alpha=torch.cat([part.alpha for part in parts]),
        depth=torch.cat(depths) if want_depth else None,
    )


def stream(scene: Gaussians, views: Views, *, want_depth: bool) -> Iterator[Rendering]:
    """Rasterize views in order, a batch at a time, without gradients.

    Raises:
        DependencyError: as `render`.
    """
    gsplat = _load_gsplat()
    with torch.no_grad():
        scene = _without_broken_gaussians(scene)

    def batches() -> Iterator[Rendering]:
        for batch in _batches(len(scene), len(views)):
            with torch.no_grad():  # not across the yield: it would leak into the caller
                part = _rasterize(gsplat, scene, views, batch, want_depth)
            yield part

    return batches()


def _load_gsplat() -> Any:  # noqa: ANN401 - a module that may not be installed
    """gsplat, its kernels loaded (without a prebuilt wheel this compiles them, once)."""
    try:
        import gsplat
        from gsplat.cuda import _backend
    except (ImportError, RuntimeError, OSError) as error:  # a failed compilation raises the last two
        raise DependencyError(f"rendering on a GPU needs gsplat: pip install {GSPLAT} ({error})") from error
    if _backend._C is None:
        raise DependencyError(
            f"rendering on a GPU needs gsplat's compiled kernels: install a wheel that holds them, or nvcc, then "
            f"pip install {GSPLAT}"
        )
    return gsplat


def _without_broken_gaussians(scene: Gaussians) -> Gaussians:
    """The scene in contiguous float32, Gaussians holding NaN or infinity made transparent: gsplat skips those."""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    means, quats, scales, opacities, sh = (field.float() for field in fields)
    with torch.no_grad():  # a sum is finite if its terms are; no copy of the scene is made
        total = means.sum(1) + quats.sum(1) + scales.sum(1) + opacities + sh.sum((1, 2))
        finite = torch.isfinite(total)
    opacities = torch.where(finite, opacities, torch.zeros_like(opacities))
    # SH too: a slice of the decoder's output would be copied again for every view.
    return Gaussians(means.contiguous(), quats.contiguous(), scales.contiguous(), opacities, sh.contiguous())


def _batches(gaussians: int, views: int) -> list[slice]:
    """Views to render together, in order."""
    size = max(1, min(MAX_VIEWS, MAX_PROJECTIONS // max(1, gaussians)))
    return [slice(start, min(start + size, views)) for start in range(0, views, size)]


def _rasterize(
    gsplat: Any,  # noqa: ANN401 - a module that may not be installed
    scene: Gaussians,
    views: Views,
    batch: slice,
    want_depth: bool,
) -> Rendering:
    """One gsplat call, which cannot take an empty scene."""
    device = scene.means.device
    w2c = _sent(views.w2c[batch], device)
    if len(scene) == 0:
        alpha = w2c.new_zeros(len(w2c), views.height, views.width)
        rgb = _filled(views.background, alpha)
        return Rendering(rgb, alpha, torch.zeros_like(alpha) if want_depth else None)
    centers = _sent(views.centers[batch], device)
    colors, alpha, _ = gsplat.rasterization(
        means=scene.means,
        quats=scene.quats_wxyz,
        scales=scene.scales,
        opacities=scene.opacities,
        colors=torch.stack([_colors(gsplat, scene, center) for center in centers]),
        viewmats=w2c,
        Ks=_sent(views.K_px[batch], device),
        width=views.width,
        height=views.height,
        near_plane=views.near,
        far_plane=views.far,
        backgrounds=_filled(views.background, w2c[:, 0, 0]),
        packed=False,  # faster here, and the packed path refuses backgrounds of this shape
        render_mode="RGB+D" if want_depth else "RGB",  # gsplat gives depth no background
        rasterize_mode="classic",
    )
    return Rendering(colors[..., :3], alpha[..., 0], colors[..., 3] if want_depth else None)


def _colors(gsplat: Any, scene: Gaussians, center: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """What each Gaussian looks like from a camera centre, as gsplat has it: not below 0. (N, 3)"""
    return (gsplat.spherical_harmonics(scene.sh_degree, scene.means - center, scene.sh) + 0.5).clamp_min(0.0)


def _sent(matrices: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Float32 on the device, without waiting for what the device is doing, as a copy from ordinary memory would."""
    matrices = matrices.to(torch.float32)
    return matrices if matrices.is_cuda else matrices.pin_memory().to(device, non_blocking=True)


def _filled(color: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """One colour for every element of `like`, made where it is. (..., 3)"""
    return torch.stack([torch.full_like(like, value) for value in color], dim=-1)
