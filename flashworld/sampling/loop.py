"""The four-step loop: noise, a path and a prompt to a Gaussian scene.

Each step predicts the clean latents, decodes them to a scene, renders the scene from all cameras, encodes the images
again and adds new noise to *those* latents; the last step ends with its scene. There is no Euler step and no
guidance.

Numerics: cameras, rays, noise, latents, clean estimate and re-noising are float32; inputs are cast to the networks'
dtype where they enter the networks. Each step ends with one device-to-host read (are all numbers finite?), the only synchronisation.

Source: FlashWorld (arXiv 2510.13678).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import raymap
from flashworld.config import SPATIAL_FACTOR
from flashworld.errors import NumericalError
from flashworld.gaussians import Gaussians
from flashworld.models.networks import Networks
from flashworld.models.transformer import velocity_and_features
from flashworld.sampling.latents import encode, from_video, latent_statistics, sample_posterior, to_video
from flashworld.sampling.noise import NoiseSource
from flashworld.sampling.schedule import STEP_SIGMAS, STEP_TIMESTEPS, STEPS, renoise
from flashworld.types import Images, Latents

TimedPart = Literal["text_context", "vae_encoder", "transformer", "gaussian_decoder", "render"]
Timer = Callable[[TimedPart], AbstractContextManager[object]]
Renderer = Callable[[Gaussians, Cameras, int, int], Images]
"""Maps scene, N cameras, height, width to images in [-1, 1], (N, 3, height, width), float32, on a white background."""


@dataclass(frozen=True)
class Conditioning:
    """The inputs of a scene.

    Attributes:
        cameras: N normalised cameras, float32.
        text_embeds: From `networks.embed`. (1, tokens, text_dim)
        height: Image height, a multiple of 32.
        width: Image width, a multiple of 32.
        image: The condition image in [-1, 1], already at height x width, (3, height, width), preferably on the networks'
            device; None for text only.
        image_index: Index of the camera that the image belongs to.
    """

    cameras: Cameras
    text_embeds: torch.Tensor
    height: int
    width: int
    image: Images | None = None
    image_index: int = 0


@dataclass(frozen=True)
class StepResult:
    """The result of one step. Latents are normalised unless named raw.

    Attributes:
        step: 0 to 3.
        noisy: Input of the denoiser. (1, C, T, h, w)
        velocity: Its output, float32. (1, C, T, h, w)
        features: Its features, in the networks' dtype. (1, feature_dim, T, h, w)
        clean: The clean estimate, noisy - sigma * velocity. (1, C, T, h, w)
        scene: Gaussians in the cameras' frame, float32.
        images: The scene from every camera, (N, 3, H, W); None at the last step.
        rendered_mean: Mean of the rendered images' raw latents, (N, C, h, w); None at the last step.
        rendered: A sample of the rendered images' latents, fed to the next step, (1, C, T, h, w); None at the last step.
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
    conditioning: Conditioning,
    noise: NoiseSource,
    render: Renderer,
    *,
    frames_per_chunk: int | None = None,
    during: Timer = nullcontext,
) -> Iterator[StepResult]:
    """Run the loop, yielding after every step; stop iterating to cancel.

    Args:
        networks: The model.
        conditioning: The inputs of the scene.
        noise: Source of the random numbers.
        render: Renders a scene from all cameras.
        frames_per_chunk: Frames per batch of VAE and Gaussian decoder; None: all.
        during: Returns a context for each stage, to time it or to move its network; called with the stage's name.

    Yields:
        Four step results; the last one's scene is the result.

    Raises:
        NumericalError: a stage produced NaN or infinity.
    """
    stages = _Stages(networks, conditioning, noise, render, frames_per_chunk, during)
    noisy = noise.initial(stages.shape, networks.device)
    features = torch.zeros(
        (1, networks.config.feature_dim, *stages.shape[2:]), dtype=networks.dtype, device=networks.device
    )
    rendered = torch.zeros(stages.shape, device=networks.device)
    for step, sigma in enumerate(STEP_SIGMAS):
        velocity, features = stages.denoise(step, noisy, features, rendered)
        clean = noisy - sigma * velocity
        scene = stages.decode(features, clean)
        if step == STEPS - 1:
            refuse_nonfinite(step, {"denoiser": clean, "Gaussian decoder": field_sums(scene)})
            yield StepResult(step, noisy, velocity, features, clean, scene)
            return
        images = stages.draw(scene)
        mean, rendered = stages.encode(step, images)
        fresh = noise.renoise(
            step, stages.shape, networks.device
        )  # before the synchronisation below, while the GPU is still encoding
        refuse_nonfinite(
            step,
            {"denoiser": clean, "Gaussian decoder": field_sums(scene), "renderer": images, "VAE encoder": rendered},
        )
        yield StepResult(step, noisy, velocity, features, clean, scene, images, mean, rendered)
        noisy = renoise(rendered, fresh, STEP_SIGMAS[step + 1])


class _Stages:
    """The stages of a step, and the constants of all steps: the text's context, rays, the condition image's latent."""

    def __init__(
        self,
        networks: Networks,
        conditioning: Conditioning,
        noise: NoiseSource,
        render: Renderer,
        frames_per_chunk: int | None,
        during: Timer,
    ) -> None:
        self.networks, self.given, self.noise, self.render = networks, conditioning, noise, render
        self.frames_per_chunk, self.during = frames_per_chunk, during
        self.cameras = conditioning.cameras.to(networks.device)
        rows, columns = conditioning.height // SPATIAL_FACTOR, conditioning.width // SPATIAL_FACTOR
        self.shape = (1, networks.config.vae.z_dim, len(self.cameras), rows, columns)
        self.mean, self.std = latent_statistics(networks.config.vae, networks.device)
        with during("text_context"):
            self.context = networks.text_context(conditioning.text_embeds.to(networks.device, networks.dtype))
        rays = to_video(raymap(self.cameras, rows, columns))
        self.fixed = torch.cat([rays, self._condition()], dim=1).to(networks.dtype)

    def _condition(self) -> Latents:
        """The condition image's latent at its frame, zeros elsewhere. (1, C, T, h, w)"""
        networks, image = self.networks, self.given.image
        condition = torch.zeros(self.shape, device=networks.device)
        if image is not None:
            with self.during("vae_encoder"):
                mean, logvar = networks.vae_encoder(image[None].to(networks.device, networks.dtype))
            drawn = self.noise.condition_posterior(tuple(mean.shape), networks.device)
            condition[:, :, self.given.image_index] = (sample_posterior(mean, logvar, drawn) - self.mean) / self.std
        return condition

    def denoise(
        self, step: int, noisy: Latents, features: torch.Tensor, rendered: Latents
    ) -> tuple[Latents, torch.Tensor]:
        """Velocity in float32 and features, from the noisy latents and the previous step's result."""
        dtype = self.networks.dtype
        with self.during("transformer"):
            velocity, features = velocity_and_features(
                self.networks.transformer,
                torch.cat([noisy.to(dtype), self.fixed, features, rendered.to(dtype)], dim=1),
                torch.full((1,), STEP_TIMESTEPS[step], device=self.networks.device),
                self.context,
                latent_channels=self.networks.config.vae.z_dim,
            )
        return velocity.float(), features

    def decode(self, features: torch.Tensor, clean: Latents) -> Gaussians:
        """The scene of a clean estimate, in the cameras' frame."""
        with self.during("gaussian_decoder"):
            return self.networks.gaussian_decoder.gaussians(
                from_video(features),
                from_video(clean) * self.std + self.mean,
                self.cameras,
                frames_per_chunk=self.frames_per_chunk,
            )

    def draw(self, scene: Gaussians) -> Images:
        """The scene from every camera. (N, 3, H, W)"""
        with self.during("render"):  # the renderer prepares its views on the device of the given cameras: the CPU
            return self.render(scene, self.given.cameras, self.given.height, self.given.width)

    def encode(self, step: int, images: Images) -> tuple[torch.Tensor, Latents]:
        """Mean of the images' raw latents, (N, C, h, w), and a sample of their latents, (1, C, N, h, w)."""
        with self.during("vae_encoder"):
            mean, logvar = encode(self.networks.vae_encoder, images.to(self.networks.dtype), self.frames_per_chunk)
        drawn = self.noise.posterior(step, tuple(mean.shape), self.networks.device)
        return mean, to_video((sample_posterior(mean, logvar, drawn) - self.mean) / self.std)


def field_sums(scene: Gaussians) -> torch.Tensor:
    """One number for each field of a scene, not finite if the field is not. (5,)"""
    fields = (scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)
    return torch.stack([field.sum() for field in fields])


def refuse_nonfinite(step: int, stages: dict[str, torch.Tensor]) -> None:
    """Refuse NaN and infinity, which propagate through a sum, with one read from the device.

    Raises:
        NumericalError: naming the first stage at fault.
    """
    finite = torch.stack([values.sum(dtype=torch.float32) for values in stages.values()]).isfinite()
    for name, ok in zip(stages, finite.tolist(), strict=True):
        if not ok:
            raise NumericalError(f"{name}, step {step + 1} of {STEPS}: numbers must be finite, found NaN or infinity")
