"""The transformer with fused QKV projections, and with the text's keys and values computed once per scene.

`fuse_networks` turns loaded networks into an equivalent pair: a `TextContext`, called once per scene, and a transformer that
takes its output in place of the text embedding. In FP8, q, k and v then also share one quantisation of their input.

Numerics: as in `transformer.py`. Rotary embedding runs in float32 and is rounded once.

Source: arithmetic of diffusers' `WanAttnProcessor` (Apache-2.0). Deviations:
1. Self-attention multiplies by the stacked weights of q, k and v at once.
2. Cross-attention receives keys and values that are already projected, for all blocks by one fused projection; the
   transformer no longer projects the text. A text is padded with rows of zeros, whose keys and values are all the same:
   one of them is enough, see `block_ops.text_attention`.
3. Attention is `scaled_dot_product_attention` itself, without diffusers' choice of backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from flashworld.models.block_ops import text_attention
from flashworld.models.eight_bit_block import use_eight_bit_blocks
from flashworld.models.fp8 import Fp8Mode, quantize_blocks, quantize_linears
from flashworld.models.networks import Networks
from flashworld.models.trees import shallow_copy

QKV, KV = ("to_q", "to_k", "to_v"), ("to_k", "to_v")


def fuse_networks(networks: Networks, fp8: Fp8Mode | None = None, *, native: bool = True) -> Networks:
    """The same model, faster. The argument is not changed and may be deleted.

    Args:
        networks: Loaded, on their device, in their dtype.
        fp8: Quantise the blocks' linear layers with this granularity; None leaves them unquantised. The projections of the
            text's keys and values are quantised only if every output channel has its own scale.
        native: Multiply in FP8 on the device, see `fp8.py`.
    """
    text_context, transformer = fuse_transformer(networks.transformer, networks.config.text.max_tokens)
    if fp8:
        transformer = quantize_blocks(transformer, fp8, native=native)
    if fp8 == "per_row":  # one scale for all blocks' weights would be coarser than one per block
        transformer = use_eight_bit_blocks(transformer)
        text_context = quantize_linears(text_context, "blocks", fp8, native=native)
    return replace(networks, transformer=transformer, text_context=text_context)


def fuse_transformer(transformer: nn.Module, text_rows: int) -> tuple[TextContext, nn.Module]:
    """Split a transformer into the part that depends only on the text and the rest, with fused projections.

    Args:
        transformer: From `build_transformer`, with its weights.
        text_rows: Rows of a padded text embedding.

    Returns:
        Embedding to context, and the transformer that takes a context as `encoder_hidden_states`. Tensors that need
        no stacking are shared with the argument.
    """
    fused: Any = shallow_copy(transformer)
    context = TextContext(
        fused.condition_embedder.text_embedder,
        TextKeysValues(
            stack_linears(*(getattr(block.attn2, name) for block in fused.blocks for name in KV)),
            [block.attn2.norm_k for block in fused.blocks],
        ),
    )
    fused.condition_embedder.text_embedder = nn.Identity()
    for index, block in enumerate(fused.blocks):
        block.attn1.to_qkv = stack_linears(*(getattr(block.attn1, name) for name in QKV))
        block.attn1.processor = FusedSelfAttention()
        block.attn2.processor = ProjectedCrossAttention(index, text_rows)
        for attention, gone in ((block.attn1, QKV), (block.attn2, (*KV, "norm_k"))):
            for name in gone:
                delattr(attention, name)
    return context.eval(), fused


class TextKeysValues(nn.Module):
    """Keys and values of the text for every block, from one fused projection.

    Args:
        to_kv: Projection to the keys and values of block 0, then of block 1, and so on.
        norms: The key norm of each block.
    """

    def __init__(self, to_kv: nn.Linear, norms: Sequence[nn.RMSNorm]) -> None:
        super().__init__()
        self.to_kv = to_kv
        self.gammas = nn.Parameter(torch.stack([norm.weight.detach() for norm in norms]))
        self.eps = norms[0].eps

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """(B, tokens, width) -> (B, blocks, 2, tokens, width), contiguous"""
        blocks, width = self.gammas.shape
        keys, values = rearrange(self.to_kv(text), "b t (n p w) -> p b n t w", n=blocks, p=2)
        normed = rms_norm(keys.float(), (width,), None, self.eps) * self.gammas[:, None].float()
        return torch.stack([normed.to(keys.dtype), values], dim=2)


class TextContext(nn.Module):
    """Everything the transformer computes only from the text."""

    def __init__(self, text_embedder: nn.Module, blocks: TextKeysValues) -> None:
        super().__init__()
        self.text_embedder = text_embedder
        self.blocks = blocks

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Keys and values of every block.

        Args:
            text: Text embedding; of the zero rows at its end, one is enough. (B, tokens, text_dim)

        Returns:
            (B, blocks, 2, tokens, width)
        """
        return self.blocks(self.text_embedder(text))


class FusedSelfAttention:
    """Attention processor for `attn1`: q, k and v from `to_qkv`."""

    def __call__(
        self,
        attn: Any,  # noqa: ANN401 - a WanAttention whose projections were replaced
        hidden_states: torch.Tensor,
        encoder_hidden_states: None,
        attention_mask: None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(B, tokens, width) -> (B, tokens, width)"""
        query, key, value = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        query, key = (
            rotate(norm(x).unflatten(-1, (attn.heads, -1)), *rotary_emb)
            for norm, x in ((attn.norm_q, query), (attn.norm_k, key))
        )
        mixed = attend(query, key, value.unflatten(-1, (attn.heads, -1)))
        return attn.to_out[0](mixed)


class ProjectedCrossAttention:
    """Attention processor for `attn2`: keys and values are one block's slice of a `TextContext`.

    Args:
        index: Index of the block.
        text_rows: Rows of a padded text; the last of fewer counts for the missing ones too.
    """

    def __init__(self, index: int, text_rows: int) -> None:
        self.index, self.text_rows = index, text_rows

    def __call__(
        self,
        attn: Any,  # noqa: ANN401 - a WanAttention whose projections were replaced
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: None,
        rotary_emb: None,
    ) -> torch.Tensor:
        """(B, tokens, width) -> (B, tokens, width)"""
        query = attn.norm_q(attn.to_q(hidden_states))
        mixed = [
            text_attention(rows, context, self.index, attn.heads, self.text_rows)
            for rows, context in zip(query.unbind(), encoder_hidden_states.unbind(), strict=True)
        ]
        return attn.to_out[0](torch.stack(mixed))


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention without a mask. (B, tokens, heads, d) each -> (B, tokens, heads * d)"""
    mixed = scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
    return rearrange(mixed, "b h t d -> b t (h d)")


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs of channels by their angles, in float32, rounded once.

    Args:
        x: Queries or keys. (B, tokens, heads, d)
        cos: Every cosine twice, as diffusers' tables have it. (1, tokens, 1, d)
        sin: Every sine twice.
    """
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 0::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)


def stack_linears(*parts: nn.Linear) -> nn.Linear:
    """One linear layer with the concatenated outputs of several."""
    with torch.device("meta"):
        stacked = nn.Linear(parts[0].in_features, sum(part.out_features for part in parts))
    stacked.weight = nn.Parameter(torch.cat([part.weight.detach() for part in parts]))
    stacked.bias = nn.Parameter(torch.cat([part.bias.detach() for part in parts]))
    return stacked
