"""The random numbers of the sampling loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch

from flashworld.sampling.schedule import STEPS
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

    With a CPU generator one seed gives one scene on every device.

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
        return self._generate(shape, pinned=crosses).to(device, non_blocking=True)

    def _generate(self, shape: tuple[int, ...], *, pinned: bool) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device, pin_memory=pinned)


class NoiseAhead(SeededNoise):
    """The same numbers, generated from the start in another thread: a GPU would wait 10 ms for each array of a full-size scene.

    Args:
        generator: On the CPU; belongs to this object from now on.
        shapes: Of all calls, in order, see `noise_shapes`.
        pinned: Whether the numbers are for a GPU.
    """

    def __init__(self, generator: torch.Generator, shapes: Iterable[tuple[int, ...]], *, pinned: bool) -> None:
        super().__init__(generator)
        thread = ThreadPoolExecutor(1, thread_name_prefix="noise")
        self._coming = deque(thread.submit(self._generate, shape, pinned=pinned) for shape in shapes)
        thread.shutdown(wait=False)

    def _draw(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        noise = self._coming.popleft().result()
        if noise.shape != shape:
            raise ValueError(f"noise was generated for {tuple(noise.shape)}, the loop asks for {shape}")
        return noise.to(device, non_blocking=True)


def noise_shapes(latents: tuple[int, ...], *, has_image: bool) -> list[tuple[int, ...]]:
    """The shapes of the loop's calls, see `NoiseSource`.

    Args:
        latents: (1, C, T, h, w)
        has_image: Whether there is a condition image.
    """
    one, channels, frames, *pixels = latents
    rendered = (frames, channels, *pixels)
    return [*([(one, channels, *pixels)] if has_image else []), latents, *[rendered, latents] * (STEPS - 1)]
