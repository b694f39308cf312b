"""Offload a network to CPU memory and move it to the GPU for each call, for GPUs too small to hold all networks.

Weights keep their dtype. Every call of an offloaded network transfers its weights over the bus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

Offload = Literal["text", "vae", "transformer"]
WORKING_BYTES = 17 * 2**29
"""Memory of a 24 x 480 x 704 scene in addition to the weights: the peak on an H200 is 20 GiB, with weights of 11.7 GiB."""


def offload_that_fits(weight_bytes: Mapping[str, int], free_bytes: int) -> tuple[Offload, ...]:
    """The networks to keep in CPU memory so that the rest and a scene of the default size fit on the GPU.

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
    """Hook a network on the CPU so that every forward call runs on `device`, whose memory is freed afterwards.

    The CPU copy is pinned once and kept, so moving back copies nothing. The argument itself is hooked and returned.

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
