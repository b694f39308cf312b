"""For GPUs that cannot hold everything at once: which networks stay in CPU memory, and how many frames a batch has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Offload = Literal["text", "vae", "transformer"]
WORKING_BYTES = 17 * 2**29
"""Memory of a 24 x 480 x 704 scene in addition to the weights: the peak on an H200 is 20 GiB, with weights of 11.7 GiB."""
FRAMES_PER_CHUNK = 24
"""Most frames per batch of VAE and Gaussian decoder on a GPU."""
CPU_FRAMES_PER_CHUNK = 4
CHUNK_BYTES_PER_PIXEL = 1024
"""GPU memory of the uncompiled Gaussian decoder per image pixel of a chunk."""
USABLE = 0.8
"""Share of the free memory to plan with: with 9.4 GiB free, the allocator held 1.4 GiB between its blocks."""
SCENE_BYTES_PER_PIXEL = 256
"""GPU memory of maps, Gaussians and images per image pixel of a scene."""


def offload_that_fits(weight_bytes: Mapping[str, int], free_bytes: int) -> tuple[Offload, ...]:
    """The networks to keep in CPU memory so that the rest and a scene of the default size fit on the GPU.

    Args:
        weight_bytes: Bytes of each network's weights, by its name in `Networks.modules`.
        free_bytes: Free memory of the GPU.
    """
    everything = sum(weight_bytes.values())
    if everything + WORKING_BYTES <= free_bytes:
        return ()
    if everything - weight_bytes["text_encoder"] + WORKING_BYTES <= free_bytes:
        return ("text",)
    return ("text", "vae", "transformer")


def frames_that_fit(frames: int, pixels: int, free_bytes: int) -> int:
    """Frames per chunk for VAE and Gaussian decoder, at least 1; fewer need less memory and give the same scene.

    Args:
        frames: Frames of the scene.
        pixels: Pixels per image.
        free_bytes: Free memory of the GPU after the weights have been loaded.
    """
    left = int(USABLE * free_bytes) - SCENE_BYTES_PER_PIXEL * pixels * frames
    return max(1, min(FRAMES_PER_CHUNK, left // (CHUNK_BYTES_PER_PIXEL * pixels)))


def keep_on_cpu(network: nn.Module, device: torch.device) -> None:
    """Keep a network in CPU memory and move it to `device` part by part as it runs.

    Parts are the entries of its lists of blocks: while one computes, the next is copied. Networks without such lists, the
    VAE encoder and the Gaussian decoder, are moved whole.

    Args:
        network: On the CPU, in its final dtype, for inference only.
        device: Where its calls run.
    """
    from diffusers.hooks import apply_group_offloading

    in_blocks = any(isinstance(child, nn.ModuleList) for child in network.children())
    apply_group_offloading(
        network, onload_device=device, offload_type="block_level", num_blocks_per_group=1,
        use_stream=in_blocks and device.type == "cuda", record_stream=in_blocks and device.type == "cuda",
    )  # fmt: skip
