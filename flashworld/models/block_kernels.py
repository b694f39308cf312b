"""The block's operations between matrix multiplications, as Triton kernels: a row is read once, kept in registers, written once.

`block_ops.py` has the same in torch, documents each operation, and selects one of the two. As registered torch operators, the
kernels can be exported; a compiled graph then contains them, so running it needs no Triton.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl


class Launch(NamedTuple):
    """How a kernel is divided among programs, tuned on an H200.

    Attributes:
        rows: Rows that a program processes one after another; values shared by all rows stay in registers.
        warps: Warps per program.
    """

    rows: int
    warps: int


LOG2E = tl.constexpr(1.4426950408889634)
GELU_LINEAR = tl.constexpr(-2 * 1.4426950408889634 * 0.7978845608028654)
GELU_CUBIC = tl.constexpr(-2 * 1.4426950408889634 * 0.7978845608028654 * 0.044715)
"""-2 u / ln 2 = GELU_LINEAR v + GELU_CUBIC v^3."""
TEXT_ROWS, TEXTS, TEXT_WARPS = 64, 32, 4
"""Rows of queries of a program, how many rows of the text it takes at a time, its warps."""
NORM_QUANTIZE, QUANTIZE, QUANTIZE_GELU = Launch(30, 4), Launch(1, 2), Launch(1, 4)


@triton.jit
def _norm_quantize(
    x, y, gate, gain, offset, out, q, scale, rows,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, EPS: tl.constexpr, ADD: tl.constexpr, GATED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    i = tl.arange(0, BLOCK)
    inside = i < WIDTH
    gains, offsets = tl.load(gain + i, mask=inside, other=0.0), tl.load(offset + i, mask=inside, other=0.0)
    if GATED:
        gates = tl.load(gate + i, mask=inside, other=0.0)
    first = tl.program_id(0) * ROWS
    place = first.to(tl.int64) * WIDTH + i
    there = inside & (first < rows)
    next_x = tl.load(x + place, mask=there, other=0.0)
    if ADD:
        next_y = tl.load(y + place, mask=there, other=0.0)
    for step in range(ROWS):
        row = first + step
        here, there = there, inside & (row + 1 < rows)
        v = next_x.to(tl.float32)
        next_x = tl.load(x + place + WIDTH, mask=there, other=0.0)
        if ADD:
            w = next_y.to(tl.float32)
            next_y = tl.load(y + place + WIDTH, mask=there, other=0.0)
            if GATED:
                w = w * gates
            total = (v + w).to(tl.bfloat16)
            tl.store(out + place, total, mask=here)
            v = total.to(tl.float32)
        centred = tl.where(inside, v - tl.sum(v, 0) / WIDTH, 0.0)
        v = centred * tl.rsqrt(tl.sum(centred * centred, 0) / WIDTH + EPS)
        _quantize_row(v * gains + offsets, q + place, here, scale + row, row < rows)
        place += WIDTH


@triton.jit
def _quantize_row(v, q, here, scale, row_exists):
    amax = tl.maximum(tl.max(tl.abs(v), 0), 1e-12)
    tl.store(q, (v * (448.0 / amax)).to(tl.float8e4nv), mask=here)  # the conversion saturates
    tl.store(scale, amax / 448.0, mask=row_exists)


@triton.jit
def _quantize(x, q, scale, rows, WIDTH: tl.constexpr, BLOCK: tl.constexpr, GELU: tl.constexpr, ROWS: tl.constexpr):
    i = tl.arange(0, BLOCK)
    inside = i < WIDTH
    first = tl.program_id(0) * ROWS
    place = first.to(tl.int64) * WIDTH + i
    there = inside & (first < rows)
    following = tl.load(x + place, mask=there, other=0.0)
    for step in range(ROWS):
        row = first + step
        here, there = there, inside & (row + 1 < rows)
        v = following.to(tl.float32)
        following = tl.load(x + place + WIDTH, mask=there, other=0.0)
        if GELU:  # v / 2 (1 + tanh u) = v / (1 + exp(-2 u)), with one exponential to base 2 and no division
            root = tl.rsqrt(1.0 + tl.exp2(v * (GELU_LINEAR + GELU_CUBIC * v * v)))
            v = v * root * root
        _quantize_row(v, q + place, here, scale + row, row < rows)
        place += WIDTH


@triton.jit
def _norm_rotate(
    x, stride, start, gain, cos, sin, out,
    WIDTH: tl.constexpr, PAIRS: tl.constexpr, HEAD: tl.constexpr, EPS: tl.constexpr, ROTATE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    pair = tl.arange(0, PAIRS)
    i = 2 * pair[:, None] + tl.arange(0, 2)[None, :]
    inside = i < WIDTH
    v = tl.load(x + row * stride + start + i, mask=inside, other=0.0).to(tl.float32)
    v = v * tl.rsqrt(tl.sum(tl.sum(v * v, 1), 0) / WIDTH + EPS)
    v = (v * tl.load(gain + i, mask=inside, other=0.0).to(tl.float32)).to(tl.bfloat16)
    if ROTATE:
        even, odd = tl.split(v.to(tl.float32))
        at = row * HEAD + 2 * (pair % (HEAD // 2))
        c, s = tl.load(cos + at), tl.load(sin + at)
        v = tl.join(even * c - odd * s, even * s + odd * c).to(tl.bfloat16)
    tl.store(out + row * WIDTH + i, v, mask=inside)


@triton.jit
def _text_attention(
    query, context, out, rows, texts, first,
    ALL: tl.constexpr, WIDTH: tl.constexpr, HEAD: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, TEXTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, BLOCK)
    inside = channel < HEAD
    column = tl.program_id(1) * HEAD + channel
    here = (row < rows)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    q = tl.load(query + place, mask=here, other=0.0)
    largest = tl.full((ROWS,), -float("inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    mixed = tl.zeros((ROWS, BLOCK), tl.float32)
    keys = context + first.to(tl.int64) * texts * WIDTH
    values = keys + texts.to(tl.int64) * WIDTH
    for start in range(0, texts, TEXTS):
        text = start + tl.arange(0, TEXTS)
        there = (text < texts)[:, None] & inside[None, :]
        at = text[:, None] * WIDTH + column[None, :]
        k, v = tl.load(keys + at, mask=there, other=0.0), tl.load(values + at, mask=there, other=0.0)
        logits = tl.dot(q, tl.trans(k)) * (LOG2E / (HEAD**0.5))
        logits += tl.where(text == texts - 1, tl.log2((ALL + 1 - texts).to(tl.float32)), 0.0)[None, :]
        logits = tl.where((text < texts)[None, :], logits, -float("inf"))
        peak = tl.maximum(largest, tl.max(logits, 1))
        weights, older = tl.exp2(logits - peak[:, None]), tl.exp2(largest - peak)
        total = total * older + tl.sum(weights, 1)
        mixed = mixed * older[:, None] + tl.dot(weights.to(v.dtype), v)
        largest = peak
    tl.store(out + place, (mixed / total[:, None]).to(out.dtype.element_ty), mask=here)


def _padded(width: int) -> int:
    """The next power of two, as Triton's ranges require."""
    return 1 << (width - 1).bit_length()


def _programs(rows: int, launch: Launch) -> int:
    return (rows + launch.rows - 1) // launch.rows


def _launch_norm_quantize(
    x: torch.Tensor,
    y: torch.Tensor | None,
    gate: torch.Tensor | None,
    gain: torch.Tensor,
    offset: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, width = x.shape
    total = x.new_empty(0) if y is None else torch.empty_like(x)
    q, scale = x.new_empty(x.shape, dtype=torch.float8_e4m3fn), x.new_empty((rows, 1), dtype=torch.float32)
    block = _padded(width)
    torch.library.wrap_triton(_norm_quantize)[(_programs(rows, NORM_QUANTIZE),)](
        x, x if y is None else y, gain if gate is None else gate, gain, offset, x if y is None else total, q, scale, rows,
        WIDTH=width, BLOCK=block, EPS=eps, ADD=y is not None, GATED=gate is not None, ROWS=NORM_QUANTIZE.rows,
        num_warps=NORM_QUANTIZE.warps,
    )  # fmt: skip
    return total, q, scale


def _launch_quantize(x: torch.Tensor, gelu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    rows, width = x.shape
    q, scale = x.new_empty(x.shape, dtype=torch.float8_e4m3fn), x.new_empty((rows, 1), dtype=torch.float32)
    launch = QUANTIZE_GELU if gelu else QUANTIZE
    torch.library.wrap_triton(_quantize)[(_programs(rows, launch),)](
        x, q, scale, rows, WIDTH=width, BLOCK=_padded(width), GELU=gelu, ROWS=launch.rows, num_warps=launch.warps
    )
    return q, scale


def _launch_norm_rotate(
    x: torch.Tensor, start: int, gain: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, eps: float
) -> torch.Tensor:
    rows, stride = x.shape
    width, head = gain.shape[0], 2 if cos is None else cos.shape[1]
    out = x.new_empty((rows, width))
    torch.library.wrap_triton(_norm_rotate)[(rows,)](
        x, stride, start, gain, gain if cos is None else cos, gain if sin is None else sin, out,
        WIDTH=width, PAIRS=_padded(width) // 2, HEAD=head, EPS=eps, ROTATE=cos is not None, num_warps=8,
    )  # fmt: skip
    return out


def _launch_text_attention(
    query: torch.Tensor, context: torch.Tensor, index: int, heads: int, text_rows: int
) -> torch.Tensor:
    rows, width = query.shape
    out, head = query.new_empty((rows, width)), width // heads
    torch.library.wrap_triton(_text_attention)[((rows + TEXT_ROWS - 1) // TEXT_ROWS, heads)](
        query, context, out, rows, context.shape[2], 2 * index,
        ALL=text_rows, WIDTH=width, HEAD=head, BLOCK=max(16, _padded(head)), ROWS=TEXT_ROWS, TEXTS=TEXTS, num_warps=TEXT_WARPS,
    )  # fmt: skip
    return out


_norm_quantize_op, _quantize_op, _norm_rotate_op, _text_attention_op = (
    torch.library.triton_op(f"flashworld::{name}", function, mutates_args=())
    for name, function in (
        ("norm_quantize", _launch_norm_quantize),
        ("quantize", _launch_quantize),
        ("norm_rotate", _launch_norm_rotate),
        ("text_attention", _launch_text_attention),
    )
)


def norm_quantize(
    x: torch.Tensor,
    y: torch.Tensor | None,
    gate: torch.Tensor | None,
    gain: torch.Tensor,
    offset: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See `block_ops.norm_quantize`; without `y` the first result is empty."""
    return _norm_quantize_op(x, y, gate, gain, offset, eps)


def quantize(x: torch.Tensor, gelu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """See `block_ops.quantize`."""
    return _quantize_op(x, gelu)


def norm_rotate(
    x: torch.Tensor, start: int, gain: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, eps: float
) -> torch.Tensor:
    """See `block_ops.norm_rotate`."""
    return _norm_rotate_op(x, start, gain, cos, sin, eps)


def text_attention(query: torch.Tensor, context: torch.Tensor, index: int, heads: int, text_rows: int) -> torch.Tensor:
    """See `block_ops.text_attention`."""
    return _text_attention_op(query, context, index, heads, text_rows)
