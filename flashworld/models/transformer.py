"""The DiT: diffusers' Wan transformer with FlashWorld's channel counts, and the only function that calls it.

Numerics: block linears and attention in the dtype of the weights (bfloat16 on CUDA); time embedding, modulation tables,
layer norms and RoPE tables stay float32 (`FLOAT32_PARTS`), as in diffusers. The residual stream has the dtype
of the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from flashworld.config import ModelConfig
from flashworld.types import Latents

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

FLOAT32_PARTS = ("rope.", "time_embedder.", "scale_shift_table", "norm1.", "norm2.", "norm3.")
"""Tensors whose names contain one of these stay float32 when the rest is cast."""
ROPE_BUFFERS = ("rope.freqs_cos", "rope.freqs_sin")
"""In `state_dict()` after `materialize_rope`; never part of a checkpoint."""
PATCH = (1, 2, 2)
NORM_EPS = 1e-6


def build_transformer(config: ModelConfig, device: torch.device | str = "meta") -> WanTransformer3DModel:
    """The transformer with uninitialised weights; assign a state dict, then call `materialize_rope`.

    Args:
        config: Sizes.
        device: Where parameters are created; "meta" takes no memory.
    """
    from diffusers import WanTransformer3DModel

    sizes = config.transformer
    with torch.device(device):
        model = WanTransformer3DModel(
            patch_size=PATCH,
            num_attention_heads=sizes.num_attention_heads,
            attention_head_dim=sizes.attention_head_dim,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            text_dim=sizes.text_dim,
            freq_dim=sizes.freq_dim,
            ffn_dim=sizes.ffn_dim,
            num_layers=sizes.num_layers,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            eps=NORM_EPS,
            rope_max_seq_len=sizes.rope_max_seq_len,
        )
    return model.eval()


def materialize_rope(transformer: nn.Module) -> None:
    """Compute the rotary tables and register them so that they survive saving, compiling and loading elsewhere.

    Building on "meta" leaves them without values, and diffusers registers them as non-persistent, which an
    ahead-of-time compiled graph cannot find again by name. Call it after the checkpoint is loaded (its names do not
    include them). Writes into `transformer`, which no caller can use before this.

    Args:
        transformer: From `build_transformer`.
    """
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    old = cast(WanRotaryPosEmbed, transformer.rope)
    fresh = WanRotaryPosEmbed(old.attention_head_dim, old.patch_size, old.max_seq_len)
    device = cast(torch.Tensor, transformer.scale_shift_table).device
    for name in ("freqs_cos", "freqs_sin"):
        fresh.register_buffer(name, getattr(fresh, name).float().to(device), persistent=True)
    transformer.rope = fresh


def velocity_and_features(
    transformer: nn.Module, hidden_states: Latents, timestep: torch.Tensor, text: torch.Tensor, *, latent_channels: int
) -> tuple[Latents, Latents]:
    """One denoiser call.

    Args:
        transformer: The DiT, or something compiled from it.
        hidden_states: Noisy latent, raymap, condition, fed-back features, fed-back latent. (B, in_channels, T, h, w)
        timestep: Model clock 0-1000, float32. (B,)
        text: Text embedding (B, tokens, text_dim), or for a fused transformer its context; dtype of `hidden_states`.
        latent_channels: Number of output channels that hold the velocity.

    Returns:
        Velocity (B, latent_channels, T, h, w) and features (B, feature_dim, T, h, w), dtype of `hidden_states`.
    """
    (output,) = transformer(
        hidden_states=hidden_states, timestep=timestep, encoder_hidden_states=text, return_dict=False
    )
    return output[:, :latent_channels], output[:, latent_channels:]
