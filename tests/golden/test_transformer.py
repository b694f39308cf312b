"""Golden case a: the denoiser."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from flashworld.models.fused import fuse_networks
from flashworld.models.transformer import velocity_and_features


@pytest.mark.parametrize("case", ["case0", "case1"])
@pytest.mark.parametrize("fused", [False, True])
def test_denoiser_matches_original(case, fused, golden_dir, golden_networks, close):
    data = load_file(golden_dir / "a_transformer.safetensors")
    networks = fuse_networks(golden_networks) if fused else golden_networks
    with torch.inference_mode():
        velocity, features = velocity_and_features(
            networks.transformer,
            data[f"{case}.in.hidden_states"],
            data[f"{case}.in.timestep"],
            networks.text_context(data[f"{case}.in.encoder_hidden_states"]),
            latent_channels=48,
        )
    close(velocity, data[f"{case}.out.velocity"], 1e-4)
    close(features, data[f"{case}.out.features"], 1e-4)
