"""Measured peak rates of the device, from which `benchmarks.stages` computes floors.

Matrix multiplication in bfloat16 (float32 on a CPU) and FP8, attention at the model's size, copies in memory and
to the host. Medians after warm-up.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from flashworld.models.fp8 import Fp8Linear, probe_fp8, quantize_input
from flashworld.models.torch_compat import scaled_matmul

ROUNDS = 7
WARM_UP = 3


@dataclass(frozen=True)
class Machine:
    """Peak rates of one device; operations and bytes per second.

    Attributes:
        name: Name of the device.
        torch: torch's version.
        matmul: Matrix multiplication in the networks' dtype.
        fp8: Matrix multiplication in FP8, or None.
        attention: Self-attention in the networks' dtype.
        memory: Bytes read plus bytes written.
        to_host: Bytes from the device to pageable host memory.
    """

    name: str
    torch: str
    matmul: float
    fp8: float | None
    attention: float
    memory: float
    to_host: float


def median_seconds(
    work: Callable[[], object], device: torch.device, rounds: int = ROUNDS, warm_up: int = WARM_UP
) -> float:
    """Median time of one call: CUDA events on a GPU, CPU seconds of this process elsewhere.

    CPU seconds of all threads hardly change when the machine is busy with something else.
    """
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(rounds):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize(device)
            start.record()
            work()
            end.record()
            torch.cuda.synchronize(device)
            times.append(start.elapsed_time(end) / 1e3)
        else:
            begin = time.process_time()
            work()
            times.append(time.process_time() - begin)
    return statistics.median(times)


def measure_machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """Measure everything; a second on a GPU, a few on a CPU."""
    on_gpu = device.type == "cuda"
    with torch.inference_mode():
        return Machine(
            name=torch.cuda.get_device_name(device) if on_gpu else "CPU",
            torch=torch.__version__,
            matmul=_matmul(device, dtype, 8192 if on_gpu else 512),
            fp8=_fp8(device, 8192) if on_gpu else None,
            attention=_attention(device, dtype, (24, 7920, 128) if on_gpu else (4, 512, 32)),
            memory=_copy(device, 2**30 if on_gpu else 2**26),
            to_host=_to_host(device, 2**28),
        )


def _matmul(device: torch.device, dtype: torch.dtype, size: int) -> float:
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / median_seconds(lambda: a @ b, device)


def _fp8(device: torch.device, size: int) -> float | None:
    mode = probe_fp8(device)
    if mode is None:
        return None
    layer = Fp8Linear(torch.randn(size, size, device=device), None, mode, native=True)
    rows, scale = quantize_input(torch.randn(size, size, device=device), mode)

    def multiply() -> torch.Tensor:
        return scaled_matmul(rows, layer.weight, scale, layer.weight_inv_scale)

    return 2 * size**3 / median_seconds(multiply, device)


def _attention(device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int]) -> float:
    q, k, v = (torch.randn(1, *shape, device=device, dtype=dtype) for _ in range(3))
    heads, tokens, width = shape
    return 4 * heads * tokens**2 * width / median_seconds(lambda: scaled_dot_product_attention(q, k, v), device)


def _copy(device: torch.device, count: int) -> float:
    source, target = (torch.empty(count, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * count / median_seconds(lambda: target.copy_(source), device)


def _to_host(device: torch.device, count: int) -> float:
    source, target = torch.empty(count, dtype=torch.uint8, device=device), torch.empty(count, dtype=torch.uint8)
    return count / median_seconds(lambda: target.copy_(source), device)
