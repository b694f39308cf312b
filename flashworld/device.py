"""The default model and device, and the number of usable cores. Whether CUDA can be used is determined only here."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from flashworld.errors import DependencyError

NANO = "nano"
NO_GPU = ("Found no NVIDIA driver", "No CUDA GPUs are available", "Torch not compiled with CUDA")
"""Messages by which torch reports a machine without a GPU, which is not a fault."""


def choose_source(wanted: str = "auto") -> str:
    """The model for "auto": "full" with a CUDA device, else "nano"; any other name unchanged."""
    if wanted != "auto":
        return wanted
    return "full" if torch.cuda.is_available() else NANO


def choose_device(wanted: str | torch.device | None = None, source: str | Path = "full") -> torch.device:
    """The requested device, by default CUDA if available; nano defaults to the CPU, where it is as fast.

    Raises:
        DependencyError: CUDA is requested and cannot be used.
    """
    if wanted is not None:
        device = torch.device(wanted)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DependencyError(f"device cuda: {cuda_fault() or 'this machine has no NVIDIA GPU that torch can see'}")
        return device
    return torch.device("cuda" if source != NANO and torch.cuda.is_available() else "cpu")


def cuda_fault() -> str | None:
    """Why an installed GPU cannot be used, in one sentence; None if it can, or if there is none."""
    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        text = str(error).strip()
        if text.startswith(NO_GPU):
            return None
        if "driver" in text and "too old" in text:
            _, _, version = text.partition("version ")
            found = version.split(")")[0]
            return (
                f"the NVIDIA driver is too old (it serves CUDA {_cuda_version(found)}, torch {torch.__version__} wants "
                f"{torch.version.cuda}): update the driver"
            )
        return f"the GPU cannot be used: {text.splitlines()[0]}"
    return None


def _cuda_version(number: str) -> str:
    """The driver's version number, 11040, in the usual form: 11.4."""
    return f"{int(number) // 1000}.{int(number) % 1000 // 10}" if number.isdigit() else number


def network_dtype(device: torch.device, source: str | Path = "full") -> torch.dtype:
    """The networks' dtype: bfloat16 on CUDA; float32 on the CPU, and for nano, which is small, everywhere."""
    return torch.bfloat16 if device.type == "cuda" and source != NANO else torch.float32


def free_gpu_bytes(device: torch.device) -> int:
    """What this process can still allocate on a GPU: free memory and its own unused reserve, within its limit if it has one."""
    free, total = torch.cuda.mem_get_info(device)
    used, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    limit = int(total * torch.cuda.get_per_process_memory_fraction(torch.device(device).index))
    return min(free + reserved - used, limit - used)


def usable_cores() -> int:
    """Number of processor cores that this process may use, at least 1: fewer than the machine has if it is bound to some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
