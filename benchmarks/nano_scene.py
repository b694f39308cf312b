"""One scene of the model inside the package, in a new process: python -m benchmarks.nano_scene [--json].

Prints seconds for loading, the first scene with its files and a 32-frame video, a second scene, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flashworld import FlashWorldPipeline, build_request
from flashworld.inputs import VideoSettings

VIDEO = VideoSettings(fps=8, seconds=4.0)
"""32 frames."""


def timed(job: Callable[[], object]) -> tuple[object, dict[str, float]]:
    """The result of a job, and its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = job()
    return value, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pipeline, load = timed(FlashWorldPipeline.from_nano)
    config = pipeline.networks.config

    def scene(folder: Path) -> None:
        request = build_request(text="a room with a red sphere", trajectory="orbit_right", seed=1, video=VIDEO,
                                defaults=config)  # fmt: skip
        pipeline(request).save(folder)

    with tempfile.TemporaryDirectory() as folder:
        _, first = timed(lambda: scene(Path(folder)))
        _, second = timed(lambda: scene(Path(folder)))
    rows = {"load": load, "first scene, 5 files": first, "second scene, 5 files": second}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if options.json:
        print(json.dumps({"model": pipeline.name, "rows": rows, "peak_gib": peak}, indent=1))
        return
    print(f"model {pipeline.name}: {config.frames} views of {config.height} x {config.width}, 32-frame video")
    for name, row in rows.items():
        print(f"  {name:24}{row['wall_s']:8.2f} s wall {row['cpu_s']:8.2f} s CPU")
    print(f"  peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
