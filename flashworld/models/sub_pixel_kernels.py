"""The interleaving step of sub-pixel upsampling as a Triton kernel: every value is read once and written once.

`sub_pixel.py` has the same in torch and documents it. As a registered torch operator, it can be exported. A program takes
neighbouring pixels of one row, so that no pixel's number has to be divided into frame, row and column.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

PIXELS_AT_ONCE = 4
CHANNELS_AT_ONCE = 512


@triton.jit
def _interleave(
    squares, bias, shortcut, out, height, width,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    x, y = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), tl.program_id(1)
    frame = (tl.program_id(2) // PARTS).to(tl.int64)
    channel = tl.program_id(2) % PARTS * BLOCK + tl.arange(0, BLOCK)
    inside = (x[:, None] < 2 * width) & (channel[None, :] < CHANNELS)
    a, b, h, w = y % 2, x % 2, y // 2, x // 2
    place = (2 * a + b) * CHANNELS
    square = ((frame * (height + 1) + h + a) * (width + 1) + w + b) * (4 * CHANNELS) + place
    value = tl.load(squares + square[:, None] + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + place[:, None] + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    which = (a % ROWS) * COLUMNS + b % COLUMNS
    source = ((frame * height + h) * width + w) * (CHANNELS * ROWS * COLUMNS) + which
    value += tl.load(
        shortcut + source[:, None] + channel[None, :] * (ROWS * COLUMNS), mask=inside, other=0.0
    ).to(tl.float32)  # fmt: skip
    target = ((frame * 2 * height + y) * (2 * width) + x) * CHANNELS
    tl.store(out + target[:, None] + channel[None, :], value.to(out.dtype.element_ty), mask=inside)


def _launch_interleave(
    squares: torch.Tensor, bias: torch.Tensor, shortcut: torch.Tensor, rows: int, columns: int
) -> torch.Tensor:
    squares, shortcut = squares.permute(0, 2, 3, 1).contiguous(), shortcut.permute(0, 2, 3, 1).contiguous()
    frames, height, width = shortcut.shape[:3]
    channels = bias.shape[0] // 4
    out = squares.new_empty((frames, 2 * height, 2 * width, channels))
    block = min(CHANNELS_AT_ONCE, 1 << (channels - 1).bit_length())
    parts = (channels + block - 1) // block
    torch.library.wrap_triton(_interleave)[
        ((2 * width + PIXELS_AT_ONCE - 1) // PIXELS_AT_ONCE, 2 * height, frames * parts)
    ](
        squares, bias, shortcut, out, height, width,
        CHANNELS=channels, ROWS=rows, COLUMNS=columns, PIXELS=PIXELS_AT_ONCE, BLOCK=block, PARTS=parts, num_warps=8,
    )  # fmt: skip
    return out.permute(0, 3, 1, 2)


_interleave_op = torch.library.triton_op("flashworld::interleave", _launch_interleave, mutates_args=())


def interleave(
    squares: torch.Tensor, bias: torch.Tensor, shortcut: torch.Tensor, rows: int, columns: int
) -> torch.Tensor:
    """See `sub_pixel.interleave`; `shortcut`'s channels spread over alternate `rows` and `columns`, 1 or 2 each."""
    return _interleave_op(squares, bias, shortcut, rows, columns)
