"""Video-VAE weights for one-frame videos: 3D causal kernels become 2D ones.

A causal convolution over a one-frame video sees only zeros in its past, so only the last time slice of its kernel
receives data. Kernels lose their time axis, and the layers that only combine frames (`time_conv`) are omitted. Norm scales
lose their trailing axes of size one. Names stay those of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

ENCODER_PREFIXES = ("encoder.", "quant_conv.")
"""The tensors of the VAE's file that the still-frame encoder uses; the VAE's own decoder is not used."""


def still_frame_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Reduce a state dict to one-frame input; one that is already reduced is returned unchanged.

    Args:
        state: Checkpoint tensors: kernels (out, in, T, kh, kw) or (out, in, kh, kw), norm scales (C, 1, 1[, 1]) or (C,).

    Returns:
        Kernels (out, in, kh, kw), norm scales (C,), the rest unchanged; no `time_conv`.
    """
    return {name: _cut(name, tensor) for name, tensor in state.items() if ".time_conv." not in name}


def _cut(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith(".gamma"):
        return tensor.flatten()
    return tensor[:, :, -1].contiguous() if tensor.ndim == 5 else tensor
