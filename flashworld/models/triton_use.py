"""Whether Triton kernels can be used: tried once a device, because without a C compiler, for one, none can start."""

from __future__ import annotations

import logging
from functools import cache

import torch

logger = logging.getLogger(__name__)


def kernels_run(x: torch.Tensor) -> bool:
    """Whether a kernel may take this tensor: on CUDA, in bfloat16, without gradients; in a graph being made, or where one
    has run.
    """
    if not x.is_cuda or x.dtype != torch.bfloat16 or (torch.is_grad_enabled() and x.requires_grad):
        return False
    return torch.compiler.is_compiling() or kernels_start(x.device)


@cache
def kernels_start(device: torch.device) -> bool:
    """Run one small kernel and look at its answer."""
    try:
        from flashworld.models.block_kernels import quantize

        _, scale = quantize(torch.full((4, 64), 448.0, device=device, dtype=torch.bfloat16), False)
        right = bool((scale == 1).all())
    except Exception:
        # Whatever Triton raises (compilers, drivers): the same in torch still works, slower.
        logger.warning("Triton kernels do not run here, torch's operations do", exc_info=True)
        return False
    if not right:
        logger.warning("Triton kernels give wrong numbers here, torch's operations are used")
    return right
