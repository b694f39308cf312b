"""The sampling loop: seeds, order of noise, stages, cancelling, non-finite values. Its arithmetic is golden case f."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn

from flashworld.cameras import Cameras, normalize
from flashworld.errors import NumericalError
from flashworld.models.networks import random_networks
from flashworld.sampling import (
    STEP_INDICES,
    STEP_SIGMAS,
    STEP_TIMESTEPS,
    STEPS,
    Conditioning,
    NoiseAhead,
    SeededNoise,
    from_video,
    noise_shapes,
    sample,
    to_video,
)

FRAMES, HEIGHT, WIDTH = 3, 64, 96


def flat_renderer(scene, cameras, height, width):
    """One colour for the whole scene: enough to close the loop."""
    colour = torch.tanh(scene.sh[:, 0].mean(0) + scene.means.mean())
    return colour[:, None, None].expand(len(cameras), 3, height, width)


@pytest.fixture
def path():
    positions = torch.stack([torch.zeros(FRAMES), torch.zeros(FRAMES), -torch.arange(FRAMES) / 2], dim=1)
    cameras = Cameras(torch.tensor([[1.0, 0, 0, 0]] * FRAMES), positions, torch.tensor([[0.8, 1.1, 0.5, 0.5]] * FRAMES))
    return normalize(cameras)[0]


def run(networks, path, *, seed=0, render=flat_renderer, image=None, image_index=0, **options):
    noise = SeededNoise(torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        conditioning = Conditioning(path, networks.text("a lake"), HEIGHT, WIDTH, image, image_index)
        yield from sample(networks, conditioning, noise, render, **options)


def test_constants_are_the_shifted_schedule():
    for index, sigma, timestep in zip(STEP_INDICES, STEP_SIGMAS, STEP_TIMESTEPS, strict=True):
        s = (1000 - index) / 1000
        assert sigma == pytest.approx(3 * s / (1 + 2 * s)) and timestep == pytest.approx(1000 * sigma)


def test_one_seed_gives_one_scene(tiny_networks, path):
    first, again, other = (list(run(tiny_networks, path, seed=seed))[-1].scene for seed in (3, 3, 4))
    assert torch.equal(first.to_vectors(), again.to_vectors())
    assert not torch.equal(first.to_vectors(), other.to_vectors())


def test_noise_is_drawn_in_the_documented_order(tiny_networks, path):
    asked = []

    class Recording(SeededNoise):
        def _draw(self, shape, device):
            asked.append(shape)
            return super()._draw(shape, device)

    latent, frames = (1, 48, FRAMES, 4, 6), (FRAMES, 48, 4, 6)
    for image, first in ((None, []), (torch.zeros(3, HEIGHT, WIDTH), [(1, 48, 4, 6)])):
        asked.clear()
        noise = Recording(torch.Generator().manual_seed(0))
        with torch.inference_mode():
            conditioning = Conditioning(path, tiny_networks.text(""), HEIGHT, WIDTH, image)
            list(sample(tiny_networks, conditioning, noise, flat_renderer))
        assert asked == [*first, latent, *[frames, latent] * 3]


@pytest.mark.parametrize("image", [None, torch.zeros(3, HEIGHT, WIDTH)], ids=["words", "picture"])
def test_numbers_generated_ahead_are_those_of_the_seed(tiny_networks, path, image):
    latents = (1, 48, FRAMES, 4, 6)
    shapes = noise_shapes(latents, has_image=image is not None)
    scenes = []
    for noise in (
        SeededNoise(torch.Generator().manual_seed(2)),
        NoiseAhead(torch.Generator().manual_seed(2), shapes, pinned=False),
    ):
        with torch.inference_mode():
            conditioning = Conditioning(path, tiny_networks.text(""), HEIGHT, WIDTH, image)
            scenes.append(list(sample(tiny_networks, conditioning, noise, flat_renderer))[-1].scene)
    assert torch.equal(*(scene.to_vectors() for scene in scenes))


def test_numbers_generated_ahead_for_another_size_are_refused():
    noise = NoiseAhead(torch.Generator(), [(2, 3)], pinned=False)
    with pytest.raises(ValueError, match=r"\(2, 3\), the loop asks for \(3, 2\)"):
        noise.initial((3, 2), torch.device("cpu"))


def test_next_noise_is_drawn_before_the_loop_waits_for_the_device(tiny_networks, path):
    """The check for NaN waits; drawing after it would leave the device idle."""

    class Watched(SeededNoise):
        drawn = 0

        def renoise(self, *args):
            self.drawn += 1
            return super().renoise(*args)

    noise = Watched(torch.Generator().manual_seed(0))
    with torch.inference_mode(), pytest.raises(NumericalError, match="renderer"):
        conditioning = Conditioning(path, tiny_networks.text("a lake"), HEIGHT, WIDTH)
        next(sample(tiny_networks, conditioning, noise, lambda *a: flat_renderer(*a) * float("nan")))
    assert noise.drawn == 1


def test_renderer_gets_the_request_cameras_themselves(tiny_networks, path):
    seen = []
    next(run(tiny_networks, path, render=lambda *a: seen.append(a[1]) or flat_renderer(*a)))
    assert seen[0] is path


def test_image_and_image_index_matter(tiny_networks, path):
    image = torch.rand(3, HEIGHT, WIDTH) * 2 - 1
    runs = [{}, {"image": image}, {"image": image, "image_index": 2}, {"image": -image}]
    velocities = [next(run(tiny_networks, path, **options)).velocity for options in runs]
    for i, a in enumerate(velocities):
        assert all(not torch.equal(a, b) for b in velocities[:i])


def test_chunked_frames_give_the_same_scene(tiny_networks, path):
    whole, parts = (list(run(tiny_networks, path, frames_per_chunk=n))[-1].scene for n in (None, 2))
    torch.testing.assert_close(parts.to_vectors(), whole.to_vectors(), rtol=1e-3, atol=1e-3)


def test_steps_report_what_they_made(tiny_networks, path):
    results = list(run(tiny_networks, path))
    assert [r.step for r in results] == list(range(STEPS))
    assert [r.is_last for r in results] == [False, False, False, True]
    for result in results:
        assert len(result.scene) == FRAMES * 2 * (HEIGHT // 2) * (WIDTH // 2)
        assert (result.images is None) == (result.rendered is None) == result.is_last
        torch.testing.assert_close(
            result.clean, result.noisy - STEP_SIGMAS[result.step] * result.velocity, rtol=0, atol=0
        )


def test_stopping_early_does_no_more_work(tiny_networks, path):
    rendered = []
    loop = run(tiny_networks, path, render=lambda *a: rendered.append(1) or flat_renderer(*a))
    next(loop)
    loop.close()
    assert rendered == [1]


def test_stages_run_inside_the_callers_context(tiny_networks, path):
    entered, open_stages = [], []

    @contextmanager
    def during(stage):
        assert not open_stages
        open_stages.append(stage)
        entered.append(stage)
        yield
        open_stages.remove(stage)

    list(run(tiny_networks, path, image=torch.zeros(3, HEIGHT, WIDTH), during=during))
    step = ["transformer", "gaussian_decoder", "render", "vae_encoder"]
    assert entered == ["text_context", "vae_encoder", *step * 3, "transformer", "gaussian_decoder"]


def test_bfloat16_networks_keep_latents_and_scene_in_float32(tiny_config, path):
    networks = random_networks(tiny_config, dtype=torch.bfloat16)
    for result in run(networks, path, image=torch.zeros(3, HEIGHT, WIDTH)):
        assert result.features.dtype == torch.bfloat16
        assert {result.noisy.dtype, result.velocity.dtype, result.clean.dtype} == {torch.float32}
        assert result.scene.to_vectors().dtype == torch.float32 and bool(result.scene.means.isfinite().all())


class Breaking(nn.Module):
    """A network that returns NaN from its n-th call on."""

    def __init__(self, network, call):
        super().__init__()
        self.network, self.remaining = network, call

    def forward(self, *args, **kwargs):
        self.remaining -= 1
        output = self.network(*args, **kwargs)
        return tuple(o * (float("nan") if self.remaining < 0 else 1) for o in output)


@pytest.mark.parametrize(
    ("field", "name", "call", "step"), [("transformer", "denoiser", 1, 2), ("vae_encoder", "VAE encoder", 0, 1)]
)
def test_non_finite_values_name_their_stage(tiny_networks, path, field, name, call, step):
    networks = replace(tiny_networks, **{field: Breaking(getattr(tiny_networks, field), call)})
    with pytest.raises(NumericalError, match=f"{name}, step {step} of 4"):
        list(run(networks, path))


def test_non_finite_decoder_and_renderer_outputs_are_named(tiny_config, tiny_networks, path):
    with pytest.raises(NumericalError, match="renderer, step 1 of 4"):
        list(run(tiny_networks, path, render=lambda *a: flat_renderer(*a) * float("inf")))
    broken = random_networks(tiny_config)
    with torch.no_grad():
        broken.gaussian_decoder.gs_head.gs_proj.bias[-1] = float("nan")
    with pytest.raises(NumericalError, match="Gaussian decoder, step 1 of 4"):
        list(run(broken, path))


def test_frames_and_video_axes_are_inverse():
    latents = torch.randn(1, 4, 3, 2, 5)
    assert torch.equal(to_video(from_video(latents)), latents)
