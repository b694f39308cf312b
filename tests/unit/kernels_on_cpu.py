"""The CUDA kernels compiled as plain C++, so that they run without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import torch

from flashworld.kernels.compilation import KERNELS, source
from flashworld.kernels.program import Packed

SHIM = Path(__file__).with_name("cuda_on_cpu.hpp")


class CpuProgram:
    """Kernels built by g++, with the `launch` interface of `CudaProgram`."""

    def __init__(self, folder: Path) -> None:
        cases = "\n".join(
            f'    if (!strcmp(kernel, "{k}")) return launch({k}, grid, threads, arguments), 0;' for k in KERNELS
        )
        code = (
            f'#include "{SHIM}"\n{source()}\n'
            'extern "C" int run(const char* kernel, const unsigned* grid, unsigned threads, void** arguments) {\n'
            f"{cases}\n    return 1;\n}}\n"
        )
        (folder / "kernels.cpp").write_text(code)
        library = folder / "kernels.so"
        done = subprocess.run(
            ["g++", "-std=c++17", "-O2", "-U_FORTIFY_SOURCE", "-shared", "-fPIC", "-w", "-o", library, folder / "kernels.cpp"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[:2000]
        self.library = ctypes.CDLL(str(library))

    def launch(self, kernel, grid, threads, *arguments):
        assert all(a.is_contiguous() for a in arguments if isinstance(a, torch.Tensor))
        held = Packed(arguments)
        assert self.library.run(kernel.encode(), (ctypes.c_uint * 3)(*grid), threads, held.pointers) == 0, kernel


def have_compiler() -> bool:
    return shutil.which("g++") is not None
