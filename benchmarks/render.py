"""Time a frame of the renderers: python -m benchmarks.render [--frames N] [--large] [--json].

CPU seconds count all threads and hardly change on a busy machine; wall seconds are what a user waits. A GPU row is
added where CUDA is present. `--large` adds a full-size scene (4,055,040 Gaussians; 1 GB).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from benchmarks.scenes import room_cameras, room_scene
from flashworld.rendering import iter_frames, render

CASES = ((100_000, 240, 352, 24), (1_000_000, 480, 704, 8))
"""Gaussians, height, width, frames."""
LARGE = (4_055_040, 480, 704, 8)
ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds are of the best round, per frame."""

    what: str
    gaussians: int
    height: int
    width: int
    frames: int
    cpu_s: float
    wall_s: float


def main() -> None:
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, help="frames per round instead of the defaults")
    parser.add_argument("--large", action="store_true", help="also a full-size scene")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    rows = []
    for gaussians, height, width, frames in (*CASES, *((LARGE,) if args.large else ())):
        rows += measure(gaussians, height, width, args.frames or frames)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    print(f"{'what':28} {'Gaussians':>10} {'picture':>9} {'CPU s/frame':>12} {'wall s/frame':>13}")
    for row in rows:
        picture = f"{row.height}x{row.width}"
        print(f"{row.what:28} {row.gaussians:>10,} {picture:>9} {row.cpu_s:>12.4f} {row.wall_s:>13.4f}")


def measure(gaussians: int, height: int, width: int, frames: int) -> list[Row]:
    """Time one scene on every available renderer."""
    scene, cameras = room_scene(gaussians), room_cameras(frames, height, width)

    def drain(**options: object) -> None:
        for _ in iter_frames(scene, cameras, height, width, **options):
            pass

    jobs: dict[str, Callable[[], object]] = {
        "CPU, one thread": lambda: drain(workers=1),
        "CPU, one thread per core": drain,
        "CPU, depth video": lambda: drain(depth=True),
    }
    if torch.cuda.is_available():
        on_gpu = scene.to("cuda")
        jobs["CUDA, RGB"] = lambda: _synchronized(lambda: render(on_gpu, cameras, height, width))
        jobs["CUDA, RGB and depth"] = lambda: _synchronized(
            lambda: render(on_gpu, cameras, height, width, want_depth=True)
        )
        jobs["CUDA, frames as bytes"] = lambda: list(iter_frames(on_gpu, cameras, height, width))
    return [Row(what, gaussians, height, width, frames, *_time(job, frames)) for what, job in jobs.items()]


def _synchronized(job: Callable[[], object]) -> None:
    with torch.inference_mode():
        job()
    torch.cuda.synchronize()


def _time(job: Callable[[], object], frames: int) -> tuple[float, float]:
    """Best CPU and wall seconds per frame, after one round to compile and warm up."""
    job()
    cpu, wall = [], []
    for _ in range(ROUNDS):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        job()
        cpu.append((time.process_time() - cpu_start) / frames)
        wall.append((time.perf_counter() - wall_start) / frames)
    return min(cpu), min(wall)


if __name__ == "__main__":
    main()
