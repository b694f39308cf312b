"""All benchmarks for this machine: python -m benchmarks. Each part runs in a separate process."""

from __future__ import annotations

import subprocess
import sys
import time

PARTS = (
    "benchmarks.nano_scene", "benchmarks.render", "benchmarks.files", "benchmarks.formats", "benchmarks.pictures", "benchmarks.durations",
    "benchmarks.transfer",
)  # fmt: skip
IMPORT_RUNS = 5


def import_seconds() -> float:
    """Best time of `import flashworld` in a new process, minus that of an empty process."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    return min(run("import flashworld") for _ in range(IMPORT_RUNS)) - min(run("pass") for _ in range(IMPORT_RUNS))


def main() -> None:
    """Run all parts in sequence."""
    print(f"import flashworld: {import_seconds():.3f} s", flush=True)
    for part in PARTS:
        print(f"\n{part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)


if __name__ == "__main__":
    main()
