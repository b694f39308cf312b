"""Golden case f: the whole four-step loop with given noise and the stand-in renderer."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from flashworld.cameras import Cameras, normalize
from flashworld.cameras.raymaps import raymap
from flashworld.sampling import STEP_TIMESTEPS, STEPS, Conditioning, from_video, latent_statistics, sample, to_video
from tests.golden.standin_renderer import render_standin

LIMIT = 3e-3
FIELDS = (slice(0, 3), slice(3, 4), slice(4, 7), slice(7, 11), slice(11, 38))


class GivenNoise:
    """The noise written beside the expected numbers."""

    def __init__(self, data):
        self.data = data

    def condition_posterior(self, shape, device):
        return self._get("condition_posterior", shape)

    def initial(self, shape, device):
        return self._get("init", shape)

    def posterior(self, step, shape, device):
        return self._get(f"step{step}.posterior", shape)

    def renoise(self, step, shape, device):
        return self._get(f"step{step}.renoise", shape)

    def _get(self, name, shape):
        noise = self.data[f"in.noise.{name}"]
        return (noise if noise.ndim == len(shape) else noise.squeeze(2)).reshape(shape)


@pytest.mark.parametrize("case", ["image", "text_portrait"])
def test_loop_matches_original(case, golden_dir, golden_networks, close):
    data = load_file(golden_dir / f"f_loop_{case}.safetensors")
    _, height, width = data["in.n_h_w"].tolist()
    cameras = Cameras.from_vectors(data["out.cameras_normalized"][0])
    text = torch.zeros(1, 512, 32)
    text[:, :11] = data["in.text_embeds"]
    close(to_video(raymap(cameras, height // 16, width // 16)), data["out.raymap"], 5e-6)

    mean, std = latent_statistics(golden_networks.config.vae, text.device)
    seen = 0
    with torch.inference_mode():
        conditioning = Conditioning(cameras, text, height, width, data.get("in.image"), int(data["in.image_index"]))
        for result in sample(golden_networks, conditioning, GivenNoise(data), render_standin):
            out = {n.removeprefix(f"out.step{seen}."): t for n, t in data.items() if n.startswith(f"out.step{seen}.")}
            assert float(out["timestep"]) == STEP_TIMESTEPS[seen] and result.step == seen
            close(result.noisy, out["noisy_latents"], LIMIT)
            close(result.velocity, out["velocity"], LIMIT)
            close(result.features[:, ::16], out["features_sampled"], LIMIT)
            close(from_video(result.clean) * std + mean, out["latents_2d_unscaled"].squeeze(2), LIMIT)
            vectors = result.scene.to_vectors()
            for field in FIELDS:
                close(vectors[data["out.scene_index"]][:, field], out["scene_sampled"][:, field], LIMIT)
            assert result.is_last == (result.images is None)
            if not result.is_last:
                close(result.images, out["images"], LIMIT)
                close(result.rendered_mean, out["posterior_mean"].squeeze(2), LIMIT)
                close(result.rendered, out["latents_3d"], LIMIT)
            seen += 1
    assert seen == STEPS
    assert list(vectors.shape) == data["out.scene_shape"].tolist()
    close(vectors[data["out.scene_index"]], data["out.scene_sampled"], LIMIT)
    close(vectors.double().sum(0), data["out.scene_channel_sum"], LIMIT)
    close(vectors.double().abs().sum(0), data["out.scene_channel_abssum"], LIMIT)


def test_normalised_portrait_path_equals_the_loops_input(golden_dir, close):
    data = load_file(golden_dir / "f_loop_text_portrait.safetensors")
    cameras, norm = normalize(Cameras.from_vectors(data["in.cameras11"]))
    close(cameras.to_vectors(), data["out.cameras_normalized"][0], 5e-6)
    assert norm.divisor == pytest.approx(float(data["out.T_norm"]) + 0.01, rel=1e-5)
