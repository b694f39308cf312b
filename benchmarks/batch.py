"""A batch of nano scenes by several workers on Ray against the plain loop: python -m benchmarks.batch [--scenes 200].

    python -m benchmarks.batch [--scenes 200] [--workers 2] [--json]

Both run `python -m flashworld batch` on the same manifest: 8 views of 192 x 288, SPZ and preview, no film. The rate counts
from the first finished scene to the last, so that starting Python, Ray and the model is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = ("--model", "nano", "--spz", "--no-video", "--quiet", "--json")


def write_manifest(folder: Path, scenes: int) -> Path:
    """Scenes that differ in their words and seeds."""
    colours, things = ("red", "green", "blue", "yellow"), ("sphere", "cube", "cone", "cylinder", "torus")
    path = folder / "manifest.jsonl"
    with path.open("w") as file:
        for index in range(scenes):
            text = f"a room with a {colours[index % 4]} {things[index % 5]}"
            file.write(json.dumps({"id": f"scene-{index:04}", "text": text}) + "\n")
    return path


def run(manifest: Path, out: Path, *more: str, cores: int | None = None) -> dict[str, float]:
    """Make every scene in a new process; `cores` holds it and its threads to so many cores."""
    command = [sys.executable, "-m", "flashworld", "batch", str(manifest), "--out", str(out), *WORDS, *more]
    allowed = sorted(os.sched_getaffinity(0))
    environment = os.environ | ({} if cores is None else {"OMP_NUM_THREADS": str(cores)})
    start = time.time()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, allowed[:cores]),
    )  # fmt: skip
    wall = time.time() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    marks = sorted(path.stat().st_mtime for path in out.glob("*/result.json"))
    return {
        "scenes": len(marks),
        "wall_s": wall,
        "start_s": marks[0] - start,
        "per_minute": 60 * (len(marks) - 1) / max(marks[-1] - marks[0], 1e-9),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_manifest(folder, options.scenes)
        rows = {
            "plain loop, one core": run(manifest, folder / "one", cores=1),
            "plain loop, all cores": run(manifest, folder / "all"),
            f"{options.workers} workers on Ray": run(manifest, folder / "ray", "--workers", str(options.workers)),
        }
    one = rows["plain loop, one core"]["per_minute"]
    if options.json:
        print(json.dumps({"cores": len(os.sched_getaffinity(0)), "rows": rows}, indent=1))
        return
    print(f"{options.scenes} scenes on {len(os.sched_getaffinity(0))} cores")
    for name, row in rows.items():
        print(
            f"  {name:24}{row['per_minute']:8.1f} a minute {row['per_minute'] / one:6.2f} x "
            f"{row['start_s']:6.1f} s to the first {row['wall_s']:8.1f} s in all"
        )


if __name__ == "__main__":
    main()
