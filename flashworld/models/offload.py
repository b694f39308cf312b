"""Run a network from the CPU's memory: onto the GPU for one call, back afterwards, for cards too small to hold all.

Weights keep their dtype. A parked network costs its weights' bytes over the bus at every call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

Offload = Literal["text", "vae", "transformer"]
WORKING_BYTES = 17 * 2**29
"""What a scene of 24 x 480 x 704 needs beside the weights: 20 GiB at the most on an H200, with weights of 11.7 GiB."""


def offload_that_fits(weight_bytes: Mapping[str, int], free_bytes: int) -> tuple[Offload, ...]:
    """The networks to keep in the CPU's memory so that the rest and a scene of the usual size fit on the GPU.

    Args:
        weight_bytes: Of each network, by its name in `Networks.modules`.
        free_bytes: Of the GPU.
    """
    everything = sum(weight_bytes.values())
    if everything + WORKING_BYTES <= free_bytes:
        return ()
    if everything - weight_bytes["text_encoder"] + WORKING_BYTES <= free_bytes:
        return ("text",)
    return ("text", "vae", "transformer")


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
