"""The renderer for NVIDIA GPUs: custom kernels (`splats`), or gsplat where gradients are needed.

Views are rendered in batches: several per call keep the GPU busy, and a limit on views x Gaussians bounds memory.
Where the custom kernels cannot be compiled, and for scenes they do not support, gsplat renders the same images; the log says so.

Numerics: float32, fast math, so images differ from the CPU's by rounding and, where a value sits on a threshold, by
one Gaussian's 1/255.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from flashworld.gaussians import Gaussians
from flashworld.kernels.program import kernels_on
from flashworld.rendering.splats import BATCHES_AT_ONCE, MAX_SH_DEGREE, Renderer, camera_table
from flashworld.rendering.views import Rendering, Views
from flashworld.rendering.with_gsplat import filled, load_gsplat, rasterize, sent, without_broken_gaussians

MAX_PROJECTIONS = 16 * 4_055_040
"""Views x Gaussians in progress: batches of 8 for a full-size scene, which keep the GPU busy, in 3.6 GiB, and 0.15 for the
counts of a slab."""
MAX_VIEWS = 32
"""Maximum views in one call, even for small scenes: more are not faster."""


def render(scene: Gaussians, views: Views, *, want_depth: bool) -> Rendering:
    """Rasterize every view. Gaussians with NaN or infinity are skipped. Gradients flow to all fields of the scene.

    Raises:
        DependencyError: neither the custom kernels nor gsplat's are available.
    """
    parts = list(_draw(scene, views, want_depth))
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
    with torch.no_grad():
        parts = _draw(scene, views, want_depth)

    def batches() -> Iterator[Rendering]:
        while True:
            with torch.no_grad():  # not across the yield: it would leak into the caller
                part = next(parts, None)
            if part is None:
                return
            yield part

    return batches()


def _draw(scene: Gaussians, views: Views, want_depth: bool) -> Iterator[Rendering]:
    """The views in order, in batches."""
    device = scene.means.device
    if len(scene) == 0:
        return (_nothing(views, batch, device, want_depth) for batch in _batches(0, len(views), 1))
    program = None if _wants_gradients(scene) or scene.sh_degree > MAX_SH_DEGREE else kernels_on(device)
    if program is None:
        gsplat, whole = load_gsplat(), without_broken_gaussians(scene)
        return (rasterize(gsplat, whole, views, batch, want_depth) for batch in _batches(len(scene), len(views), 1))
    renderer = Renderer(program, _plain(scene), views, sent(camera_table(views), device))
    return renderer.render(_batches(len(scene), len(views), BATCHES_AT_ONCE), want_depth=want_depth)


def _wants_gradients(scene: Gaussians) -> bool:
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    return torch.is_grad_enabled() and any(field.requires_grad for field in fields)


def _plain(scene: Gaussians) -> Gaussians:
    """The scene in contiguous float32 without a graph, with quaternions aligned for 16-byte loads."""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    means, quats, scales, opacities, sh = (field.detach().float().contiguous() for field in fields)
    return Gaussians(means, quats.clone() if quats.data_ptr() % 16 else quats, scales, opacities, sh)


def _nothing(views: Views, batch: slice, device: torch.device, want_depth: bool) -> Rendering:
    """Images of an empty scene."""
    alpha = torch.zeros((len(views.w2c[batch]), views.height, views.width), device=device)
    return Rendering(filled(views.background, alpha), alpha, torch.zeros_like(alpha) if want_depth else None)


def _batches(gaussians: int, views: int, at_once: int) -> list[slice]:
    """Views to render together, in order, if so many batches are in progress at a time."""
    size = max(1, min(MAX_VIEWS, MAX_PROJECTIONS // at_once // max(1, gaussians)))
    return [slice(start, min(start + size, views)) for start in range(0, views, size)]
