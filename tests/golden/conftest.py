"""The tiny model of the golden data, loaded into the real classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flashworld.config import (
    WAN_LATENTS_MEAN,
    WAN_LATENTS_STD,
    ModelConfig,
    TextConfig,
    TransformerConfig,
    VaeConfig,
)
from flashworld.models.networks import Networks, build_networks
from flashworld.models.still_frame import ENCODER_PREFIXES, still_frame_state
from flashworld.models.text_encoder import text_encoder_state, tie_embedding
from flashworld.models.transformer import materialize_rope


def golden_model_config(golden_dir: Path) -> ModelConfig:
    """The data's own config.json as our ModelConfig."""
    data = json.loads((golden_dir / "config.json").read_text())
    dit, vae, text = data["transformer_config"], data["vae_config"], data["umt5_config"]
    assert tuple(vae["latents_mean"]) == WAN_LATENTS_MEAN
    assert tuple(vae["latents_std"]) == WAN_LATENTS_STD
    return ModelConfig(
        "golden",
        transformer=TransformerConfig(**{name: dit[name] for name in TransformerConfig.__dataclass_fields__}),
        vae=VaeConfig(
            base_dim=vae["base_dim"],
            decoder_base_dim=vae["decoder_base_dim"],
            latents_mean=WAN_LATENTS_MEAN,
            latents_std=WAN_LATENTS_STD,
        ),
        text=TextConfig(**{n: text[n] for n in TextConfig.__dataclass_fields__ if n in text}),
    )


@pytest.fixture(scope="session")
def golden_networks(golden_dir: Path) -> Networks:
    networks = build_networks(golden_model_config(golden_dir), "meta")
    weights = load_file(golden_dir / "weights.safetensors")

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}

    networks.transformer.load_state_dict(part("transformer."), strict=True, assign=True)
    materialize_rope(networks.transformer)
    networks.gaussian_decoder.load_state_dict(still_frame_state(part("recon_decoder.")), strict=True, assign=True)
    encoder = {name: tensor for name, tensor in part("vae.").items() if name.startswith(ENCODER_PREFIXES)}
    networks.vae_encoder.load_state_dict(still_frame_state(encoder), strict=True, assign=True)
    text = load_file(golden_dir / "g_text.safetensors")
    text = {name.removeprefix("weights."): t for name, t in text.items() if name.startswith("weights.")}
    networks.text.encoder.load_state_dict(text_encoder_state(text), strict=True, assign=True)
    tie_embedding(networks.text.encoder)
    return networks.to("cpu", torch.float32)


@pytest.fixture(scope="session")
def close():
    """Largest absolute error over the largest expected magnitude, the golden data's own measure."""

    def check(actual: torch.Tensor, expected: torch.Tensor, limit: float) -> None:
        assert actual.shape == expected.shape
        error = (actual.double() - expected.double()).abs().max() / expected.double().abs().max()
        assert error <= limit, f"relative error {error:.2e} above {limit:.0e}"

    return check
