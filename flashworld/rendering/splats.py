"""Views of a scene by custom kernels: project, sort by depth, list by tile, blend.

The images are those of gsplat 1.5.3 up to rounding, with less work: a Gaussian is read once for all views of a batch and shaded
only where it is visible; splats are sorted by depth before they are duplicated per tile, and the tile lists by tile afterwards,
instead of by 47 bits of both together; a splat is listed for the tiles that its ellipse touches rather than its bounding box, and
not for tiles that nearer splats have made opaque. Gaussians with NaN or infinity are skipped. There are no gradients.

Numerics: float32, fast math. Splats are drawn in the order of their float32 depths; equal depths in the order of the Gaussians.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import torch

from flashworld.gaussians import Gaussians
from flashworld.kernels.program import Argument, Dims, Program
from flashworld.rendering.views import Rendering, Views

TILE = 16
CHUNK = 4096
"""Entries that one block of the sorting kernels processes."""
THREADS = 256
RASTER_THREADS = 128
PARTS = 256
DIGITS = 256
KEY_BITS = 32
SLABS = ((0, 32), (32, 96), (96, 256))
"""Slabs of a view's splats in 256ths, nearest first, that are listed and drawn together: most tiles are opaque after the first,
and what lies behind an opaque tile is neither listed nor sorted."""
MAX_SH_DEGREE = 3
MAX_BATCH_VIEWS = 32
"""Cameras that the projection kernel keeps in shared memory."""
BATCHES_AT_ONCE = 2
MAX_HITS = 2**27
"""(Splat, tile) pairs listed at a time, over several views: 1.6 GB. A single view may have more."""
CAMERA_NUMBERS = 19
SPLAT_NUMBERS = 8


@dataclass(frozen=True)
class Projected:
    """A batch of views after projection, before tile lists. V views, N Gaussians.

    Attributes:
        splats: See `Splat` in common.cuh. (V, N, 8)
        colors: (V, N, 3)
        tiles: Tiles each splat touches, int32. (V, N)
        order: Positions in the arrays above, row by row, nearest first, int32. (V, N), of each row `lengths` are used
        lengths: Visible splats, int32. (V,)
    """

    splats: torch.Tensor
    colors: torch.Tensor
    tiles: torch.Tensor
    order: torch.Tensor
    lengths: torch.Tensor


class Renderer:
    """The rendering steps, on one device.

    Args:
        program: Compiled kernels.
        scene: Contiguous float32, not empty, on the program's device.
        views: Any number; the caller divides them into batches.
        cameras: See `camera_table`, on the device.
    """

    def __init__(self, program: Program, scene: Gaussians, views: Views, cameras: torch.Tensor) -> None:
        self.program = program
        self.scene = scene
        self.views = views
        self.cameras = cameras
        self.tiles_x, self.tiles_y = -(-views.width // TILE), -(-views.height // TILE)

    def render(self, batches: Iterable[slice], *, want_depth: bool) -> Iterator[Rendering]:
        """Batches of at most `MAX_BATCH_VIEWS` views each, in order.

        The sizes of a batch's lists are read back while the GPU works on another batch: `BATCHES_AT_ONCE` are in memory.
        """
        return take_turns((self._batch(batch, want_depth) for batch in batches), BATCHES_AT_ONCE)

    def _batch(self, batch: slice, want_depth: bool) -> Generator[None, None, Rendering]:
        """Render a batch, pausing wherever sizes have to come from the GPU."""
        cameras = self.cameras[batch]
        shape = (len(cameras), self.views.height, self.views.width)
        rgb, alpha = self._new(torch.float32, *shape, 3), self._new(torch.float32, *shape)
        depth = self._new(torch.float32, *shape) if want_depth else None
        projected = self._project(cameras)
        finished: torch.Tensor | None = None
        for slab in SLABS:
            counts, hits, totals = self._count(projected, slab, finished)
            sizes = OnHost(totals)
            yield
            pairs = sizes.read()
            first = finished is None
            if finished is None:
                finished = self._new(torch.uint8, len(cameras), self.tiles_y * self.tiles_x)
            if not (first or any(pairs)):
                continue
            for group in groups(pairs, MAX_HITS):
                parts = [None if t is None else t[group] for t in (rgb, alpha, depth)]
                self._draw(
                    projected, slab, counts, hits, totals, group, sum(pairs[group]), parts, finished, first=first
                )
        self._launch(
            "finish", (-(-alpha.numel() // THREADS), 1, 1), THREADS, alpha.numel(), *self.views.background, rgb, alpha
        )
        return Rendering(rgb, alpha, depth)

    def _new(self, dtype: torch.dtype, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self.scene.means.device)

    def _launch(self, kernel: str, grid: Dims, threads: int, *arguments: Argument) -> None:
        if min(grid) > 0:
            self.program.launch(kernel, grid, threads, *arguments)

    def _project(self, cameras: torch.Tensor) -> Projected:
        """Every Gaussian in every view, then each view's order by depth."""
        scene, views, count, n = self.scene, self.views, len(cameras), len(self.scene)
        splats, colors = self._new(torch.float32, count, n, SPLAT_NUMBERS), self._new(torch.float32, count, n, 3)
        keys, tiles = self._new(torch.int32, count, n), self._new(torch.int32, count, n)
        self._launch(
            f"project<{scene.sh_degree}>", (-(-n // THREADS), 1, 1), THREADS, n, count,
            scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh, cameras, views.width, views.height,
            views.near, views.far, splats, colors, keys, tiles,
        )  # fmt: skip
        lengths = self._new(torch.int32, count)
        _, order = self._sort(keys, None, KEY_BITS, lengths=lengths, want_keys=False)
        return Projected(splats, colors, tiles, order, lengths)

    def _sort(
        self,
        keys: torch.Tensor,
        values: torch.Tensor | None,
        bits: int,
        *,
        lengths: torch.Tensor | None,
        want_keys: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sort rows of keys stably.

        Args:
            keys: int16 or int32, read as unsigned, overwritten. (rows, n)
            values: Payload, int32, overwritten; None for positions, with hidden keys dropped.
            bits: Number of significant bits of the keys.
            lengths: Output, only without values: the number of keys in each row that are not hidden. (rows,)
            want_keys: Whether sorted keys are needed.
        """
        rows, n = keys.shape
        chunks = -(-n // CHUNK)
        counts, totals = self._new(torch.int32, rows, DIGITS, chunks), self._new(torch.int32, rows, DIGITS)
        spare_keys, spare_values = torch.empty_like(keys), self._new(torch.int32, rows, n)
        kind = "u16" if keys.dtype == torch.int16 else "u32"
        for shift in range(0, bits, 8):
            first, last = values is None, shift + 8 >= bits
            known = None if first else lengths
            form = f"{kind}, {str(first).lower()}"
            self._launch(f"count_digits<{form}>", (chunks, rows, 1), THREADS, n, known, shift, keys, counts, chunks)
            self._launch("sum_digits", (DIGITS, rows, 1), THREADS, n, known, counts, chunks, totals)
            self._launch(
                f"move_by_digit<{form}>", (chunks, rows, 1), THREADS, n, known, shift, keys, values, counts, chunks, totals,
                spare_keys if want_keys or not last else None, spare_values, lengths if first else None,
            )  # fmt: skip
            keys, spare_keys = spare_keys, keys
            values, spare_values = spare_values, self._new(torch.int32, rows, n) if values is None else values
        assert values is not None
        return keys, values

    def _count(
        self, projected: Projected, slab: tuple[int, int], finished: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Unfinished tiles that the splats of a slab touch.

        Returns:
            Of each splat, nearest first, (V, chunks * CHUNK); before each chunk, (V, chunks); in total, (V,) int64.
        """
        views, n = projected.tiles.shape
        chunks = slab_chunks(n, slab)
        counts = self._new(torch.int32, views, chunks * CHUNK)
        hits, totals = self._new(torch.int32, views, chunks), self._new(torch.int64, views)
        self._launch(
            "count_hits", (chunks, views, 1), THREADS, n, projected.lengths, *slab, projected.order, projected.splats,
            finished, self.tiles_x, self.tiles_y, projected.tiles, counts, hits, chunks,
        )  # fmt: skip
        self._launch("sum_hits", (views, 1, 1), THREADS, hits, chunks, totals)
        return counts, hits, totals

    def _draw(
        self, projected: Projected, slab: tuple[int, int], counts: torch.Tensor, hits: torch.Tensor, totals: torch.Tensor,
        group: slice, count: int, parts: list[torch.Tensor | None], finished: torch.Tensor, *, first: bool,
    ) -> None:  # fmt: skip
        """List the slab's splats of some views by tile and blend them onto `parts`: rgb, alpha, depth."""
        views, n, chunks = group.stop - group.start, projected.tiles.shape[1], hits.shape[1]
        tiles = views * self.tiles_x * self.tiles_y
        key_type, kind = (torch.int16, "u16") if tiles <= 2**16 else (torch.int32, "u32")
        keys, values = self._new(key_type, 1, count), self._new(torch.int32, 1, count)
        self._launch(
            f"list_hits<{kind}>", (chunks, views, 1), THREADS, n, group.start, projected.lengths, *slab, projected.order,
            projected.splats, None if first else finished, counts, hits, chunks, totals, self.tiles_x, self.tiles_y,
            keys, values,
        )  # fmt: skip
        if count:
            keys, values = self._sort(keys, values, max(1, (tiles - 1).bit_length()), lengths=None, want_keys=True)
        bounds = torch.zeros((2, tiles), dtype=torch.int32, device=keys.device)
        self._launch(f"find_lists<{kind}>", (-(-count // THREADS), 1, 1), THREADS, count, keys, bounds[0], bounds[1])
        rgb, alpha, depth = parts
        self._launch(
            f"rasterize<{str(depth is not None).lower()}>", (self.tiles_x, self.tiles_y, views), RASTER_THREADS,
            self.views.width, self.views.height, int(first), bounds[0], bounds[1], values, projected.splats, projected.colors,
            rgb, alpha, depth, finished[group],
        )  # fmt: skip


class OnHost:
    """Numbers on their way from the device to the host; later work on the device does not delay them."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self._numbers = numbers.to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event() if numbers.is_cuda else None
        if self._arrived:
            self._arrived.record()

    def read(self) -> list[int]:
        """The numbers, once they have arrived."""
        if self._arrived:
            self._arrived.synchronize()
        return self._numbers.tolist()


def take_turns(jobs: Iterable[Generator[None, None, Rendering]], at_once: int) -> Iterator[Rendering]:
    """Results in the order of the jobs, each of which pauses equally often; at most `at_once` are in progress."""
    waiting, running = iter(jobs), deque[Generator[None, None, Rendering]]()
    while True:
        while len(running) < at_once and (job := next(waiting, None)) is not None:
            running.append(job)
            next(job)
        if not running:
            return
        job = running.popleft()
        try:
            next(job)
        except StopIteration as end:
            yield end.value
        else:
            running.append(job)


def slab_chunks(n: int, slab: tuple[int, int]) -> int:
    """Maximum number of chunks that the slab of a view may need."""
    return -(-(n * (slab[1] - slab[0]) // PARTS + 1) // CHUNK)


def camera_table(views: Views) -> torch.Tensor:
    """The kernels' parameters of each view: rotation, translation, centre, fx, fy, cx, cy; float32. (V, 19)"""
    lens = torch.stack([views.K_px[:, 0, 0], views.K_px[:, 1, 1], views.K_px[:, 0, 2], views.K_px[:, 1, 2]], dim=1)
    table = torch.cat([views.w2c[:, :3, :3].flatten(1), views.w2c[:, :3, 3], views.centers, lens], dim=1)
    return table.float()


def groups(counts: list[int], limit: int) -> list[slice]:
    """Neighbouring views whose counts together stay within a limit; a single one may exceed it."""
    found, start, held = [], 0, 0
    for index, count in enumerate(counts):
        if index > start and held + count > limit:
            found.append(slice(start, index))
            start, held = index, 0
        held += count
    return [*found, slice(start, len(counts))]
