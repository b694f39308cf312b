"""CUDA kernels from source: compiled by NVRTC, which comes with torch, and launched on torch's current stream.

No compiler and no toolkit are needed on the machine. Compiling takes a few seconds an architecture; the result is kept in
the process, and inherited by processes forked from it.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any, Protocol

import torch

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
Argument = torch.Tensor | int | float | None
Dims = tuple[int, int, int]

logger = logging.getLogger(__name__)


class Program(Protocol):
    """Compiled kernels."""

    def launch(self, kernel: str, grid: Dims, threads: int, *arguments: Argument) -> None:
        """Start one of `KERNELS`; tensors and None are pointers, numbers are 32 bits wide."""
        ...


class CudaProgram:
    """The kernels on one device.

    Args:
        device: CUDA device.

    Raises:
        DependencyError: NVRTC or the driver refuses, with its own words.
    """

    def __init__(self, device: torch.device) -> None:
        self.driver = _bindings("driver")
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # a context to load into
            major, minor = torch.cuda.get_device_capability(device)
            binary, names = compiled(f"sm_{major}{minor}")
            module = _asked(self.driver.cuModuleLoadData(binary))
            self.functions = {k: _asked(self.driver.cuModuleGetFunction(module, names[k])) for k in KERNELS}

    def launch(self, kernel: str, grid: Dims, threads: int, *arguments: Argument) -> None:
        """See `Program`."""
        held = Packed(arguments)
        stream = torch.cuda.current_stream().cuda_stream
        _asked(self.driver.cuLaunchKernel(self.functions[kernel], *grid, threads, 1, 1, 0, stream, held.address, 0))


class Packed:
    """Kernel arguments in C: an array of addresses of values, alive as long as this is."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self.values = [_as_c(argument) for argument in arguments]
        self.pointers = (ctypes.c_void_p * len(self.values))(*(ctypes.addressof(value) for value in self.values))

    @property
    def address(self) -> int:
        """Of the array."""
        return ctypes.addressof(self.pointers)


def _as_c(argument: Argument) -> ctypes.c_void_p | ctypes.c_float | ctypes.c_uint32:
    if argument is None or isinstance(argument, torch.Tensor):
        return ctypes.c_void_p(None if argument is None else argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_uint32(argument)


def kernels_on(device: torch.device) -> Program | None:
    """The kernels on a device, asked for once a process; None on a CPU, and where they cannot be compiled."""
    if device.type != "cuda":
        return None
    with _asking:
        return _program_on(device)


_asking = threading.Lock()


@cache
def _program_on(device: torch.device) -> Program | None:
    try:
        return CudaProgram(device)
    except DependencyError as error:
        logger.warning("our own kernels are not used, others are slower: %s", error)
        return None


def prepare(device: torch.device | str) -> str | None:
    """Compile for the architecture a device is said to have, before the first picture; why it cannot be done, or None.

    Touches no GPU, so it works where a device is only promised; processes forked later inherit the result.
    """
    major, minor = torch.cuda.get_device_capability(device)
    try:
        compiled(f"sm_{major}{minor}")
    except DependencyError as error:
        return str(error)
    return None


def source() -> str:
    """All kernels as one translation unit."""
    folder = files("flashworld.kernels") / "source"
    return "\n".join((folder / name).read_text() for name in SOURCES)


@cache
def compiled(arch: str) -> tuple[bytes, dict[str, bytes]]:
    """Machine code for an architecture such as "sm_90", and the kernels' names in it. Needs no GPU.

    Raises:
        DependencyError: NVRTC is missing or does not know the architecture.
    """
    nvrtc, text = _bindings("nvrtc"), source()
    program = _asked(nvrtc.nvrtcCreateProgram(text.encode(), b"flashworld.cu", 0, [], []))
    for kernel in KERNELS:
        _asked(nvrtc.nvrtcAddNameExpression(program, kernel.encode()))
    options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = bytearray(_asked(nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, log)
        raise DependencyError(f"kernels do not compile for {arch}: {status.name} {log.decode()[:500]}")
    binary = bytearray(_asked(nvrtc.nvrtcGetCUBINSize(program)))
    _asked(nvrtc.nvrtcGetCUBIN(program, binary))
    names = {kernel: _asked(nvrtc.nvrtcGetLoweredName(program, kernel.encode())) for kernel in KERNELS}
    _asked(nvrtc.nvrtcDestroyProgram(program))
    return bytes(binary), names


def _bindings(name: str) -> Any:  # noqa: ANN401 - a module without types
    """A part of NVIDIA's bindings, which torch brings along on Linux.

    Raises:
        DependencyError: it is not installed, or the library behind it.
    """
    try:
        return import_module(f"cuda.bindings.{name}")
    except (ImportError, RuntimeError) as error:
        raise DependencyError(f"our kernels need cuda-bindings: pip install cuda-bindings ({error})") from error


def _asked(answer: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever the call gives
    """The result of a call into NVRTC or the driver.

    Raises:
        DependencyError: the call failed.
    """
    status, *results = answer
    if int(status) != 0:
        raise DependencyError(f"kernels: {status.name}")
    return results[0] if results else None
