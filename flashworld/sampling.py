"""The noise schedule and the four-step loop: noise, a path and a prompt to a Gaussian scene.

Each step predicts the clean latents, decodes them to a scene, renders the scene from all cameras, encodes the pictures
again and draws fresh noise onto *those* latents; the last step stops at its scene. There is no Euler step and no
guidance.

Numerics: cameras, rays, noise, latents, clean estimate and re-noising are float32; inputs are cast to the networks'
dtype at the networks' borders. Each step ends in one device-to-host read (are all numbers finite?); nothing else waits.

Source: FlashWorld (arXiv 2510.13678): FlowMatch Euler schedule of 1000 steps with shift 3, read at four indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from einops import rearrange

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import raymap
from flashworld.config import SPATIAL_FACTOR, VaeConfig
from flashworld.errors import NumericalError
from flashworld.gaussians import Gaussians
from flashworld.models.networks import Networks
from flashworld.models.transformer import velocity_and_features
from flashworld.models.vae_encoder import StillFrameEncoder
from flashworld.types import Images, Latents

STEP_INDICES = (0, 250, 500, 750)
"""Positions in the table of 1000."""
STEP_SIGMAS = (1.0, 0.9, 0.75, 0.5)
"""Noise levels: 3 s / (1 + 2 s) with s = 1 - index / 1000."""
STEP_TIMESTEPS = (1000.0, 900.0, 750.0, 500.0)
"""The model clock: 1000 x sigma."""
STEPS = len(STEP_SIGMAS)

TimedPart = Literal["text_context", "vae_encoder", "transformer", "gaussian_decoder", "render"]
Renderer = Callable[[Gaussians, Cameras, int, int], Images]
"""Scene, N cameras, height, width to pictures in [-1, 1], (N, 3, height, width), float32, on a white background."""


class NoiseSource(Protocol):
    """Standard normal numbers, float32, on the device asked for.

    The loop asks in this order: `condition_posterior` (only with an image), `initial`, then for steps 0, 1, 2
    `posterior` and `renoise`.
    """

    def condition_posterior(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """For the condition image's latent. (1, C, h, w)"""
        ...

    def initial(self, shape: tuple[int, ...], device: torch.device) -> Latents:
        """Where the loop starts. (1, C, T, h, w)"""
        ...

    def posterior(self, step: int, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """For the latents of the rendered frames. (N, C, h, w)"""
        ...

    def renoise(self, step: int, shape: tuple[int, ...], device: torch.device) -> Latents:
        """What the next step starts from. (1, C, T, h, w)"""
        ...


class SeededNoise:
    """Noise from one generator, in the order the loop asks for it.

    With a CPU generator one seed gives one scene on every device; the numbers are drawn while the device is busy.

    Args:
        generator: Advances with every draw.
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


@dataclass(frozen=True)
class StepResult:
    """What one step made. Latents are normalised unless named raw.

    Attributes:
        step: 0 to 3.
        noisy: What the denoiser read. (1, C, T, h, w)
        velocity: What it answered, float32. (1, C, T, h, w)
        features: Its features, in the networks' dtype. (1, feature_dim, T, h, w)
        clean: The clean estimate, noisy - sigma * velocity. (1, C, T, h, w)
        scene: Gaussians in the cameras' frame, float32.
        images: The scene from every camera, (N, 3, H, W); None at the last step.
        rendered_mean: Mean of the pictures' raw latents, (N, C, h, w); None at the last step.
        rendered: A sample of the pictures' latents, fed to the next step, (1, C, T, h, w); None at the last step.
    """

    step: int
    noisy: Latents
    velocity: Latents
    features: torch.Tensor
    clean: Latents
    scene: Gaussians
    images: Images | None = None
    rendered_mean: torch.Tensor | None = None
    rendered: Latents | None = None

    @property
    def is_last(self) -> bool:
        """Whether `scene` is the result."""
        return self.step == STEPS - 1


def sample(
    networks: Networks,
    cameras: Cameras,
    text_embeds: torch.Tensor,
    noise: NoiseSource,
    render: Renderer,
    *,
    height: int,
    width: int,
    image: Images | None = None,
    image_index: int = 0,
    frames_per_chunk: int | None = None,
    during: Callable[[TimedPart], AbstractContextManager[object]] = nullcontext,
) -> Iterator[StepResult]:
    """Run the loop, yielding after every step; stop iterating to cancel.

    Args:
        networks: The model.
        cameras: N normalised cameras, float32.
        text_embeds: From `networks.text`. (1, tokens, text_dim)
        noise: Where the random numbers come from.
        render: Draws a scene from all cameras.
        height: Of the pictures, a multiple of 32.
        width: Of the pictures, a multiple of 32.
        image: The condition picture in [-1, 1], already at height x width. (3, height, width)
        image_index: Which camera the picture belongs to.
        frames_per_chunk: Frames that go through VAE and Gaussian decoder together; None: all.
        during: Makes a context around each stage, to time it or to move its network; called with the part's name.

    Yields:
        Four step results; the last one's scene is the result.

    Raises:
        NumericalError: a stage produced NaN or infinity.
    """
    vae, device, dtype = networks.config.vae, networks.device, networks.dtype
    views, cameras = cameras, cameras.to(device)  # the renderer prepares its views where they are: on the CPU
    rows, columns = height // SPATIAL_FACTOR, width // SPATIAL_FACTOR
    shape = (1, vae.z_dim, len(cameras), rows, columns)
    mean, std = latent_statistics(vae, device)
    with during("text_context"):
        context = networks.text_context(text_embeds.to(device, dtype))

    rays = to_video(raymap(cameras, rows, columns))
    condition = torch.zeros(shape, device=device)
    if image is not None:
        with during("vae_encoder"):
            center, logvar = networks.vae_encoder(image[None].to(device, dtype))
        raw = sample_posterior(center, logvar, noise.condition_posterior(tuple(center.shape), device))
        condition[:, :, image_index] = (raw - mean) / std
    fixed = torch.cat([rays, condition], dim=1).to(dtype)

    noisy = noise.initial(shape, device)
    features = torch.zeros((1, networks.config.feature_dim, *shape[2:]), dtype=dtype, device=device)
    rendered = torch.zeros(shape, device=device)
    for step, (sigma, time) in enumerate(zip(STEP_SIGMAS, STEP_TIMESTEPS, strict=True)):
        with during("transformer"):
            velocity, features = velocity_and_features(
                networks.transformer,
                torch.cat([noisy.to(dtype), fixed, features, rendered.to(dtype)], dim=1),
                torch.full((1,), time, device=device),
                context,
                latent_channels=vae.z_dim,
            )
        velocity = velocity.float()
        clean = noisy - sigma * velocity
        with during("gaussian_decoder"):
            scene = networks.gaussian_decoder.gaussians(
                from_video(features),
                from_video(clean) * std + mean,
                cameras,
                frames_per_chunk=frames_per_chunk,
            )
        if step == STEPS - 1:
            refuse_nonfinite(step, {"denoiser": clean, "Gaussian decoder": field_sums(scene)})
            yield StepResult(step, noisy, velocity, features, clean, scene)
            return
        with during("render"):
            images = render(scene, views, height, width)
        with during("vae_encoder"):
            center, logvar = encode(networks.vae_encoder, images.to(dtype), frames_per_chunk)
        raw = sample_posterior(center, logvar, noise.posterior(step, tuple(center.shape), device))
        rendered = to_video((raw - mean) / std)
        fresh = noise.renoise(step, shape, device)  # before the wait below: drawn while the GPU still encodes
        refuse_nonfinite(
            step,
            {"denoiser": clean, "Gaussian decoder": field_sums(scene), "renderer": images, "VAE encoder": rendered},
        )
        yield StepResult(step, noisy, velocity, features, clean, scene, images, center, rendered)
        noisy = renoise(rendered, fresh, STEP_SIGMAS[step + 1])


def renoise(clean: Latents, noise: Latents, sigma: float) -> Latents:
    """The flow's forward process: sigma * noise + (1 - sigma) * clean."""
    return sigma * noise + (1 - sigma) * clean


def encode(
    encoder: StillFrameEncoder, images: Images, frames_per_chunk: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of the pictures' raw latents, in chunks of frames. (N, C, h, w) each, float32"""
    parts = [encoder(chunk) for chunk in images.split(frames_per_chunk or len(images))]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def sample_posterior(mean: torch.Tensor, logvar: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """A draw of the raw latents: mean + exp(logvar / 2) * noise."""
    return mean + torch.exp(0.5 * logvar) * noise


def latent_statistics(config: VaeConfig, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the raw latents, a channel each, float32. (C, 1, 1) each"""
    both = torch.tensor([config.latents_mean, config.latents_std]).to(device, non_blocking=True)
    return both[0, :, None, None], both[1, :, None, None]


def to_video(frames: torch.Tensor) -> Latents:
    """(N, C, h, w) -> (1, C, N, h, w)"""
    return rearrange(frames, "t c h w -> 1 c t h w")


def from_video(latents: Latents) -> torch.Tensor:
    """(1, C, N, h, w) -> (N, C, h, w)"""
    return rearrange(latents, "1 c t h w -> t c h w")


def field_sums(scene: Gaussians) -> torch.Tensor:
    """One number for each field of a scene, not finite if the field is not. (5,)"""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    return torch.stack([field.sum() for field in fields])


def refuse_nonfinite(step: int, stages: dict[str, torch.Tensor]) -> None:
    """Refuse NaN and infinity, which a sum carries on, with one read from the device.

    Raises:
        NumericalError: naming the first stage at fault.
    """
    finite = torch.stack([values.sum(dtype=torch.float32) for values in stages.values()]).isfinite()
    for name, ok in zip(stages, finite.tolist(), strict=True):
        if not ok:
            raise NumericalError(f"{name}, step {step + 1} of {STEPS}: numbers must be finite, found NaN or infinity")
