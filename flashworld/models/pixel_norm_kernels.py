"""Bias, shortcut, norm and SiLU after a convolution as a Triton kernel: every pixel is read once and written once.

`residual_blocks.conv_norm_silu` has the same in torch. As a registered torch operator, it can be exported. A program takes a
tile of neighbouring pixels. The VAE's channel counts are 2^k or 5 * 2^k (160, 320, 640), and Triton's tiles have powers of two:
a tile is divided into the largest power of two and a tail, because a tile of 256 channels would leave three eighths of its threads idle.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton import knobs
from triton.language.extra import libdevice

VALUES_PER_WARP = 1024
"""Size of a tile without its tail; with it, 32 to 40 values per thread."""
WARPS = {256: 1, 512: 1}
"""By width of the tile without its tail, for other widths 2: where the compiled code for sm_90 has the fewest instructions
per value (17 to 20, with a shortcut 22 to 26). One warp needs no barriers."""
FAST_SILU = not knobs.runtime.interpret
"""The interpreter, which tests use, has no device functions."""


@triton.jit
def _sum_part(x, bias, shortcut, total, row, narrow, i, inside, present, ADD: tl.constexpr):
    """Some channels of a tile: the convolution's result plus bias and shortcut, which is also stored; float32."""
    value = tl.load(x + row + i, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + i, mask=present, other=0.0).to(tl.float32)
    if ADD:
        value += tl.load(shortcut + narrow + i, mask=inside, other=0.0).to(tl.float32)
        stored = value.to(total.dtype.element_ty)
        tl.store(total + narrow + i, stored, mask=inside)
        value = stored.to(tl.float32)
    return value


@triton.jit
def _silu(value, FAST: tl.constexpr):
    """In float32. FAST omits the instructions that keep results below 1e-36 exact: 6 of the kernel's 25 per value."""
    if FAST:
        return libdevice.fast_dividef(value, 1.0 + libdevice.fast_expf(-value))  # type: ignore[operator]
    return value / (1.0 + tl.exp(-value))


@triton.jit
def _store_part(value, scale, gamma, normed, narrow, i, inside, present, FAST: tl.constexpr):
    """Norm and SiLU of some channels."""
    value = value * scale[:, None] * tl.load(gamma + i, mask=present, other=0.0).to(tl.float32)
    value = _silu(value, FAST)
    tl.store(normed + narrow + i, value.to(normed.dtype.element_ty), mask=inside)


@triton.jit
def _add_norm_silu(
    x, bias, shortcut, gamma, total, normed, pixels,
    STRIDE: tl.constexpr, CHANNELS: tl.constexpr, HEAD: tl.constexpr, TAIL: tl.constexpr, EPS: tl.constexpr,
    ADD: tl.constexpr, FAST: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    row, narrow = pixel[:, None] * STRIDE, pixel[:, None] * CHANNELS
    inside = pixel[:, None] < pixels
    i = tl.arange(0, HEAD)[None, :]
    head = _sum_part(x, bias, shortcut, total, row, narrow, i, inside, i < CHANNELS, ADD)
    squares = tl.sum(head * head, 1)
    if TAIL > 0:
        j = HEAD + tl.arange(0, TAIL)[None, :]
        present = j < CHANNELS
        tail = _sum_part(x, bias, shortcut, total, row, narrow, j, inside & present, present, ADD)
        squares += tl.sum(tl.where(present, tail * tail, 0.0), 1)
    scale = tl.rsqrt(squares / CHANNELS + EPS)
    _store_part(head, scale, gamma, normed, narrow, i, inside, i < CHANNELS, FAST)
    if TAIL > 0:
        _store_part(tail, scale, gamma, normed, narrow, j, inside & present, present, FAST)


def _launch_add_norm_silu(
    x: torch.Tensor, bias: torch.Tensor, shortcut: torch.Tensor | None, gamma: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.permute(0, 2, 3, 1).contiguous()
    frames, height, width, stride = x.shape
    channels = gamma.shape[0]
    head = 1 << (channels.bit_length() - 1)
    tail = 1 << (channels - head - 1).bit_length() if channels > head else 0
    normed = x.new_empty((frames, height, width, channels))
    adds = shortcut is not None
    total = torch.empty_like(normed) if adds else x.new_empty(0)
    warps = WARPS.get(head, 2)
    at_once = max(1, VALUES_PER_WARP * warps // head)
    pixels = frames * height * width
    torch.library.wrap_triton(_add_norm_silu)[((pixels + at_once - 1) // at_once,)](
        x, bias, gamma if shortcut is None else shortcut.permute(0, 2, 3, 1).contiguous(), gamma,
        total if adds else normed, normed, pixels,
        STRIDE=stride, CHANNELS=channels, HEAD=head, TAIL=tail, EPS=eps, ADD=adds, FAST=FAST_SILU,
        PIXELS=at_once, num_warps=warps,
    )  # fmt: skip
    return total.permute(0, 3, 1, 2) if adds else total, normed.permute(0, 3, 1, 2)


_add_norm_silu_op = torch.library.triton_op("flashworld::add_norm_silu", _launch_add_norm_silu, mutates_args=())


def add_norm_silu(
    x: torch.Tensor, bias: torch.Tensor, shortcut: torch.Tensor | None, gamma: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """SiLU of the norm of x + bias + shortcut.

    Args:
        x: The products of a convolution, bfloat16; channels beyond those of `gamma` are ignored. (N, C or more, H, W)
        bias: bfloat16 or float32. (C,)
        shortcut: Added; None adds nothing. (N, C, H, W)
        gamma: Factors of the norm. (C,)
        eps: Added to the mean square.

    Returns:
        The sum, empty without a shortcut, and the result; channels_last. (N, C, H, W) each
    """
    return _add_norm_silu_op(x, bias, shortcut, gamma, eps)
