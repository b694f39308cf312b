"""Whether Triton kernels can be used. Tested once per device, because they cannot start without a C compiler, for example."""

from __future__ import annotations

import logging
from functools import cache

import torch

logger = logging.getLogger(__name__)


def kernels_run(x: torch.Tensor) -> bool:
    """Whether a kernel may take this tensor: on CUDA, in bfloat16, without gradients; during export, or on a device where
    one has run.
    """
    if not x.is_cuda or x.dtype != torch.bfloat16 or (torch.is_grad_enabled() and x.requires_grad):
        return False
    return torch.compiler.is_compiling() or kernels_start(x.device)


@cache
def kernels_start(device: torch.device) -> bool:
    """Run one small kernel and check its result."""
    try:
        from flashworld.models.block_kernels import quantize

        _, scale = quantize(torch.full((4, 64), 448.0, device=device, dtype=torch.bfloat16), False)
        right = bool((scale == 1).all())
    except Exception:
        # Triton may raise anything (compilers, drivers); the torch implementation still works, more slowly.
        logger.warning("Triton kernels cannot run on this machine; using torch operations instead", exc_info=True)
        return False
    if not right:
        logger.warning("Triton kernels give wrong results on this machine; using torch operations instead")
    return right
