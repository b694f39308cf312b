"""The networks: DiT, still-frame VAE encoder, Gaussian decoder, text encoder. One per file; `networks.py` builds them."""

from __future__ import annotations

__all__ = [
    "fp8",
    "fused",
    "gaussian_decoder",
    "int8",
    "networks",
    "offload",
    "padded",
    "still_frame",
    "sub_pixel",
    "text_encoder",
    "torch_compat",
    "transformer",
    "trees",
    "vae_encoder",
]
