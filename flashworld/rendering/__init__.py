"""Render Gaussian scenes: one interface, one renderer for NVIDIA GPUs (`cuda`), one for everything else (`cpu`).

Both produce the same images, those of 3D Gaussian Splatting as in gsplat 1.5.3's "classic" mode. The scene's device selects one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from einops import rearrange

from flashworld.cameras import Cameras
from flashworld.errors import InputError
from flashworld.gaussians import Gaussians
from flashworld.rendering import cpu, cuda
from flashworld.rendering.frames import DepthPainter, to_bytes
from flashworld.rendering.views import FAR, NEAR, WHITE, Rendering, build_views
from flashworld.types import Frame, Images

__all__ = ["Rendering", "iter_frames", "render", "to_signed"]


def render(
    scene: Gaussians,
    cameras: Cameras,
    height: int,
    width: int,
    *,
    background: Sequence[float] = WHITE,
    near: float = NEAR,
    far: float = FAR,
    want_depth: bool = False,
) -> Rendering:
    """Render a scene from every camera. On a GPU gradients flow to the scene; on the CPU there are none.

    Args:
        scene: Gaussians, OpenGL axes; its device selects the renderer. May be empty; Gaussians with NaN or infinity are skipped.
        cameras: OpenGL axes, same units as the scene; on any device.
        height: Rows of the images.
        width: Columns of the images.
        background: RGB behind the scene.
        near: Smallest depth drawn, scene units, above 0.
        far: Largest depth drawn.
        want_depth: Whether to return accumulated depth.

    Raises:
        InputError: no camera, an impossible size, depth range, background or device.
        DependencyError: the renderer's package is not installed.
    """
    views = build_views(cameras, height, width, background, near, far)
    if _is_on_gpu(scene):
        return cuda.render(scene, views, want_depth=want_depth)
    return cpu.render(scene, views, want_depth=want_depth)


def iter_frames(
    scene: Gaussians,
    cameras: Cameras,
    height: int,
    width: int,
    *,
    background: Sequence[float] = WHITE,
    near: float = NEAR,
    far: float = FAR,
    depth: bool = False,
    workers: int | None = None,
) -> Iterator[Frame]:
    """Render a video: frames in order, a few ahead of the caller, in constant memory.

    Args:
        scene: As for `render`.
        cameras: One per frame.
        height: Rows.
        width: Columns.
        background: RGB behind the scene.
        near: Smallest depth drawn.
        far: Largest depth drawn.
        depth: Show depth instead of colour: grey, near bright, on black; the scale is the first frame's.
        workers: Threads on the CPU; None for one per core.

    Returns:
        An iterator of uint8 arrays (H, W, 3). Errors in the arguments are raised at once, not at the first frame.

    Raises:
        InputError: as `render`.
    """
    views = build_views(cameras, height, width, background, near, far)
    on_gpu = _is_on_gpu(scene)
    return _frames(cuda.stream(scene, views, want_depth=depth) if on_gpu else cpu.stream(scene, views, workers), depth)


def _frames(renderings: Iterator[Rendering], depth: bool) -> Iterator[Frame]:
    painter = DepthPainter()
    for rendering in renderings:
        yield from painter.paint(rendering) if depth else to_bytes(rendering.rgb)


def to_signed(rgb: torch.Tensor) -> Images:
    """Rendered colours (N, H, W, 3) in the networks' image format: in [-1, 1], channel first. (N, 3, H, W)"""
    return rearrange((rgb * 2 - 1).clamp(-1, 1), "n h w c -> n c h w")


def _is_on_gpu(scene: Gaussians) -> bool:
    kind = scene.means.device.type
    if kind not in ("cpu", "cuda"):
        raise InputError(f"render: the scene must be on the CPU or an NVIDIA GPU, got device {kind}")
    return kind == "cuda"
