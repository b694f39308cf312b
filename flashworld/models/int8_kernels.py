"""Multiplication by int8 weights as a Triton kernel: weights are read as int8 and converted to the dtype of x in registers.

`int8.py` has the same in torch and selects one of the two. As a registered torch operator, the kernel can be exported; a
compiled graph then contains it, so running it needs no Triton.

With few rows of x, most of the time should be spent on reading the weights. A program computes some output channels of some
rows and advances along the inputs, while the next tiles are copied to shared memory. Each warp takes other inputs of a tile, so
that no weight is converted twice, and the warps' sums are added at the end: the first dimension of a tile is the warp. The
weights are the left operand of the product, because that one has 16 rows per instruction, and x has few rows.

Numerics: sums of products in float32; scale and bias are applied in float32, and the result is rounded once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

INT8_ROWS, INT8_CHANNELS, INT8_INPUTS, INT8_WARPS, INT8_STAGES = 32, 32, 256, 4, 5
"""Rows of x and output channels of a program; inputs that it takes at a time, at least 32 for each of its warps; its warps; one
more than the tiles in shared memory."""


@triton.jit
def _int8_linear(
    x, weight, scale, bias, out, rows,
    WIDTH: tl.constexpr, OUTPUTS: tl.constexpr, BIASED: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, INPUTS: tl.constexpr, WARPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)  # neighbouring programs read the same weights
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row_exists, channel_exists = row < rows, channel < OUTPUTS
    warp, i = tl.arange(0, WARPS)[:, None, None], tl.arange(0, INPUTS // WARPS)[None, None, :]
    i += warp * (INPUTS // WARPS)
    x_place = x + row.to(tl.int64)[None, :, None] * WIDTH + i
    weight_place = weight + channel.to(tl.int64)[None, :, None] * WIDTH + i
    parts = tl.zeros((WARPS, CHANNELS, ROWS), tl.float32)
    for _ in range(WIDTH // INPUTS):
        w = tl.load(weight_place, mask=channel_exists[None, :, None], other=0)
        v = tl.load(x_place, mask=row_exists[None, :, None], other=0.0)
        parts = tl.dot(w.to(v.dtype), tl.trans(v, 0, 2, 1), parts)
        weight_place += INPUTS
        x_place += INPUTS
    if WIDTH % INPUTS > 0:
        inside = i < WIDTH % INPUTS
        w = tl.load(weight_place, mask=channel_exists[None, :, None] & inside, other=0)
        v = tl.load(x_place, mask=row_exists[None, :, None] & inside, other=0.0)
        parts = tl.dot(w.to(v.dtype), tl.trans(v, 0, 2, 1), parts)
    total = tl.sum(parts, 0) * tl.load(scale + channel, mask=channel_exists, other=0.0)[:, None]
    if BIASED:
        total += tl.load(bias + channel, mask=channel_exists, other=0.0).to(tl.float32)[:, None]
    place = out + row.to(tl.int64)[None, :] * OUTPUTS + channel[:, None]
    tl.store(place, total.to(out.dtype.element_ty), mask=row_exists[None, :] & channel_exists[:, None])


def _launch_int8_linear(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    rows, width = x.shape
    outputs = weight.shape[0]
    out = x.new_empty((rows, outputs))
    grid = ((rows + INT8_ROWS - 1) // INT8_ROWS, (outputs + INT8_CHANNELS - 1) // INT8_CHANNELS)
    torch.library.wrap_triton(_int8_linear)[grid](
        x, weight, scale, scale if bias is None else bias, out, rows,
        WIDTH=width, OUTPUTS=outputs, BIASED=bias is not None,
        ROWS=INT8_ROWS, CHANNELS=INT8_CHANNELS, INPUTS=INT8_INPUTS, WARPS=INT8_WARPS, num_warps=INT8_WARPS, num_stages=INT8_STAGES,
    )  # fmt: skip
    return out


_int8_linear_op = torch.library.triton_op("flashworld::int8_linear", _launch_int8_linear, mutates_args=())


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """See `int8.int8_linear`; x has two dimensions, and all tensors are contiguous."""
    return _int8_linear_op(x, weight, scale, bias)
