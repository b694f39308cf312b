"""Golden case b: features and latents to Gaussians."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from flashworld.cameras import Cameras
from flashworld.models.sub_pixel import use_sub_pixel_upsampling


@pytest.mark.parametrize("case", ["landscape", "portrait"])
@pytest.mark.parametrize("frames_per_chunk", [None, 2])
@pytest.mark.parametrize("prepare", [lambda decoder: decoder, use_sub_pixel_upsampling], ids=["plain", "sub-pixel"])
def test_scene_matches_original(case, frames_per_chunk, prepare, golden_dir, golden_networks, close):
    data = load_file(golden_dir / "b_recon_decoder.safetensors")
    decoder = prepare(golden_networks.gaussian_decoder)
    features, latents = data[f"{case}.in.features"][:, :, 0], data[f"{case}.in.latents_unscaled"][:, :, 0]
    cameras = Cameras.from_vectors(data[f"{case}.in.cameras"][0])
    with torch.inference_mode():
        first = decoder.activations(features[:1], latents[:1])
        scene = decoder.gaussians(features, latents, cameras, frames_per_chunk=frames_per_chunk)

    close(first, data[f"{case}.out.decoder_frame0"], 2e-4)
    vectors = scene.to_vectors()
    assert len(vectors) == data[f"{case}.out.gaussians_shape"][:-1].prod()
    sampled, expected = vectors[data[f"{case}.out.flat_index"]], data[f"{case}.out.gaussians_flat_sampled"]
    for field in (slice(0, 3), slice(3, 4), slice(4, 7), slice(7, 11), slice(11, 38)):
        close(sampled[:, field], expected[:, field], 2e-4)
    close(vectors.double().sum(0), data[f"{case}.out.channel_sum"], 2e-4)
    close(vectors.double().abs().sum(0), data[f"{case}.out.channel_abssum"], 2e-4)
