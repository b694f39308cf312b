"""The training program end to end at tiny size, with a soft splat instead of the GPU rasterizer."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from einops import rearrange

from flashworld.cameras import Cameras, normalize
from flashworld.gaussians import SH_C0, Gaussians
from flashworld.models.networks import random_networks
from flashworld.nano.sizes import TINY
from flashworld.nano.training import settings, train
from flashworld.nano.training.batches import VIEWS, normalize_batch
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.unroll import Computing, StepState, conditions, feed_back, run_step
from flashworld.sampling import STEP_SIGMAS, Conditioning, SeededNoise, sample
from flashworld.trajectories import build_trajectory


def soft_splat(scenes: Gaussians, cameras: Cameras, count: int, height: int, width: int):
    """Order-independent blobs: wrong optics, right geometry, differentiable, no GPU."""
    per_scene, views = len(scenes) // count, len(cameras) // count
    colour = (0.5 + SH_C0 * scenes.sh[:, 0]).unflatten(0, (count, 1, per_scene))
    local = scenes.means.unflatten(0, (count, 1, per_scene)) - cameras.positions.unflatten(0, (count, views, 1))
    local = torch.einsum("bvji,bvgj->bvgi", cameras.c2w[:, :3, :3].unflatten(0, (count, views)), local)
    z = -local[..., 2]
    fx, fy, cx, cy = cameras.intrinsics.unflatten(0, (count, views, 1)).unbind(-1)
    front = z.clamp(min=0.05)
    u, v = (fx * local[..., 0] / front + cx) * width, (-fy * local[..., 1] / front + cy) * height
    size = scenes.scales.mean(dim=-1).unflatten(0, (count, 1, per_scene)) / front * fy * height
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    spread = 2 * (0.3 + size**2)[..., None]
    across = torch.exp(-((x - u[..., None]) ** 2) / spread)
    down = torch.exp(-((y - v[..., None]) ** 2) / spread)
    weight = scenes.opacities.unflatten(0, (count, 1, per_scene)) * (z > 0.05) / (1 + z) ** 4
    total = torch.einsum("bvg,bvgy,bvgx->bvyx", weight, down, across)
    painted = torch.einsum("bvg,bvgc,bvgy,bvgx->bvcyx", weight, colour.expand(-1, views, -1, -1), down, across)
    return (painted + 1e-4) / (total + 1e-4)[:, :, None], total / (total + 1e-3)


STEPS = 36
"""Of each stage; the log averages every quarter."""


def losses(folder, stage, name):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if line.get("stage") == stage]


@pytest.fixture
def one_easy_problem(monkeypatch):
    """One fixed world and path per picture size, with pictures as the only condition, so that training overfits."""
    monkeypatch.setattr(settings, "LOG_EVERY", STEPS // 4)
    monkeypatch.setattr(settings, "PICTURE_FRAMES", {3: 1.0})
    monkeypatch.setattr(settings, "PICTURE_CONDITIONS", {"image": 1.0, "both": 0.0})
    monkeypatch.setattr(settings, "STEP_SHARES", (0.6, 0.4, 0.0, 0.0))
    monkeypatch.setitem(settings.WEIGHTS, "input", 1.0)  # as much as the other views, whose loss is looked at
    monkeypatch.setattr(settings, "WARM_UP_STEPS", 4)
    monkeypatch.setattr(train.Trainer, "refresh", lambda *_: None)
    small = dataclasses.replace(settings.TINY_SETTINGS, worlds=4, pool=1, frames_per_step=3, views_per_step=3)
    monkeypatch.setattr(train, "TINY_SETTINGS", small)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_easy_problem")
def test_training_lowers_both_losses_and_resumes(tmp_path):
    first = tmp_path / "first"
    common = ["--minutes", "20", "--autoencoder-minutes", "10", "--tiny", "--workers", "1", "--shares", "1", "0", "0",
              "--first-steps", "0"]  # fmt: skip
    trained = train.main(["--out", str(first), "--max-steps", str(STEPS), *common], soft_splat)
    # Stage 2 starts with a transformer that passes the picture through, so that its pictures improve slowly at first.
    for stage, name, share in (
        ("autoencoder", "picture", 0.8), ("autoencoder", "depth", 0.8),
        ("generator", "picture", 0.95), ("generator", "depth", 0.8),
    ):  # fmt: skip
        found = losses(first, stage, name)
        assert found[-1] < share * found[1], (stage, name, found)  # entry 0 is one step, the others are means
    assert (first / "worlds.jpg").stat().st_size > 1000
    assert trained.learner.config.vae.latents_std != TINY.vae.latents_std

    resumed = Learner(TINY, seed=9, device=torch.device("cpu"))
    progress = resumed.load(first)
    assert len(progress["history"]) == 1
    assert resumed.config == trained.learner.config
    for name, module in trained.learner.ema.items():
        for mine, theirs in zip(resumed.ema[name].parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


def test_batched_loop_equals_the_inference_loop():
    networks = random_networks(TINY, seed=3)
    model = Computing(TINY, networks.modules, torch.float32)
    height, width, frames = 32, 64, 3
    path, _ = normalize(build_trajectory("right", frames=frames, intrinsics=torch.tensor([0.9, 1.2, 0.5, 0.5])))
    image = torch.rand(3, height, width) * 2 - 1

    def render(scene, cameras, rows, columns):
        return (soft_splat(scene, cameras, 1, rows, columns)[0][0] * 2 - 1).clamp(-1, 1)

    with torch.no_grad():
        text = networks.text("a red ball")
        noise = SeededNoise(torch.Generator().manual_seed(5))
        expected = list(sample(networks, Conditioning(path, text, height, width, image, 1), noise, render))
        draws = SeededNoise(torch.Generator().manual_seed(5))
        given = given_with_draws(model, path, image, text, draws)
        shape = expected[0].noisy.shape
        state = StepState(
            draws.initial(shape, path.positions.device),
            given.fixed.new_zeros(expected[0].features.shape),
            torch.zeros(shape),
        )
        for step, reference in enumerate(expected):
            output = run_step(model, given, state, step)
            torch.testing.assert_close(output.clean, reference.clean, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(output.scenes.means, reference.scene.means, rtol=1e-3, atol=1e-3)
            if step < 3:
                with replaced_randn(draws, step, shape):
                    state = feed_back(model, given, output, step, soft_splat)
    assert STEP_SIGMAS[0] == 1.0


def given_with_draws(model, path, image, text, draws):
    with replaced_randn(draws, None, None):
        return conditions(model, path, image[None], torch.tensor([1]), torch.tensor([True]), text)


class replaced_randn:
    """Let `torch.randn_like` take its numbers from inference's noise source, in its order."""

    def __init__(self, draws, step, shape):
        self.draws, self.step, self.calls = draws, step, 0

    def __enter__(self):
        self.real = torch.randn_like

        def draw(like):
            self.calls += 1
            if self.step is None:
                return self.draws.condition_posterior(tuple(like.shape), like.device)
            if self.calls == 1:
                return self.draws.posterior(self.step, tuple(like.shape), like.device)
            return self.draws.renoise(self.step, tuple(like.shape), like.device)

        torch.randn_like = draw

    def __exit__(self, *_):
        torch.randn_like = self.real


def test_batched_normalisation_equals_the_inference_rule():
    path = build_trajectory("orbit_up", frames=VIEWS, intrinsics=torch.tensor([0.9, 1.2, 0.5, 0.5]))
    expected, norm = normalize(path)
    vectors, divisor = normalize_batch(path.to_vectors()[None], VIEWS)
    torch.testing.assert_close(rearrange(vectors, "1 v c -> v c"), expected.to_vectors(), rtol=1e-5, atol=1e-6)
    assert float(divisor) == pytest.approx(norm.divisor, rel=1e-6)
