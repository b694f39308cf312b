"""Sizes of the nano model, and of a tiny one that tests can train in seconds."""

from __future__ import annotations

from flashworld.config import ModelConfig, TextConfig, TransformerConfig, VaeConfig

NANO = ModelConfig(
    name="nano",
    transformer=TransformerConfig(
        num_attention_heads=9,
        attention_head_dim=32,  # a multiple of 4 whose third is twice its sixth: see the rotary tables
        num_layers=8,
        ffn_dim=864,
        text_dim=192,
        freq_dim=128,
    ),
    vae=VaeConfig(
        base_dim=24,
        decoder_base_dim=32,
        z_dim=40,
        num_res_blocks=1,
        latents_mean=(0.0,) * 40,  # measured after the first stage
        latents_std=(1.0,) * 40,
    ),
    text=TextConfig(
        vocab_size=288,
        d_model=192,
        d_kv=32,
        d_ff=384,
        num_layers=2,
        num_heads=6,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=64,
        max_tokens=48,
    ),
    feature_dim=128,
    frames=8,
    height=192,
    width=288,
)
"""About 13 M parameters: 13 MB as int8, in two files."""

TINY = ModelConfig(
    name="tiny",
    transformer=TransformerConfig(
        num_attention_heads=2, attention_head_dim=24, num_layers=2, ffn_dim=96, text_dim=32, freq_dim=32
    ),
    vae=VaeConfig(
        base_dim=8, decoder_base_dim=8, z_dim=8, num_res_blocks=1, latents_mean=(0.0,) * 8, latents_std=(1.0,) * 8
    ),
    text=TextConfig(
        vocab_size=288,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=1,
        num_heads=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=32,
        max_tokens=48,
    ),
    feature_dim=16,
    frames=3,
    height=32,
    width=64,
)
"""Sizes for dry runs."""
