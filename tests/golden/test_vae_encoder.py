"""Golden case c: pictures to latents."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from flashworld.sampling import latent_statistics, sample_posterior


@pytest.mark.parametrize("case", ["case0", "case1"])
def test_latents_match_original(case, golden_dir, golden_networks, close):
    data = {
        name: t.squeeze(2) for name, t in load_file(golden_dir / "c_vae_encode.safetensors").items() if case in name
    }
    with torch.inference_mode():
        mean, logvar = golden_networks.vae_encoder(data[f"{case}.in.images"])
    raw = sample_posterior(mean, logvar, data[f"{case}.in.eps"])
    center, spread = latent_statistics(golden_networks.config.vae, mean.device)
    close(mean, data[f"{case}.out.mean"], 1e-4)
    close(logvar, data[f"{case}.out.logvar"], 1e-4)
    close(raw, data[f"{case}.out.sample"], 1e-4)
    close((raw - center) / spread, data[f"{case}.out.sample_scaled"], 1e-4)
