"""Golden case e: the noise schedule."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from flashworld.sampling import STEP_INDICES, STEP_SIGMAS, STEP_TIMESTEPS, renoise


def test_four_constants_equal_the_original_schedulers_table(golden_dir, close):
    data = load_file(golden_dir / "e_scheduler.safetensors")
    assert tuple(data["in.denoising_steps"].tolist()) == STEP_INDICES
    indices = torch.tensor(STEP_INDICES)
    for sigmas in (data["out.step_sigmas"], data["out.sigmas"][indices]):
        close(torch.tensor(STEP_SIGMAS), sigmas, 1e-6)
    for timesteps in (data["out.step_timesteps"], data["out.timesteps"][indices]):
        close(torch.tensor(STEP_TIMESTEPS), timesteps, 1e-6)


def test_renoise_matches_original(golden_dir, close):
    data = load_file(golden_dir / "e_scheduler.safetensors")
    for index, sigma in zip(STEP_INDICES[1:], STEP_SIGMAS[1:], strict=True):
        close(renoise(data["in.sample"], data["in.noise"], sigma), data[f"out.scale_noise_{index}"], 1e-6)
