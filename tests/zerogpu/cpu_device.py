"""Let the real ZeroGPU code of `spaces` run without a GPU: only opening the device and moving weights are replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_device() -> None:
    """Call after `import spaces`, before the app is imported; needs SPACES_ZERO_GPU."""
    import spaces.zero.torch as zero_torch

    zero_torch.init, zero_torch.move = _init, _move


def _init(nvidia_uuid: str) -> None:
    """Replaces the initialisation of the device in a new worker."""
    os.environ["CUDA_VISIBLE_DEVICES"] = nvidia_uuid


def _move(callback: Callable[[int], object] | None = None) -> None:
    """Replaces the transfer of the packed weights into the stand-in tensors: to CPU memory."""
    import torch
    from spaces.zero.torch import patching

    for fake, original in patching.cuda_aliases.items():
        if original is not None:
            fake.data = torch.Tensor(original)
    for pack in patching.tensor_packs:
        with Path(pack.path()).open("rb") as file:
            for batch in [*pack.batches, *([big] for big in pack.big_tensors)]:
                for tensor, size, aligned_size in batch:
                    raw = torch.frombuffer(bytearray(file.read(aligned_size)[:size]), dtype=torch.uint8)
                    data = raw.view(tensor.dtype).as_strided(tensor.shape, tensor.stride())
                    for fake in pack.fakes[tensor]:
                        fake.data = data
        if callback:
            callback(pack.total_size)
