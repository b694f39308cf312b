"""The networks: DiT, still-frame VAE encoder, Gaussian decoder, text encoder. One a file; `networks.py` builds them."""

from __future__ import annotations
