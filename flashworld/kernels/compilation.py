"""Compilation of CUDA source by NVRTC, which is installed with torch: neither a compiler nor a CUDA toolkit is needed.

NVRTC initialises CUDA in its process, and a process forked from it can no longer use the GPU. So there are two
functions: `compiled` for a process that uses the GPU itself, `compiled_apart`, which starts a child process.

    python -m flashworld.kernels.compilation sm_90    # the child: names as a line of JSON, then the machine code
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from flashworld.errors import DependencyError

SOURCES = ("common.cuh", "place.cu", "project.cu", "sort.cu", "tiles.cu", "raster.cu")
OPTIONS = ("--std=c++17", "--use_fast_math")
KERNELS = (
    "place",
    *(f"project<{degree}>" for degree in range(4)),
    "count_digits<u32, true>", "count_digits<u32, false>", "count_digits<u16, false>",
    "sum_digits",
    "move_by_digit<u32, true>", "move_by_digit<u32, false>", "move_by_digit<u16, false>",
    "count_hits", "sum_hits",
    "list_hits<u16>", "list_hits<u32>", "find_lists<u16>", "find_lists<u32>",
    "rasterize<false>", "rasterize<true>", "finish",
)  # fmt: skip
COMPILE_SECONDS = 120.0
"""Time limit of the child process, which needs about five seconds."""
ROOT = Path(__file__).parents[2]
Compiled = tuple[bytes, dict[str, str]]
"""Machine code, and the mangled names of `KERNELS` in it."""


def source() -> str:
    """All kernels as one translation unit."""
    folder = files("flashworld.kernels") / "source"
    return "\n".join((folder / name).read_text() for name in SOURCES)


@cache
def compiled(arch: str) -> Compiled:
    """Compile for an architecture such as "sm_90", in this process. Needs no GPU, but initialises CUDA if there is one.

    Raises:
        DependencyError: NVRTC is missing or does not know the architecture.
    """
    nvrtc, text = bindings("nvrtc"), source()
    program = checked(nvrtc.nvrtcCreateProgram(text.encode(), b"flashworld.cu", 0, [], []))
    for kernel in KERNELS:
        checked(nvrtc.nvrtcAddNameExpression(program, kernel.encode()))
    options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = bytearray(checked(nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, log)
        raise DependencyError(f"kernels do not compile for {arch}: {status.name} {log.decode()[:500]}")
    binary = bytearray(checked(nvrtc.nvrtcGetCUBINSize(program)))
    checked(nvrtc.nvrtcGetCUBIN(program, binary))
    names = {kernel: checked(nvrtc.nvrtcGetLoweredName(program, kernel.encode())).decode() for kernel in KERNELS}
    checked(nvrtc.nvrtcDestroyProgram(program))
    return bytes(binary), names


@cache
def compiled_apart(arch: str) -> Compiled:
    """Compile for an architecture in a child process: this process does not initialise CUDA and may be forked afterwards.

    Raises:
        DependencyError: see `compiled`; or the child process failed.
    """
    command = [sys.executable, "-m", "flashworld.kernels.compilation", arch]
    try:
        child = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=COMPILE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DependencyError(f"kernels were not compiled: {error}") from error
    if child.returncode:
        said = child.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise DependencyError(f"kernels were not compiled: exit code {child.returncode}, {said[-1][:500]}")
    names, _, binary = child.stdout.partition(b"\n")
    try:
        return binary, json.loads(names)
    except ValueError as error:
        raise DependencyError(f"kernels were not compiled: unexpected output {names[:80]!r}") from error


def bindings(name: str) -> Any:  # noqa: ANN401 - a module without types
    """A module of NVIDIA's bindings, which torch depends on under Linux.

    Raises:
        DependencyError: the bindings or the library that they load are not installed.
    """
    try:
        return import_module(f"cuda.bindings.{name}")
    except (ImportError, RuntimeError) as error:
        raise DependencyError(
            f"the custom CUDA kernels need cuda-bindings: pip install cuda-bindings ({error})"
        ) from error


def checked(answer: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever the call gives
    """The result of a call into NVRTC or the driver.

    Raises:
        DependencyError: the call failed.
    """
    status, *results = answer
    if int(status) != 0:
        raise DependencyError(f"kernels: {status.name}")
    return results[0] if results else None


def main(arch: str) -> int:
    """The child process."""
    try:
        binary, names = compiled(arch)
    except DependencyError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201 - the last line is what the parent reads
        return 1
    sys.stdout.buffer.write(json.dumps(names).encode() + b"\n" + binary)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
