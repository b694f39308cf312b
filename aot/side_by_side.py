"""Compile several networks in parallel, each in a separate process with blank weights, where cores and memory allow.

Tracing and most of inductor run in one Python thread per network, so four take little longer than the slowest.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from aot.children import ROOT, ending, environment, last_lines
from aot.compile import CompiledPackage
from aot.compile_child import ERROR_NAME, JOB_NAME, PACKAGE_NAME
from aot.compiler import Compiler
from aot.shapes import SizeRange
from aot.verification.standins import Recipe
from aot.verification.verdict import Job
from flashworld.device import usable_cores

logger = logging.getLogger(__name__)

Wanted = tuple[str, SizeRange]
"""A network and the sizes of its graph."""
CORES_EACH = 2
"""Minimum number of cores per process."""
OVERHEAD_BYTES = 2 * 2**30
"""GPU memory of a process in addition to its weights: the context, and buffers for benchmarking kernels."""
COMPILE_SECONDS = 1200.0
POLL_SECONDS = 0.2


def fits(recipe: Recipe, wanted: Sequence[Wanted]) -> bool:
    """Whether there are cores and GPU memory for one process per graph, and more than one graph."""
    if len(wanted) < 2 or usable_cores() < CORES_EACH * len(wanted):
        return False
    if recipe.device != "cuda":
        return True
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return recipe.blank_bytes(name for name, _ in wanted) + OVERHEAD_BYTES * len(wanted) <= free


def compile_side_by_side(
    recipe: Recipe, wanted: Sequence[Wanted], compiler: Compiler, *, seconds: float = COMPILE_SECONDS
) -> tuple[dict[Wanted, CompiledPackage], dict[Wanted, str]]:
    """Compile graphs in parallel; returns the graphs, and the reasons of failures.

    Args:
        recipe: Of the networks.
        wanted: Graphs to compile.
        compiler: The C++ compiler.
        seconds: Longest wait for all.
    """
    packages: dict[Wanted, CompiledPackage] = {}
    failures: dict[Wanted, str] = {}
    threads = max(1, usable_cores() // len(wanted))
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="flashworld-compile-") as root:
        started = {one: _start(Path(root, str(i)), recipe, one, compiler, threads) for i, one in enumerate(wanted)}
        try:
            for process in started.values():
                while process.poll() is None and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
        finally:
            late = {one for one, process in started.items() if process.poll() is None}
            for process in started.values():
                process.kill()
                process.wait()
        for index, (one, process) in enumerate(started.items()):
            folder = Path(root, str(index))
            if process.returncode == 0 and (folder / PACKAGE_NAME).is_file():
                packages[one] = pickle.loads((folder / PACKAGE_NAME).read_bytes())
                continue
            error = folder / ERROR_NAME
            ended = f"gave no graph in {seconds:.0f} s" if one in late else ending(process.returncode)
            failures[one] = error.read_text() if error.is_file() else f"the process that compiled it {ended}"
            with (folder / "printed.txt").open("rb") as printed:
                logger.warning(
                    "%s for %s: %s; it printed last:\n%s", one[0], one[1].label, failures[one], last_lines(printed)
                )
    return packages, failures


def _start(folder: Path, recipe: Recipe, wanted: Wanted, compiler: Compiler, threads: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    job = {
        "recipe": recipe.to_json(),
        "job": Job("", *wanted).to_json(),
        "compiler": dataclasses.asdict(compiler),
    }
    (folder / JOB_NAME).write_text(json.dumps(job))
    with (folder / "printed.txt").open("wb") as printed:
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "aot.compile_child", str(folder)],
            stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, cwd=ROOT,
            env=environment() | {"TORCHINDUCTOR_COMPILE_THREADS": str(threads)},
        )  # fmt: skip
