"""Transfer from a GPU worker: bytes and seconds of sending a full-size result to the main process.

    python -m benchmarks.transfer [--frames 24] [--size 480x704] [--video-frames 97] [--json]

A worker's result is pickled and written through a pipe, as spaces does it, while the GPU is still reserved: with its
arrays, or with a handle of shared memory. Seconds are CPU seconds of both processes, and wall seconds, which are more
meaningful on an idle machine. No GPU is used.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import resource
import time
from collections.abc import Callable

import numpy as np

from benchmarks.files import smooth_scene
from flashworld.serving.transfer import PackedResult, pack, unpack, use_shared_memory

MB = 1e6


def a_result(frames: int, height: int, width: int, video_frames: int) -> PackedResult:
    """A packed scene of two Gaussians for every second pixel, and a video."""
    scene = pack(smooth_scene(frames * (height // 2) * (width // 2) * 2, degree=2))
    film = np.random.default_rng(0).integers(0, 256, (video_frames, height, width, 3), dtype=np.uint8)
    return PackedResult(scene, film, "benchmark", {})


def cpu_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(job: Callable[[], object]) -> dict[str, float]:
    """CPU and wall seconds of a job."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    job()
    return {"cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - wall}


def through_a_pipe(result: PackedResult, shared: bool) -> None:
    """Transfer from a forked child to this process, as spaces does it."""
    use_shared_memory(shared)
    context = multiprocessing.get_context("fork")
    queue, arrived = context.SimpleQueue(), context.Event()

    def work() -> None:
        queue.put(result)
        arrived.wait()

    child = context.Process(target=work)
    child.start()
    received = queue.get()
    arrived.set()
    child.join()
    assert np.array_equal(received.scene.means[-9:], result.scene.means[-9:])


def measure(frames: int, height: int, width: int, video_frames: int) -> dict[str, object]:
    """Bytes and seconds of each part of the transfer."""
    result = a_result(frames, height, width, video_frames)
    data = pickle.dumps(result)
    film = result.frames.nbytes if result.frames is not None else 0
    return {
        "gaussians": len(result.scene.means),
        "scene_mb": result.scene.nbytes / MB,
        "video_mb": film / MB,
        "pickle_mb": len(data) / MB,
        "pickle": timed(lambda: pickle.dumps(result)),
        "unpickle": timed(lambda: pickle.loads(data)),
        "pipe": timed(lambda: through_a_pipe(result, shared=False)),
        "shared": timed(lambda: through_a_pipe(result, shared=True)),
        "unpack": timed(lambda: unpack(result.scene)),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="480x704")
    parser.add_argument("--video-frames", type=int, default=97)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    height, width = (int(side) for side in args.size.split("x"))
    row = measure(args.frames, height, width, args.video_frames)
    if args.json:
        print(json.dumps(row, indent=1))
        return 0
    print(f"{row['gaussians']:,} Gaussians {row['scene_mb']:.1f} MB, video {row['video_mb']:.1f} MB, "
          f"pickled {row['pickle_mb']:.1f} MB")  # fmt: skip
    for name in ("pickle", "unpickle", "pipe", "shared", "unpack"):
        seconds = row[name]
        assert isinstance(seconds, dict)
        print(f"{name:10}{seconds['cpu_s']:8.2f} s CPU{seconds['wall_s']:8.2f} s wall")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
