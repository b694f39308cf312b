"""A transformer block that quantises to e4m3 in the same pass as the operation before each matrix multiplication.

Computes the same as diffusers' `WanTransformerBlock` with `Fp8Linear` layers of one scale per token. Everything in between
is fused into single passes over memory: addition, norm, modulation and quantisation; GELU and quantisation; norm and rotary embedding.

Numerics: as in `transformer.py` and `fp8.py`; see `block_ops.py` for the points at which values are rounded to bfloat16.
Source: arithmetic of diffusers' `WanTransformerBlock` (Apache-2.0). Deviations:
1. The output of the feed-forward is added in the next block's first norm: blocks pass on a `Stream`.
2. One scene at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from flashworld.models.block_ops import norm_quantize, norm_rotate, quantize, text_attention
from flashworld.models.fp8 import Fp8Linear
from flashworld.models.trees import shallow_copy


class Stream(NamedTuple):
    """The residual stream and the pending term: x + y * gate.

    Attributes:
        x: bfloat16. (tokens, width)
        y: bfloat16. (tokens, width)
        gate: float32. (width,)
    """

    x: torch.Tensor
    y: torch.Tensor
    gate: torch.Tensor


class EightBitBlock(nn.Module):
    """One block; tensors and names are those of the block it is made from.

    Args:
        block: A `WanTransformerBlock` with a fused `attn1` and per-row `Fp8Linear` layers. Its modules are shared.
        index: Index of the block, for its slice of the text's keys and values.
        is_last: Whether to add the pending term and return a tensor.
    """

    def __init__(self, block: nn.Module, index: int, *, is_last: bool) -> None:
        super().__init__()
        self.attn1, self.attn2, self.ffn, self.norm2 = (getattr(block, n) for n in ("attn1", "attn2", "ffn", "norm2"))
        self.scale_shift_table = cast(nn.Parameter, block.scale_shift_table)
        self.eps = float(cast(nn.LayerNorm, block.norm2).eps)
        self.index = index
        self.text_rows = cast(Any, block.attn2).processor.text_rows
        self.is_last = is_last

    def forward(
        self,
        hidden: torch.Tensor | Stream,
        context: torch.Tensor,
        time: torch.Tensor,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor | Stream:
        """See `WanTransformerBlock`.

        Args:
            hidden: (1, tokens, width), or the previous block's `Stream`.
            context: From `TextContext`. (1, blocks, 2, text tokens, width)
            time: (1, 6, width)
            rotary: Cosines and sines, each twice. (1, tokens, 1, head) each

        Raises:
            ValueError: more than one scene.
        """
        x, y, gate = hidden if isinstance(hidden, Stream) else (self._only(hidden), None, None)
        table = self.scale_shift_table + time.float()
        shift1, scale1, gate1, shift2, scale2, gate2 = (row.flatten() for row in table.unbind(1))
        turns = (rotary[0].flatten(0, 2), rotary[1].flatten(0, 2))

        x, q, scale = norm_quantize(x, y, gate, 1 + scale1, shift1, self.eps)
        x, q, scale = norm_quantize(
            x, self._self_attention(q, scale, turns), gate1, self.norm2.weight, self.norm2.bias, self.eps
        )
        x, q, scale = norm_quantize(x, self._cross_attention(q, scale, context), None, 1 + scale2, shift2, self.eps)
        hidden_layer = _multiply(self.ffn.net[0].proj, q, scale)
        stream = Stream(x, _multiply(self.ffn.net[2], *quantize(hidden_layer, gelu=True)), gate2)
        return (stream.x.float() + stream.y.float() * gate2).to(x.dtype)[None] if self.is_last else stream

    def _only(self, hidden: torch.Tensor) -> torch.Tensor:
        if hidden.shape[0] != 1:
            raise ValueError(f"expected one scene at a time, got {hidden.shape[0]}")
        return hidden[0]

    def _self_attention(
        self, q: torch.Tensor, scale: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        attention = cast(Any, self.attn1)
        qkv, width = _multiply(attention.to_qkv, q, scale), q.shape[1]
        query = norm_rotate(qkv, 0, attention.norm_q.weight, turns, attention.norm_q.eps)
        key = norm_rotate(qkv, width, attention.norm_k.weight, turns, attention.norm_k.eps)
        return _multiply(attention.to_out[0], *quantize(_attend(attention.heads, query, key, qkv[:, 2 * width :])))

    def _cross_attention(self, q: torch.Tensor, scale: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        attention = cast(Any, self.attn2)
        query = norm_rotate(_multiply(attention.to_q, q, scale), 0, attention.norm_q.weight, None, attention.norm_q.eps)
        mixed = text_attention(query, context[0], self.index, attention.heads, self.text_rows)
        return _multiply(attention.to_out[0], *quantize(mixed))


def _multiply(layer: Any, q: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - an Fp8Linear
    """An `Fp8Linear` on inputs that are already quantised. (tokens, out), bfloat16"""
    return cast(Fp8Linear, layer).multiply(q, scale)


def _attend(heads: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention without a mask. (tokens, width) each -> (tokens, width)"""
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(0, 1)[None] for x in (query, key, value))
    return scaled_dot_product_attention(query, key, value)[0].transpose(0, 1).flatten(1)


def use_eight_bit_blocks(transformer: nn.Module) -> nn.Module:
    """A fused transformer with per-row `Fp8Linear` layers, its blocks replaced. The argument is not changed."""
    rearranged: Any = shallow_copy(transformer)
    blocks = list(rearranged.blocks)
    rearranged.blocks = nn.ModuleList(
        EightBitBlock(block, index, is_last=index == len(blocks) - 1) for index, block in enumerate(blocks)
    )
    return rearranged.eval()
