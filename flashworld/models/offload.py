"""Run a network from the CPU's memory: onto the GPU for one call, back afterwards, for cards too small to hold all.

Weights keep their dtype. A parked network costs its weights' bytes over the bus at every call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def visit_device_per_call(network: nn.Module, device: torch.device) -> nn.Module:
    """Hook a network that lives on the CPU so that every forward call runs on `device`, then frees it.

    The CPU copy is pinned once and kept, so coming back copies nothing. The argument itself is hooked and returned.

    Args:
        network: On the CPU, in its final dtype, for inference only.
        device: Where its calls run.
    """
    homes = {name: tensor.data.pin_memory() for name, tensor in _tensors(network)}

    def arrive(module: nn.Module, _inputs: Any) -> None:  # noqa: ANN401 - torch's hook signature
        for name, tensor in _tensors(module):
            tensor.data = homes[name].to(device, non_blocking=True)

    def leave(module: nn.Module, _inputs: Any, _output: Any) -> None:  # noqa: ANN401
        for name, tensor in _tensors(module):
            tensor.data = homes[name]

    network.register_forward_pre_hook(arrive)
    network.register_forward_hook(leave, always_call=True)
    return network


def _tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]
