"""Seconds, megabytes and memory of writing and reading scene files.

    python -m benchmarks.files [--count 4055040] [--degree 2] [--folder DIR] [--repeats 3] [--json]

The default count is a whole scene of the full model: 24 views of 240 x 352 points, two Gaussians each. The scene
is about as compressible as a real one (smooth surfaces and colours with noise on top). CPU seconds
count all threads of this process; the memory is the growth of the process at its peak, including the scene that a reader
returns. Each figure is the best of the repeats, the memory the worst.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from flashworld.gaussians import Gaussians
from flashworld.io.scenes import SCENE_SUFFIXES, read_scene, write_scene

FULL_COUNT = 24 * 240 * 352 * 2
PIXELS_A_ROW = 352


def smooth_scene(count: int, degree: int, seed: int = 0) -> Gaussians:
    """Gaussians in image order on wavy surfaces. (count)"""
    generator = torch.Generator().manual_seed(seed)
    index = torch.arange(count)
    x, y = (index % PIXELS_A_ROW).float(), (index // PIXELS_A_ROW).float()

    def waves(channels: int, height: float, noise: float) -> torch.Tensor:
        columns = torch.randn(count, channels, generator=generator).mul_(noise)
        for channel in range(channels):
            fx, fy, phase = (torch.rand(3, generator=generator) * torch.tensor([0.06, 0.06, 2 * math.pi])).tolist()
            columns[:, channel].add_(torch.sin(fx * x + fy * y + phase), alpha=height)
        return columns

    higher = waves(3 * ((degree + 1) ** 2 - 1), 0.05, 0.04)
    return Gaussians(
        waves(3, 4.0, 0.01),
        torch.nn.functional.normalize(waves(4, 1.0, 0.1), dim=1),
        torch.exp(waves(3, 0.5, 0.2) - 5),
        torch.sigmoid(waves(1, 3.0, 1.0)[:, 0] + 1),
        torch.cat([waves(3, 1.2, 0.1), higher], dim=1).unflatten(1, (-1, 3)),
    )


def memory_mb(key: str) -> float:
    """A line of /proc/self/status: VmRSS now, VmHWM at the peak since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) / 1024


def measured(job: Callable[[], object]) -> dict[str, float]:
    """Run a job once: CPU seconds, wall seconds and the growth of resident memory at its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to now
    before, cpu, wall = memory_mb("VmRSS"), time.process_time(), time.perf_counter()
    kept = job()
    figures = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    figures["peak_growth_mb"] = memory_mb("VmHWM") - before
    del kept
    return figures


def best_of(repeats: int, job: Callable[[], object]) -> dict[str, float]:
    """The fastest of several runs and their largest memory."""
    runs = [measured(job) for _ in range(repeats)]
    figures = {key: min(run[key] for run in runs) for key in ("cpu_s", "wall_s")}
    return {**figures, "peak_growth_mb": max(run["peak_growth_mb"] for run in runs)}


def main() -> None:
    """Measure every format and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL_COUNT, help="Gaussians (default: %(default)s)")
    parser.add_argument("--degree", type=int, default=2, choices=range(4), help="SH degree (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where to write (default: a temporary folder)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()

    scene = smooth_scene(options.count, options.degree)
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_scene(scene[:10], Path(folder) / "warm.ply")  # so that importing plyfile is not counted
        for suffix in SCENE_SUFFIXES:
            path = Path(folder) / f"scene{suffix}"
            write = best_of(options.repeats, lambda path=path: write_scene(scene, path))
            read = best_of(options.repeats, lambda path=path: read_scene(path))
            results[suffix] = {"mb": path.stat().st_size / 1e6, "write": write, "read": read}
            path.unlink()
    if options.json:
        print(json.dumps({"count": options.count, "degree": options.degree, "formats": results}, indent=1))
        return
    print(f"{options.count:,} Gaussians, SH degree {options.degree}; best of {options.repeats}")
    print(f"{'format':8}{'MB':>8}  {'':6}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    for suffix, result in results.items():
        for job in ("write", "read"):
            figures = result[job]
            size = f"{result['mb']:8.1f}" if job == "write" else " " * 8
            columns = f"{figures['cpu_s']:8.2f}{figures['wall_s']:8.2f}{figures['peak_growth_mb']:9.1f}"
            print(f"{suffix if job == 'write' else '':8}{size}  {job:6}{columns}")


if __name__ == "__main__":
    main()
