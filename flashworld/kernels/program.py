"""The kernels of `source/`, launched on torch's current stream.

Compiling takes a few seconds per architecture (see `compilation`); the result is kept in the process and inherited by
processes forked from it.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import torch

from flashworld.errors import DependencyError
from flashworld.kernels.compilation import KERNELS, Compiled, bindings, checked, compiled, compiled_apart

Argument = torch.Tensor | int | float | None
Dims = tuple[int, int, int]
_made: dict[str, Compiled] = {}
"""Kernels compiled by `prepare`, by architecture."""

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
        DependencyError: NVRTC or the driver fails; includes its message.
    """

    def __init__(self, device: torch.device) -> None:
        self.driver = bindings("driver")
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # creates the context to load into
            major, minor = torch.cuda.get_device_capability(device)
            arch = f"sm_{major}{minor}"
            binary, names = _made.get(arch) or compiled(arch)
            module = checked(self.driver.cuModuleLoadData(binary))
            self.functions = {
                kernel: checked(self.driver.cuModuleGetFunction(module, names[kernel].encode())) for kernel in KERNELS
            }

    def launch(self, kernel: str, grid: Dims, threads: int, *arguments: Argument) -> None:
        """See `Program`."""
        held = Packed(arguments)
        stream = torch.cuda.current_stream().cuda_stream
        checked(self.driver.cuLaunchKernel(self.functions[kernel], *grid, threads, 1, 1, 0, stream, held.address, 0))


class Packed:
    """Kernel arguments in C: an array of pointers to values, valid as long as this object exists."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self.values = [_as_c(argument) for argument in arguments]
        self.pointers = (ctypes.c_void_p * len(self.values))(*(ctypes.addressof(value) for value in self.values))

    @property
    def address(self) -> int:
        """Address of the array."""
        return ctypes.addressof(self.pointers)


def _as_c(argument: Argument) -> ctypes.c_void_p | ctypes.c_float | ctypes.c_uint32:
    if argument is None or isinstance(argument, torch.Tensor):
        return ctypes.c_void_p(None if argument is None else argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_uint32(argument)


def kernels_on(device: torch.device) -> Program | None:
    """The kernels on a device, loaded once per process; None on a CPU and where they cannot be compiled."""
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
        logger.warning("the custom CUDA kernels cannot be used, falling back to slower ones: %s", error)
        return None


def prepare(device: torch.device | str) -> str | None:
    """Compile for the reported architecture of a device, before the first request; returns why that failed, or None.

    Does not use the GPU, so it works before one is attached; processes forked later inherit the result and can use the
    GPU (see `compilation`).
    """
    arch = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    try:
        _made[arch] = compiled_apart(arch)
    except DependencyError as error:
        return str(error)
    return None
