"""From noise, a camera path and a text embedding to a scene: the schedule, the noise, the four-step loop."""

from __future__ import annotations

from flashworld.sampling.latents import encode, from_video, latent_statistics, sample_posterior, to_video
from flashworld.sampling.loop import Conditioning, Renderer, StepResult, TimedPart, sample
from flashworld.sampling.noise import NoiseAhead, NoiseSource, SeededNoise, noise_shapes
from flashworld.sampling.schedule import STEP_INDICES, STEP_SIGMAS, STEP_TIMESTEPS, STEPS, renoise

__all__ = [
    "STEPS",
    "STEP_INDICES",
    "STEP_SIGMAS",
    "STEP_TIMESTEPS",
    "Conditioning",
    "NoiseAhead",
    "NoiseSource",
    "Renderer",
    "SeededNoise",
    "StepResult",
    "TimedPart",
    "encode",
    "from_video",
    "latent_statistics",
    "noise_shapes",
    "renoise",
    "sample",
    "sample_posterior",
    "to_video",
]
