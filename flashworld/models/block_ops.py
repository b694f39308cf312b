"""The operations of an eight-bit transformer block between its matrix multiplications, each a single pass over memory.

Each is written twice: here in torch, and as a Triton kernel in `block_kernels.py` for CUDA tensors. Both round at the
same points: the residual stream, queries, keys and the results of attention to bfloat16; whatever enters a matrix multiplication
to e4m3 with one scale per token, the results of norm and GELU directly from float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from flashworld.models.fp8 import quantize_input
from flashworld.models.triton_use import kernels_run

try:  # names, not the module: the sources of a compiled graph are located through them
    from flashworld.models.block_kernels import norm_quantize as norm_quantize_kernel
    from flashworld.models.block_kernels import norm_rotate as norm_rotate_kernel
    from flashworld.models.block_kernels import quantize as quantize_kernel
    from flashworld.models.block_kernels import text_attention as text_attention_kernel
except ImportError:  # no Triton: macOS, or a torch without CUDA
    HAVE_TRITON = False
else:
    HAVE_TRITON = True


def norm_quantize(
    x: torch.Tensor,
    y: torch.Tensor | None,
    gate: torch.Tensor | None,
    gain: torch.Tensor,
    offset: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add to the residual stream, normalise it, round to e4m3.

    Args:
        x: The stream, bfloat16. (tokens, width)
        y: Added to it; None adds nothing.
        gate: Factor of `y`, float32 (width,); None for 1.
        gain: Factor of the norm's result, float32. (width,)
        offset: Added after `gain`.
        eps: Epsilon of the layer norm.

    Returns:
        The stream after the addition, e4m3 (tokens, width), inverse scales (tokens, 1).
    """
    if HAVE_TRITON and kernels_run(x):
        total, q, scale = norm_quantize_kernel(x, y, gate, gain, offset, eps)
        return x if y is None else total, q, scale
    if y is not None:
        x = (x.float() + (y.float() if gate is None else y.float() * gate)).to(x.dtype)
    normed = F.layer_norm(x.float(), x.shape[1:], None, None, eps) * gain + offset
    return x, *quantize_input(normed, "per_row")


def quantize(x: torch.Tensor, *, gelu: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Round bfloat16 (tokens, width), optionally after GELU, to e4m3 and inverse scales (tokens, 1)."""
    if HAVE_TRITON and kernels_run(x):
        return quantize_kernel(x.contiguous(), gelu)
    return quantize_input(F.gelu(x.float(), approximate="tanh") if gelu else x, "per_row")


def norm_rotate(
    x: torch.Tensor, start: int, gain: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor] | None, eps: float
) -> torch.Tensor:
    """RMS-normalise some columns, scale them, and apply the rotary embedding to neighbouring pairs.

    Args:
        x: Queries, or queries, keys and values side by side, bfloat16. (tokens, columns)
        start: First column; the number of columns is the length of `gain`.
        gain: bfloat16. (width,)
        rotary: Cosines and sines, each twice, float32, the same for every head; None skips the rotation. (tokens, head) each
        eps: Epsilon of the norm.

    Returns:
        (tokens, width)
    """
    cos, sin = rotary or (None, None)
    if HAVE_TRITON and kernels_run(x):
        return norm_rotate_kernel(x, start, gain, cos, sin, eps)
    width = len(gain)
    normed = F.rms_norm(x[:, start : start + width], (width,), gain, eps)
    if cos is None or sin is None:
        return normed
    even, odd = normed.float().unflatten(1, (-1, cos.shape[1] // 2, 2)).unbind(-1)
    c, s = cos[:, None, 0::2], sin[:, None, 0::2]
    return torch.stack([even * c - odd * s, even * s + odd * c], dim=-1).flatten(1).to(x.dtype)


def text_attention(query: torch.Tensor, context: torch.Tensor, index: int, heads: int, text_rows: int) -> torch.Tensor:
    """Attention to the keys and values of a text whose last row also stands for those that are missing.

    Args:
        query: (tokens, width)
        context: Keys and values of every block, contiguous; 2 to `text_rows` text tokens. (blocks, 2, text tokens, width)
        index: Of the block.
        heads: Number of heads, each with as many neighbouring columns.
        text_rows: Rows of a padded text.

    Returns:
        (tokens, width)
    """
    if HAVE_TRITON and kernels_run(query):
        return text_attention_kernel(query, context, index, heads, text_rows)
    texts = context[index]
    every = torch.arange(text_rows, device=query.device).clamp(max=texts.shape[1] - 1)
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(0, 1)[None] for x in (query, *texts[:, every].unbind(0)))
    return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)
