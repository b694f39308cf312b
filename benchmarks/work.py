"""Minimum arithmetic and memory traffic of each stage, by counting.

Operations are counted by PyTorch on networks without memory ("meta"), from the plain networks: fusing does not change
them, and one row of the text's padding is enough; sub-pixel convolutions in the decoder lower them, so the floor of the
sub-pixel decoder also holds for the plain one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import Machine
from flashworld.config import SPATIAL_FACTOR, ModelConfig
from flashworld.gaussians import VECTOR_WIDTH
from flashworld.models.networks import Networks, build_networks
from flashworld.models.transformer import materialize_rope, velocity_and_features

ATTENTION_OPS = ("attention", "bmm")
"""On the meta device PyTorch expands attention into batched matrix products, which nothing else in these networks uses."""
TEXT_ROWS = 32
"""Text tokens that the DiT attends to: those of `stages.PROMPT`, and one of padding."""


@dataclass(frozen=True)
class Work:
    """Minimum work of one call of a stage.

    Attributes:
        products: Operations of matrix products and convolutions.
        attention: Operations of attention.
        memory: Bytes read and written.
        to_host: Bytes transferred to the host.
        eight_bit: Whether the products may be computed in FP8.
    """

    products: float = 0.0
    attention: float = 0.0
    memory: float = 0.0
    to_host: float = 0.0
    eight_bit: bool = False

    def floor_seconds(self, machine: Machine) -> float:
        """The shortest time on a machine: arithmetic or memory, whichever is longer, plus the transfer to the host."""
        rate = machine.fp8 if self.eight_bit and machine.fp8 else machine.matmul
        arithmetic = self.products / rate + self.attention / machine.attention
        return max(arithmetic, self.memory / machine.memory) + self.to_host / machine.to_host


def count(call: Callable[[], object]) -> Work:
    """Operations of a call."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        call()
    by_op = counter.get_flop_counts().get("Global", {})
    attention = sum(flops for op, flops in by_op.items() if any(name in str(op) for name in ATTENTION_OPS))
    return Work(products=float(sum(by_op.values()) - attention), attention=float(attention))


def network_work(config: ModelConfig, frames: int, height: int, width: int, *, eight_bit: bool) -> dict[str, Work]:
    """Work of the DiT, the Gaussian decoder and the VAE encoder, one call each on all frames."""
    networks = build_networks(config, "meta")
    materialize_rope(networks.transformer)
    rows, columns = height // SPATIAL_FACTOR, width // SPATIAL_FACTOR

    def meta(*shape: int) -> torch.Tensor:
        return torch.empty(shape, device="meta")

    dit = count(
        lambda: velocity_and_features(
            networks.transformer, meta(1, config.in_channels, frames, rows, columns), meta(1),
            meta(1, min(TEXT_ROWS, config.text.max_tokens), config.transformer.text_dim),
            latent_channels=config.vae.z_dim,
        )
    )  # fmt: skip
    decoder = count(
        lambda: networks.gaussian_decoder(
            meta(frames, config.feature_dim, rows, columns), meta(frames, config.vae.z_dim, rows, columns)
        )
    )
    return {
        "transformer": Work(dit.products, dit.attention, eight_bit=eight_bit),
        "gaussian_decoder": decoder,
        "vae_encoder": count(lambda: networks.vae_encoder(meta(frames, 3, height, width))),
    }


def text_work(networks: Networks) -> Work:
    """A short prompt reads every weight of the encoder once, but only a few rows of its embedding table."""
    encoder = networks.text.encoder
    table = encoder.shared.weight
    weights = sum(p.numel() * p.element_size() for p in encoder.parameters())
    return Work(memory=float(weights - table.numel() * table.element_size()))


def render_work(gaussians: int, views: int, height: int, width: int) -> Work:
    """Every view reads every Gaussian once and writes three float32 colours per pixel."""
    return Work(memory=4.0 * views * (gaussians * VECTOR_WIDTH + 3 * height * width))


def film_work(gaussians: int, frames: int, height: int, width: int) -> Work:
    """Rendering, and one byte per colour to the host."""
    rendering = render_work(gaussians, frames, height, width)
    return Work(memory=rendering.memory, to_host=3.0 * frames * height * width)
