"""Time of loading compiled graphs, and of a request that finds them loaded.

    python -m benchmarks.library [--store DIR] [--rounds 5] [--json]

Uses the graphs of a store (see `python -m aot compile`). spaces itself loads a graph's library in every request,
because it caches it in a context variable; this project caches it in the process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from aot.artifacts import DEFAULT_ROOT, PACKAGE_NAME, Artifact, ArtifactStore
from aot.graph import LoadedPackage, loaded_package


def milliseconds(job: Callable[[], object], rounds: int) -> float:
    """Median wall time of a job."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main(argv: list[str] | None = None) -> int:
    """Measure every graph of the store and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default=DEFAULT_ROOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    rows = []
    for entry in ArtifactStore(args.store).entries():
        if isinstance(entry, Artifact) and PACKAGE_NAME in entry.metadata["files"]:
            first = milliseconds(lambda entry=entry: loaded_package(entry), 1)
            again = milliseconds(lambda entry=entry: LoadedPackage(entry.package), args.rounds)
            remembered = milliseconds(lambda entry=entry: loaded_package(entry), args.rounds)
            rows.append({"graph": entry.slug, "first_ms": first, "again_ms": again, "remembered_ms": remembered})
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(
            f"{row['graph']}: first load {row['first_ms']:.0f} ms, loading again {row['again_ms']:.1f} ms, "
            f"cached {row['remembered_ms']:.4f} ms"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
