"""Multiplication by int8 weights as Triton kernels: weights are read as int8 and converted to the dtype of x in registers.

`int8.py` has the same in torch and selects one of the two. As a registered torch operator, it can be exported; a compiled graph
then contains the kernels, so running it needs no Triton.

There are two kernels, for few rows of x and for many. With few, most of the time should be spent on reading the weights: a program
computes some output channels of all rows and advances along the inputs, while the next tiles are copied to shared memory. Each
warp takes other inputs of a tile, so that no weight is converted twice, and the warps' sums are added at the end: the first
dimension of a tile is the warp. Many rows are multiplied in larger tiles, because every tile of rows converts the weights again.
In both, the weights are the left operand of the product: that one has at least 16 rows per instruction, and a short text has fewer.

Numerics: sums of products in float32; scale and bias are applied in float32, and the result is rounded once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl


class Tiles(NamedTuple):
    """How a kernel is launched."""

    rows: int
    """Of x, per program."""
    channels: int
    """Output channels per program."""
    inputs: int
    """At a time; for few rows, at least 32 for each warp."""
    warps: int
    stages: int
    """One more than the tiles in shared memory."""


FEW = Tiles(rows=32, channels=32, inputs=256, warps=4, stages=5)
"""For up to `FEW.rows` rows, all in one program."""
MANY = Tiles(rows=64, channels=64, inputs=64, warps=4, stages=6)
"""For more rows."""


@triton.jit
def _few_rows(
    x, weight, scale, bias, out, rows,
    WIDTH: tl.constexpr, OUTPUTS: tl.constexpr, BIASED: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, INPUTS: tl.constexpr, WARPS: tl.constexpr,
):  # fmt: skip
    row = tl.arange(0, ROWS)
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
    _store(tl.sum(parts, 0), scale, bias, out, row, rows, channel, OUTPUTS, BIASED)


@triton.jit
def _many_rows(
    x, weight, scale, bias, out, rows,
    WIDTH: tl.constexpr, OUTPUTS: tl.constexpr, BIASED: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)  # neighbouring programs read the same weights
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row_exists, channel_exists = row < rows, channel < OUTPUTS
    i = tl.arange(0, INPUTS)
    x_place = x + row.to(tl.int64)[None, :] * WIDTH + i[:, None]
    weight_place = weight + channel.to(tl.int64)[:, None] * WIDTH + i[None, :]
    total = tl.zeros((CHANNELS, ROWS), tl.float32)
    for _ in range(WIDTH // INPUTS):
        w = tl.load(weight_place, mask=channel_exists[:, None], other=0)
        v = tl.load(x_place, mask=row_exists[None, :], other=0.0)
        total = tl.dot(w.to(v.dtype), v, total)
        weight_place += INPUTS
        x_place += INPUTS
    if WIDTH % INPUTS > 0:
        inside = i < WIDTH % INPUTS
        w = tl.load(weight_place, mask=channel_exists[:, None] & inside[None, :], other=0)
        v = tl.load(x_place, mask=row_exists[None, :] & inside[:, None], other=0.0)
        total = tl.dot(w.to(v.dtype), v, total)
    _store(total, scale, bias, out, row, rows, channel, OUTPUTS, BIASED)


@triton.jit
def _store(total, scale, bias, out, row, rows, channel, OUTPUTS: tl.constexpr, BIASED: tl.constexpr):
    row_exists, channel_exists = row < rows, channel < OUTPUTS
    total *= tl.load(scale + channel, mask=channel_exists, other=0.0)[:, None]
    if BIASED:
        total += tl.load(bias + channel, mask=channel_exists, other=0.0).to(tl.float32)[:, None]
    place = out + row.to(tl.int64)[None, :] * OUTPUTS + channel[:, None]
    tl.store(place, total.to(out.dtype.element_ty), mask=row_exists[None, :] & channel_exists[:, None])


def _ceil_div(count: int, size: int) -> int:
    return (count + size - 1) // size


def _launch_int8_linear(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    rows, width = x.shape
    outputs = weight.shape[0]
    out = x.new_empty((rows, outputs))
    tensors = (x, weight, scale, scale if bias is None else bias, out, rows)
    # One of the grids is empty, and its kernel is not launched. No `if`: in a graph the number of rows is a symbol.
    many = torch.sym_min(1, rows // (FEW.rows + 1))
    torch.library.wrap_triton(_few_rows)[(1 - many, _ceil_div(outputs, FEW.channels))](
        *tensors, WIDTH=width, OUTPUTS=outputs, BIASED=bias is not None,
        ROWS=FEW.rows, CHANNELS=FEW.channels, INPUTS=FEW.inputs, WARPS=FEW.warps,
        num_warps=FEW.warps, num_stages=FEW.stages,
    )  # fmt: skip
    torch.library.wrap_triton(_many_rows)[(many * _ceil_div(rows, MANY.rows), _ceil_div(outputs, MANY.channels))](
        *tensors, WIDTH=width, OUTPUTS=outputs, BIASED=bias is not None,
        ROWS=MANY.rows, CHANNELS=MANY.channels, INPUTS=MANY.inputs,
        num_warps=MANY.warps, num_stages=MANY.stages,
    )  # fmt: skip
    return out


_int8_linear_op = torch.library.triton_op("flashworld::int8_linear", _launch_int8_linear, mutates_args=())


def int8_linear(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """See `int8.int8_linear`; x has two dimensions, and all tensors are contiguous."""
    return _int8_linear_op(x, weight, scale, bias)
