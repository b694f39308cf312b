"""Between nano's stages: every view gets the picture's latents, and the decoder reads them as it read latents before."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from einops import rearrange

from flashworld.cameras import intrinsics_from_fov, normalize
from flashworld.cameras.raymaps import raymap
from flashworld.nano.sizes import NANO
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.unroll import Computing, Conditions, first_state
from flashworld.trajectories import build_trajectory

ROWS, COLUMNS = 6, 10


@pytest.fixture
def learner() -> Learner:
    learner = Learner(NANO, 0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    channels = NANO.vae.z_dim
    vae = dataclasses.replace(
        NANO.vae,
        latents_mean=tuple(torch.randn(channels, generator=generator).tolist()),
        latents_std=tuple((torch.rand(channels, generator=generator) + 0.5).tolist()),
    )
    learner.config = dataclasses.replace(NANO, vae=vae)
    return learner


@torch.no_grad()
def test_decoder_reads_features_as_it_read_latents_and_ignores_noise(learner):
    decoder, vae = learner.modules["gaussian_decoder"], learner.config.vae
    latents = torch.randn(1, vae.z_dim, ROWS, COLUMNS)
    mean, std = (torch.tensor(v)[:, None, None] for v in (vae.latents_mean, vae.latents_std))
    features = torch.zeros(1, learner.config.feature_dim, ROWS, COLUMNS)
    before = decoder.activations(features, latents * std + mean)
    learner.hand_over()
    features[:, : vae.z_dim] = latents
    after = decoder.activations(features, 10 * torch.randn_like(latents))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("frames", "index"), [(4, 2), (8, 0), (12, 5)])
def test_every_view_receives_the_pictures_latents(learner, frames, index):
    learner.hand_over()
    config = learner.config
    cameras, _ = normalize(
        build_trajectory("orbit_right", frames=frames, intrinsics=intrinsics_from_fov(55.0, 192, 288))
    )
    coarse = torch.nn.functional.interpolate(torch.randn(1, config.vae.z_dim, 3, 5), (ROWS, COLUMNS), mode="bilinear")
    latents = 0.9 * coarse / coarse.std() + 0.3 * torch.randn_like(coarse)
    chosen = torch.nn.functional.one_hot(torch.tensor([index]), frames)[:, None, :, None, None]
    rays = rearrange(raymap(cameras, ROWS, COLUMNS), "n c h w -> 1 c n h w")
    fixed = torch.cat([rays, latents[:, :, None] * chosen], dim=1)
    text = 0.3 * torch.randn(1, config.text.max_tokens, config.transformer.text_dim)
    model = Computing(config, learner.modules, torch.float32)
    given = Conditions(cameras, fixed, text, 16 * ROWS, 16 * COLUMNS)
    state = first_state(model, given)
    hidden = torch.cat([state.noisy, fixed, state.features, state.rendered], dim=1)
    _, features = model.denoise(hidden, 0, text)
    for view in range(frames):
        received, sent = features[0, : config.vae.z_dim, view].flatten(), latents.flatten()
        assert float(torch.cosine_similarity(received, sent, dim=0)) > 0.85
