"""The four-step loop of `flashworld.sampling`, batched for training: only the last step has gradients.

Same arithmetic as `sampling.sample` (a test compares the two): predict, decode, render, encode, re-noise the rendered
latents. Networks run through `Computing`, which casts float32 master weights to the compute dtype once a
training step and lets gradients flow back through the cast, so training sees inference's numerics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import nn
from torch.func import functional_call

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import raymap
from flashworld.config import SPATIAL_FACTOR, ModelConfig
from flashworld.gaussians import Gaussians
from flashworld.models.gaussian_decoder import gaussians_from_maps
from flashworld.models.networks import FLOAT32_PARTS, stored_dtype
from flashworld.models.transformer import velocity_and_features
from flashworld.nano.training.rasterize import Rasterizer
from flashworld.sampling import STEP_SIGMAS, STEP_TIMESTEPS, latent_statistics, renoise, sample_posterior


class Computing:
    """The networks with their weights cast for one training step.

    Args:
        config: Sizes and latent statistics.
        modules: Networks by name, float32 master weights.
        dtype: Compute dtype.
    """

    def __init__(self, config: ModelConfig, modules: Mapping[str, nn.Module], dtype: torch.dtype) -> None:
        self.config, self.modules, self.dtype = config, dict(modules), dtype
        self.weights = {
            name: {
                key: p.to(stored_dtype(key, dtype, FLOAT32_PARTS[name])) for key, p in module.named_parameters()
            }
            for name, module in modules.items()
        }  # fmt: skip
        device = next(self.modules["vae_encoder"].parameters()).device
        self.mean, self.std = latent_statistics(config.vae, device)

    def _call(self, name: str, *args: object, **kwargs: object) -> object:
        return functional_call(self.modules[name], self.weights[name], args, kwargs)

    def text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings of padded tokens (0 is padding), zero rows after the last one. (B, max_tokens, text_dim)"""
        mask = tokens != 0
        hidden = self._call("text_encoder", input_ids=tokens, attention_mask=mask.long()).last_hidden_state  # type: ignore[attr-defined]
        hidden = hidden * mask[..., None].to(hidden.dtype)
        return nn.functional.pad(hidden, (0, 0, 0, self.config.text.max_tokens - tokens.shape[1]))

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of raw latents of images in [-1, 1], (N, 3, H, W). (N, C, h, w) each"""
        return self._call("vae_encoder", images.to(self.dtype))  # type: ignore[return-value]

    def scaled(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw latents (..., C, h, w) to normalised ones."""
        return (raw - self.mean) / self.std

    def maps(self, features: torch.Tensor, raw_latents: torch.Tensor) -> torch.Tensor:
        """Head maps of N frames, float32. (N, 76, 8h, 8w)"""
        return self._call("gaussian_decoder", features, raw_latents)  # type: ignore[return-value]

    def denoise(self, hidden: torch.Tensor, step: int, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity, float32, and features. (B, C, T, h, w), (B, F, T, h, w)"""
        time = torch.full((hidden.shape[0],), STEP_TIMESTEPS[step], device=hidden.device)

        def transformer(**kwargs: object) -> object:
            return self._call("transformer", **kwargs)

        velocity, features = velocity_and_features(
            transformer, hidden, time, text, latent_channels=self.config.vae.z_dim  # type: ignore[arg-type]
        )  # fmt: skip
        return velocity.float(), features


@dataclass(frozen=True)
class Conditions:
    """Inputs that are constant over the four steps.

    Attributes:
        cameras: B x N normalised cameras, scene by scene.
        fixed: Raymap and condition latents, compute dtype. (B, 6 + C, N, h, w)
        text: Embeddings. (B, tokens, text_dim)
        height: Image height.
        width: Image width.
    """

    cameras: Cameras
    fixed: torch.Tensor
    text: torch.Tensor
    height: int
    width: int


@dataclass(frozen=True)
class StepState:
    """Input of a step: noisy latents, fed-back features and fed-back rendered latents. (B, ., N, h, w) each"""

    noisy: torch.Tensor
    features: torch.Tensor
    rendered: torch.Tensor


@dataclass(frozen=True)
class StepOutput:
    """Output of a step: the clean estimate (B, C, N, h, w), features, head maps and B concatenated scenes."""

    clean: torch.Tensor
    features: torch.Tensor
    maps: torch.Tensor
    scenes: Gaussians


def conditions(
    model: Computing,
    cameras: Cameras,
    images: torch.Tensor,
    image_index: torch.Tensor,
    has_image: torch.Tensor,
    text: torch.Tensor,
) -> Conditions:
    """Encode the condition images and assemble the constant channels.

    Args:
        model: The networks.
        cameras: B x N normalised cameras.
        images: One image per scene, in [-1, 1]. (B, 3, H, W)
        image_index: Index of its frame. (B,)
        has_image: Whether the scene is conditioned on it. (B,)
        text: Embeddings. (B, tokens, text_dim)
    """  # fmt: skip
    count, height, width = len(images), *images.shape[-2:]
    rows, columns, frames = height // SPATIAL_FACTOR, width // SPATIAL_FACTOR, len(cameras) // len(images)
    rays = rearrange(raymap(cameras, rows, columns), "(b n) c h w -> b c n h w", b=count)
    mean, logvar = model.encode(images)
    latents = model.scaled(sample_posterior(mean, logvar, torch.randn_like(mean)))
    chosen = nn.functional.one_hot(image_index, frames) * has_image[:, None]
    condition = latents[:, :, None] * chosen[:, None, :, None, None].to(latents.dtype)
    return Conditions(cameras, torch.cat([rays, condition], dim=1).to(model.dtype), text, height, width)


def blind_conditions(model: Computing, cameras: Cameras, text: torch.Tensor, height: int, width: int) -> Conditions:
    """Conditions of scenes without an input image; see `conditions`."""
    count, rows, columns = len(text), height // SPATIAL_FACTOR, width // SPATIAL_FACTOR
    rays = rearrange(raymap(cameras, rows, columns), "(b n) c h w -> b c n h w", b=count)
    nothing = rays.new_zeros((count, model.config.vae.z_dim, *rays.shape[2:]))
    return Conditions(cameras, torch.cat([rays, nothing], dim=1).to(model.dtype), text, height, width)


def first_state(model: Computing, given: Conditions) -> StepState:
    """The initial state: pure noise, and zero feedback."""
    batch, _, frames, rows, columns = given.fixed.shape
    shape = (batch, model.config.vae.z_dim, frames, rows, columns)
    noise = torch.randn(shape, device=given.fixed.device)
    features = given.fixed.new_zeros((batch, model.config.feature_dim, frames, rows, columns))
    return StepState(noise, features, torch.zeros_like(noise))


def run_step(model: Computing, given: Conditions, state: StepState, step: int) -> StepOutput:
    """Predict and decode."""
    hidden = torch.cat(
        [state.noisy.to(model.dtype), given.fixed, state.features, state.rendered.to(model.dtype)], dim=1
    )
    velocity, features = model.denoise(hidden, step, given.text.to(model.dtype))
    clean = state.noisy - STEP_SIGMAS[step] * velocity
    raw = rearrange(clean, "b c n h w -> (b n) c h w") * model.std + model.mean
    maps = model.maps(rearrange(features, "b c n h w -> (b n) c h w"), raw)
    return StepOutput(clean, features, maps, gaussians_from_maps(maps, given.cameras))


def feed_back(model: Computing, given: Conditions, output: StepOutput, step: int, rasterize: Rasterizer) -> StepState:
    """Render the scenes from their cameras, encode the images, re-noise: the next step's state."""
    batch = output.clean.shape[0]
    rgb, _ = rasterize(output.scenes, given.cameras, batch, given.height, given.width)
    pictures = (rgb.flatten(0, 1) * 2 - 1).clamp(-1, 1)
    mean, logvar = model.encode(pictures)
    latents = model.scaled(sample_posterior(mean, logvar, torch.randn_like(mean)))
    rendered = rearrange(latents, "(b n) c h w -> b c n h w", b=batch)
    noisy = renoise(rendered, torch.randn_like(rendered), STEP_SIGMAS[step + 1])
    return StepState(noisy, output.features, rendered)


def unroll(model: Computing, given: Conditions, step: int, rasterize: Rasterizer) -> StepState:
    """The state at the start of step `step`, without gradients."""
    with torch.no_grad():
        state = first_state(model, given)
        for earlier in range(step):
            state = feed_back(model, given, run_step(model, given, state, earlier), earlier, rasterize)
    return state


def from_truth(model: Computing, given: Conditions, truth: torch.Tensor, step: int) -> StepState:
    """The state at the start of step `step` if the previous steps had been exact.

    Args:
        model: The networks.
        given: The conditions.
        truth: Normalised latents of the ground-truth images. (B, C, N, h, w)
        step: At least 1.
    """
    with torch.no_grad():
        start = first_state(model, given)
        hidden = torch.cat(
            [start.noisy.to(model.dtype), given.fixed, start.features, start.rendered.to(model.dtype)], dim=1
        )
        _, features = model.denoise(hidden, 0, given.text.to(model.dtype))
        noisy = renoise(truth, torch.randn_like(truth), STEP_SIGMAS[step])
    return StepState(noisy, features, truth)
