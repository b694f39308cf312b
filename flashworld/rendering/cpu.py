"""The CPU renderer: the compiled kernels of `cpu_kernels`, one Python thread per frame.

The kernels release the GIL, so threads are enough. Thread pools last no longer than the call that needs them, and no step on
a float32 scene uses torch's own thread pool, which does not survive a fork: a process may render, fork, and render again in the
child. Results do not depend on the number of threads. No gradients: tensors are detached.

Numerics: see `cpu_kernels`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from flashworld.device import usable_cores
from flashworld.errors import DependencyError, InputError
from flashworld.gaussians import Gaussians
from flashworld.rendering.views import Rendering, Views

MAX_SH_DEGREE = 3
"""The highest degree that the kernels support; 3DGS files have no more."""
MAX_WORK_BYTES = 2 * 2**30
"""Workspace of all threads together; enough for 11 threads at 4 million Gaussians."""
_WORK_BYTES_PER_GAUSSIAN = 48


def render(scene: Gaussians, views: Views, *, want_depth: bool) -> Rendering:
    """Draw every view, as many in parallel as there are cores. Tensors are new, on the CPU, without gradients."""
    shape = (len(views), views.height, views.width)
    rgb, alpha, depth = (np.empty(s, np.float32) for s in ((*shape, 3), shape, shape))
    artist = _Artist(scene, views)
    with ThreadPoolExecutor(min(len(views), _worker_count(len(scene), None)), "render") as pool:
        for _ in pool.map(lambda i: artist.draw(i, rgb[i], alpha[i], depth[i]), range(len(views))):
            pass
    return Rendering(torch.from_numpy(rgb), torch.from_numpy(alpha), torch.from_numpy(depth) if want_depth else None)


def stream(scene: Gaussians, views: Views, workers: int | None) -> Iterator[Rendering]:
    """Draw views in order, one `Rendering` each, at most `workers` of them ahead of the caller.

    Args:
        scene: The scene.
        views: The views.
        workers: Threads; None for one per core, or fewer where the workspace of a huge scene requires it.
    """
    return _draw_ahead(_Artist(scene, views), len(views), min(len(views), _worker_count(len(scene), workers)))


def _draw_ahead(artist: _Artist, frames: int, workers: int) -> Iterator[Rendering]:
    """Frames in order while threads draw the next ones."""
    ahead: deque[Future[Rendering]] = deque()
    with ThreadPoolExecutor(workers, "render") as pool:
        try:
            for index in range(frames):
                ahead.append(pool.submit(artist.picture, index))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # the caller may stop early
            for future in ahead:
                future.cancel()


class _WorkSpace(threading.local):
    """The buffers that one thread projects into, allocated at its first frame. Memory pages are touched only when needed."""

    def __init__(self, count: int, splat_floats: int, box_ints: int) -> None:
        self.splats = np.empty((count, splat_floats), np.float32)
        self.boxes = np.empty((count, box_ints), np.int16)


class _Artist:
    """A prepared scene, its views, and each thread's workspace."""

    def __init__(self, scene: Gaussians, views: Views) -> None:
        if scene.sh_degree > MAX_SH_DEGREE:
            raise InputError(f"render: SH degree must be at most {MAX_SH_DEGREE} on the CPU, got {scene.sh_degree}")
        try:
            from flashworld.rendering import cpu_kernels
        except ImportError as error:
            raise DependencyError("rendering without a GPU needs numba: pip install numba==0.68.1") from error
        self._kernels = cpu_kernels
        self._views = views
        self._sh = _as_array(scene.sh)
        self._scene = np.empty((len(scene), cpu_kernels.SCENE_FLOATS), np.float32)
        fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities)
        cpu_kernels.prepare(*(_as_array(field) for field in fields), self._sh, self._scene)
        self._space = _WorkSpace(len(scene), cpu_kernels.SPLAT_FLOATS, cpu_kernels.BOX_INTS)
        self._background = np.array(views.background, np.float32)
        k = views.K_px
        focal_and_center = torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], dim=1)
        parts = (views.w2c[:, :3, :3].flatten(1), views.centers, focal_and_center)
        self._cameras = np.concatenate([part.cpu().numpy() for part in parts], axis=1)

    def draw(self, index: int, rgb: np.ndarray, alpha: np.ndarray, depth: np.ndarray) -> None:
        """Draw one view into rgb (H, W, 3), alpha (H, W) and depth (H, W)."""
        near, far = np.float32(self._views.near), np.float32(self._views.far)
        self._kernels.draw(
            self._scene, self._sh, self._cameras[index], self._background, near, far,
            self._space.splats, self._space.boxes, rgb, alpha, depth,
        )  # fmt: skip

    def picture(self, index: int) -> Rendering:
        """Draw one view into new tensors."""
        shape = (1, self._views.height, self._views.width)
        rgb, alpha, depth = (np.empty(s, np.float32) for s in ((*shape, 3), shape, shape))
        self.draw(index, rgb[0], alpha[0], depth[0])
        return Rendering(torch.from_numpy(rgb), torch.from_numpy(alpha), torch.from_numpy(depth))


def _as_array(tensor: torch.Tensor) -> np.ndarray:
    """A float32 view of a CPU tensor (a copy only if it had another dtype)."""
    return tensor.detach().to(torch.float32).numpy()


def _worker_count(gaussians: int, workers: int | None) -> int:
    """Threads to use: the number requested or the cores of this process, within the memory limit."""
    if workers is None:
        cores = usable_cores()
        workers = min(cores, MAX_WORK_BYTES // max(1, gaussians * _WORK_BYTES_PER_GAUSSIAN))
    return max(1, workers)
