"""All GPU benchmarks, the most important ones first: python -m benchmarks.gpu_all --out DIR --minutes 9.

Each part (see `benchmarks.gpu.parts`) runs in a separate process, in order. After each of them all results so far
are written to DIR/gpu_all.json: a part that raises, crashes or hangs keeps its results up to then, and the report states
how it ended; a part for which too little time is left is reported as skipped. A second run into the same DIR repeats what
is missing or has failed (--again: everything). Compiled graphs are kept in --graphs and reused. Needs a CUDA device with gsplat's
kernels (--wheel unpacks one that `python -m aot gsplat` built); with --model tiny --device cpu every part runs at a small size,
as a test.

`python -m docs.make_gpu_figures DIR/gpu_all.json` writes the figures into the README and docs/speed.md.
Weights are random. They give no indication of image quality; shapes, speed, memory and rounding are those of the real model.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gpu.options import parse
from benchmarks.gpu.parts import PARTS

REPORT = "gpu_all.json"
FORMAT = 2
ROOT = Path(__file__).parents[1]
KILL_SECONDS = 5.0
"""Seconds for a part to end after the interrupt."""
TAIL = 1500


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts and write the report; 0 if none failed."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = parse(given, __doc__)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.wheel:
        unpack_wheel(args.wheel, args.out / "gsplat")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    ends_at = time.monotonic() + 60 * args.minutes
    path = args.out / REPORT
    report = read_report(path)
    commit = args.commit or git_commit()
    failed = 0
    for name in args.only or PARTS:
        if not args.again and finished(report["parts"].get(name), commit):
            print(f"{name}: there already", flush=True)
            continue
        row = run_part(name, given, args.out, ends_at - time.monotonic())
        row |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit}
        failed += "error" in row
        report["parts"][name] = row
        write_report(path, report)
        print(f"{name}: {json.dumps(row)[:2000]}", flush=True)
    return 1 if failed else 0


def run_part(name: str, options: Sequence[str], out: Path, left: float) -> dict[str, Any]:
    """Run one part in a separate process; returns its results, and how it ended if not normally."""
    part = PARTS[name]
    if left < part.seconds:
        return {"skipped": f"needs {part.seconds:.0f} s, {left:.0f} s are left"}
    folder = out / "parts"
    folder.mkdir(exist_ok=True)
    result, log = folder / f"{name}.json", folder / f"{name}.log"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.gpu.child", part.job, str(result), *options]
    start, limit = time.perf_counter(), min(left, part.limit)
    with log.open("w") as file:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            ending = child.wait(limit)
        except subprocess.TimeoutExpired:
            ending = f"not finished after {limit:.0f} s"
        finally:
            end_session(child)
    row = read_json(result) or {}
    row["seconds"] = round(time.perf_counter() - start, 1)
    if ending != 0:
        row["exit"] = ending if isinstance(ending, str) else ending_name(ending)
        row.setdefault("error", row["exit"])
        row["log"] = log.read_text(errors="replace")[-TAIL:]
    return row


def environment() -> dict[str, str]:
    """Environment of a part: the caller's, with this project on the module path."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
        "PYTHONUNBUFFERED": "1",
    }


def end_session(child: subprocess.Popen[bytes]) -> None:
    """End a part and its children: by an interrupt, then by SIGKILL."""
    for number, patience in ((signal.SIGINT, KILL_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        try:
            os.killpg(child.pid, number)  # its session is its own process group
        except ProcessLookupError:
            break
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    child.wait()


def ending_name(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def finished(row: dict[str, Any] | None, commit: str) -> bool:
    """Whether the result of an earlier run can be kept."""
    return bool(row) and not {"error", "skipped"} & row.keys() and row.get("commit") == commit


def read_report(path: Path) -> dict[str, Any]:
    """The report of an earlier run into the same folder, or an empty one."""
    report = read_json(path)
    return report if report and report.get("format") == FORMAT else {"format": FORMAT, "parts": {}}


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Replace the report atomically."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(report, indent=1) + "\n")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None if the file has none."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def git_commit() -> str:
    """Commit of this checkout, with "+" if files are modified; "unknown" without git."""

    def git(*argv: str) -> str:
        return subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def stop(number: int, _frame: FrameType | None) -> None:
    """End the running part, too, on a signal."""
    raise SystemExit(128 + number)


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Put a wheel first on the module path of the parts."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


if __name__ == "__main__":
    raise SystemExit(main())
