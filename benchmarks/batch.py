"""Compare a batch with several workers and with one worker: python -m benchmarks.batch [--scenes 200] [--workers 2].

    python -m benchmarks.batch                                   nano, on shares of this machine's cores, through Ray
    python -m flashworld weights random --size full --out random
    python -m benchmarks.batch --model random --device cuda --workers 2 --without-ray --scenes 24

Every row runs `python -m flashworld batch` on the same manifest with SPZ and preview and no video. With --device cuda
a worker has one GPU, and one worker is compared with N; on the CPU N workers are compared with one and with all cores.
With --without-ray the workers are N such commands at once, each with every N-th row of the manifest; without it they are
one command with --workers N. With --compiled they are `python -m aot batch`: run `python -m aot compile` before.

A worker's rate counts from its first finished scene to its last, so that start-up of Python, Ray and the model
is excluded; the rates of all workers are added. Give each worker ten scenes or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from flashworld.serving.gpus import VISIBLE, visible_gpu

FILES = ("--spz", "--no-video", "--quiet", "--json")


@dataclass(frozen=True)
class Batch:
    """One `flashworld batch` command.

    Attributes:
        manifest: The manifest.
        more: Further arguments.
        cores: CPU affinity; None: all cores.
        gpu: The only visible GPU; None: all.
        program: "flashworld", or "aot" for workers with compiled graphs.
    """

    manifest: Path
    more: tuple[str, ...] = ()
    cores: tuple[int, ...] | None = None
    gpu: int | None = None
    program: str = "flashworld"

    def start(self, out: Path, log: IO[str]) -> subprocess.Popen[str]:
        """Start it in a new process."""
        environment, cores = dict(os.environ), self.cores
        if cores is not None:
            environment["OMP_NUM_THREADS"] = str(len(cores))
        if self.gpu is not None:
            environment[VISIBLE] = visible_gpu(self.gpu)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, before if cores is None else cores)  # a new process inherits it
        try:
            return subprocess.Popen(
                [sys.executable, "-m", self.program, "batch", str(self.manifest), "--out", str(out), *FILES, *self.more],
                stdout=log, stderr=log, text=True, env=environment,
            )  # fmt: skip
        finally:
            os.sched_setaffinity(0, before)


def write_manifests(folder: Path, scenes: int, parts: int) -> list[Path]:
    """Write scenes with different prompts and seeds, divided among manifests."""
    colours, things = ("red", "green", "blue", "yellow"), ("sphere", "cube", "cone", "cylinder", "torus")
    rows = [
        {"id": f"scene-{index:04}", "text": f"a room with a {colours[index % 4]} {things[index % 5]}"}
        for index in range(scenes)
    ]
    paths = [folder / f"manifest-{part}-of-{parts}.jsonl" for part in range(parts)]
    for part, path in enumerate(paths):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[part::parts]))
    return paths


def measure(batches: list[Batch], out: Path) -> dict[str, float]:
    """Run commands at once and wait for all of them.

    Returns:
        Scenes, scenes per minute, seconds to the first finished scene, and total seconds.
    """
    out.mkdir()
    start = time.time()
    with ExitStack() as stack:
        logs = [stack.enter_context((out / f"{index}.log").open("w+")) for index in range(len(batches))]
        runs = [batch.start(out / str(index), logs[index]) for index, batch in enumerate(batches)]
        codes = [run.wait() for run in runs]
        wall = time.time() - start
        for code, log in zip(codes, logs, strict=True):
            log.seek(0)
            if code:
                raise SystemExit(log.read())
    times = defaultdict(list)
    for path in out.glob("*/*/result.json"):
        times[json.loads(path.read_text())["worker"]].append(path.stat().st_mtime)
    return {
        "scenes": sum(map(len, times.values())),
        "workers": len(times),
        "per_minute": sum(_per_minute(sorted(of_one)) for of_one in times.values()),
        "first_s": min(map(min, times.values())) - start,
        "wall_s": wall,
    }


def _per_minute(times_s: list[float]) -> float:
    """The rate of a worker that finished scenes at these times; 0 for one that made fewer than two."""
    return 60 * (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cpu")
    parser.add_argument("--workers", type=int, default=2, help="one per GPU, or N shares of the cores")
    parser.add_argument("--without-ray", action="store_true", help="one command per worker instead of --workers N")
    parser.add_argument("--compiled", action="store_true", help="workers with compiled graphs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count, on_gpu = options.workers, options.device == "cuda"
    if options.scenes < 2 * count:
        parser.error(f"--scenes must be at least 2 per worker, {2 * count}, got {options.scenes}")
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    share = max(1, len(allowed) // count)
    model = ("--model", options.model, "--device", options.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (whole,) = write_manifests(folder, options.scenes, 1)
        if options.without_ray:
            many = [
                Batch(part, model, gpu=index) if on_gpu
                else Batch(part, model, cores=(allowed + allowed)[index * share % len(allowed) :][:share])
                for index, part in enumerate(write_manifests(folder, options.scenes, count))
            ]  # fmt: skip
        else:
            many = [Batch(whole, (*model, "--workers", str(count)))]
        plans = {"one worker, one GPU": [Batch(whole, model, gpu=0)]} if on_gpu else {
            "one worker, one core": [Batch(whole, model, cores=allowed[:1])],
            "one worker, all cores": [Batch(whole, model)],
        }  # fmt: skip
        plans[f"{count} workers, {'one command each' if options.without_ray else 'on Ray'}"] = many
        program = "aot" if options.compiled else "flashworld"
        plans = {row: [replace(batch, program=program) for batch in batches] for row, batches in plans.items()}
        rows = {row: measure(batches, folder / f"out-{index}") for index, (row, batches) in enumerate(plans.items())}
    if options.json:
        print(json.dumps({"cores": len(allowed), "rows": rows}, indent=1))
        return
    print(f"{options.scenes} scenes of {options.model} on {options.device}, {len(allowed)} cores")
    one = next(iter(rows.values()))["per_minute"]
    for row, figures in rows.items():
        print(
            f"  {row:30}{figures['per_minute']:8.1f} a minute {figures['per_minute'] / one:6.2f} x "
            f"{figures['first_s']:6.1f} s to the first {figures['wall_s']:8.1f} s in all"
        )


if __name__ == "__main__":
    main()
