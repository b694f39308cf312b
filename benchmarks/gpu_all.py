"""Every figure of a GPU in one run, the most important ones first: python -m benchmarks.gpu_all --out DIR --minutes 9.

Parts run in the order of `gpu_parts.PARTS`. After each of them everything known so far is written to DIR/gpu_all.json,
so that a run that is cut off loses one part at most; a part that fails is recorded and the next one runs; a part for
which too little time is left is skipped and says so. Needs a CUDA device with gsplat's kernels (--wheel unpacks one
that `python -m aot gsplat` built); with --model tiny --device cpu every part runs in small, to prove that it would.

Weights are random. They say nothing about pictures; shapes, speed, memory and rounding are those of the real model.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_parts import PARTS, Run
from flashworld.errors import InputError

REPORT = "gpu_all.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all parts and write the report; 0 if none failed."""
    args = parse(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.wheel:
        unpack_wheel(args.wheel, args.out / "gsplat")
    run = Run.from_options(args)
    report: dict[str, object] = {"argv": list(argv or sys.argv[1:]), "parts": {}}
    failed = 0
    for name in PARTS:
        if args.only and name not in args.only:
            continue
        row = run_part(name, run)
        failed += "error" in row
        report["parts"][name] = row  # type: ignore[index]
        (args.out / REPORT).write_text(json.dumps(report, indent=1, default=str) + "\n")
        print(f"{name}: {json.dumps(row, default=str)[:2000]}", flush=True)
    return 1 if failed else 0


def run_part(name: str, run: Run) -> dict[str, object]:
    """One part: what it found, or why it did not."""
    part = PARTS[name]
    left = run.seconds_left()
    if left < part.seconds:
        return {"skipped": f"needs {part.seconds:.0f} s, {left:.0f} s are left"}
    start = time.perf_counter()
    try:
        row = part.job(run)
    except Exception as error:
        # GPU time is dear: whatever breaks here, the other parts must still be measured.
        logging.getLogger(__name__).exception("%s failed", name)
        row = {"error": f"{type(error).__name__}: {error}"}
    return {**row, "seconds": round(time.perf_counter() - start, 1)}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--minutes", type=float, default=9.0, help="no part starts that would end after this")
    parser.add_argument("--model", choices=("full", "nano", "tiny"), default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--blocks", default="", help="networks to compile, comma-separated; default: all")
    parser.add_argument("--frames", default="8,16,24,32", help="views for the growth")
    parser.add_argument("--sizes", default="256x384,480x704,704x960", help="height x width for the growth")
    parser.add_argument("--video-frames", type=int, default=97)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wheel", type=Path, help="gsplat's wheel with kernels, for a machine without")
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts, comma-separated; default: all")
    args = parser.parse_args(argv)
    if unknown := set(args.only or ()) - PARTS.keys():
        raise InputError(f"--only must be among {', '.join(PARTS)}, got {min(unknown)}")
    return args


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Put a wheel first on the module path, here and in processes started from here."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


if __name__ == "__main__":
    raise SystemExit(main())
