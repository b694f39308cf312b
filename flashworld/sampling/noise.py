"""The random numbers of the sampling loop."""

from __future__ import annotations

from typing import Protocol

import torch

from flashworld.types import Latents


class NoiseSource(Protocol):
    """Standard normal numbers, float32, on the requested device.

    The loop calls in this order: `condition_posterior` (only with an image), `initial`, then for steps 0, 1, 2
    `posterior` and `renoise`.
    """

    def condition_posterior(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """For the condition image's latent. (1, C, h, w)"""
        ...

    def initial(self, shape: tuple[int, ...], device: torch.device) -> Latents:
        """The initial latents of the loop. (1, C, T, h, w)"""
        ...

    def posterior(self, step: int, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """For the latents of the rendered frames. (N, C, h, w)"""
        ...

    def renoise(self, step: int, shape: tuple[int, ...], device: torch.device) -> Latents:
        """For the next step's noisy latents. (1, C, T, h, w)"""
        ...


class SeededNoise:
    """Noise from one generator, in the order of the loop's calls.

    With a CPU generator one seed gives one scene on every device; the numbers are generated while the device is busy.

    Args:
        generator: Advances with every call.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def condition_posterior(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """See `NoiseSource`."""
        return self._draw(shape, device)

    def initial(self, shape: tuple[int, ...], device: torch.device) -> Latents:
        """See `NoiseSource`."""
        return self._draw(shape, device)

    def posterior(self, step: int, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """See `NoiseSource`."""
        return self._draw(shape, device)

    def renoise(self, step: int, shape: tuple[int, ...], device: torch.device) -> Latents:
        """See `NoiseSource`."""
        return self._draw(shape, device)

    def _draw(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        crosses = device.type == "cuda" and self.generator.device.type == "cpu"
        noise = torch.randn(shape, generator=self.generator, device=self.generator.device, pin_memory=crosses)
        return noise.to(device, non_blocking=True)
