"""Losses of one training step.

Stage 1, "autoencoder": single views through VAE encoder and Gaussian decoder, rendered again, with depth supervision.
Stage 2 mixes three kinds of steps:
- "pictures": image-conditioned worlds, some also with their sentence; a random step of the four-step loop.
- "words": exact worlds, text-conditioned only; a random step of the loop.
- "latents": exact worlds, text-conditioned only; the first step, with a loss on latents (no rendering, many scenes).
  The Gaussian decoder relies on the features far more than on the clean estimate, which at pure noise must first cancel
  the noise; the loss therefore compares latents predicted linearly from the features (`measure_read_out`).
A later step of the loop starts from the output of the earlier ones, run without gradients exactly as at inference, or
from ground-truth latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from flashworld.cameras import Cameras
from flashworld.config import SPATIAL_FACTOR
from flashworld.models.gaussian_decoder import gaussians_from_maps
from flashworld.nano.training import settings
from flashworld.nano.training.batches import Batch, ViewPool
from flashworld.nano.training.losses import depth_loss, edge_loss, kl_loss, picture_loss, psnr, regularisers
from flashworld.nano.training.rasterize import Rasterizer
from flashworld.nano.training.settings import WEIGHTS, TrainingSettings
from flashworld.nano.training.unroll import (
    Computing,
    Conditions,
    StepState,
    blind_conditions,
    conditions,
    first_state,
    from_truth,
    run_step,
    unroll,
)
from flashworld.sampling import STEP_SIGMAS, sample_posterior

Losses = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""The loss, and the metrics to log."""


@dataclass(frozen=True)
class Pools:
    """Pools of rendered views to sample from.

    Attributes:
        pictures: Worlds with a random layout, one pool per image size.
        words: Worlds with an exact layout on short paths, one pool per image size.
        long_words: Worlds with an exact layout on full paths.
    """

    pictures: tuple[ViewPool, ...]
    words: tuple[ViewPool, ...]
    long_words: tuple[ViewPool, ...]

    def __iter__(self):  # noqa: ANN204 - of ViewPool
        return iter((*self.pictures, *self.words, *self.long_words))


class Steps:
    """Computes the losses.

    Args:
        pools: Training data.
        sizes: Sizes of the run.
        rasterize: The differentiable renderer.
        generator: CPU generator for all random choices.
        empty: Token ids of the empty prompt. (length,)
    """

    def __init__(
        self,
        pools: Pools,
        sizes: TrainingSettings,
        rasterize: Rasterizer,
        generator: torch.Generator,
        empty: torch.Tensor,
    ) -> None:
        self.pools, self.sizes, self.rasterize, self.generator, self.empty = pools, sizes, rasterize, generator, empty
        self.first_step_only = False
        self.read_out: torch.Tensor | None = None

    def choose(self, shares: Mapping[int, float] | Mapping[str, float] | list[float]) -> int:
        """A random index, weighted by shares."""
        values = list(shares.values()) if isinstance(shares, Mapping) else shares
        return int(torch.multinomial(torch.tensor(values, dtype=torch.float32), 1, generator=self.generator))

    def pick(self, pools: tuple[ViewPool, ...]) -> ViewPool:
        """A random image size, weighted by pool size."""
        return pools[self.choose([float(p.size) for p in pools])]

    def autoencoder(self, model: Computing) -> Losses:
        """One step of stage 1."""
        pool = self.pick(self.pools.pictures)
        batch = pool.draw(max(1, self.sizes.views_per_step // 3), 3, 0, self.generator)
        truth = batch.rgb.flatten(0, 1)
        scale = (batch.divisor / settings.AUTOENCODER_DIVISOR)[:, None, None, None]
        still = torch.zeros((len(truth), 7), device=truth.device)
        still[:, 0] = 1
        cameras = Cameras.from_vectors(torch.cat([still, batch.cameras.intrinsics], dim=1))
        mean, logvar = model.encode(truth * 2 - 1)
        raw = sample_posterior(mean, logvar, torch.randn_like(mean))
        features = raw.new_zeros((len(raw), model.config.feature_dim, *raw.shape[-2:]))
        maps = model.maps(features, raw)
        rgb, alpha = self.rasterize(gaussians_from_maps(maps, cameras), cameras, len(truth), pool.height, pool.width)
        rgb, alpha = rgb.flatten(0, 1), alpha.flatten(0, 1)
        parts = {
            "picture": picture_loss(rgb, truth),
            "depth": depth_loss(maps, (batch.distance * scale).flatten(0, 1)),
            "kl": kl_loss(mean, logvar),
        } | regularisers(maps, alpha)
        return weighted(parts), parts | {"psnr": psnr(rgb, truth).mean(), "posterior_std": (0.5 * logvar).exp().mean()}

    def pictures(self, model: Computing) -> Losses:
        """One step on image-conditioned scenes."""
        frames = list(settings.PICTURE_FRAMES)[self.choose(settings.PICTURE_FRAMES)]
        batch = self.draw(self.pick(self.pools.pictures), frames, 2)
        index = self.choose([1.0 + (frames - 1) * (i == 0) for i in range(frames)])
        count = len(batch.rgb)
        worded = torch.rand(count, generator=self.generator) < settings.PICTURE_CONDITIONS["both"]
        tokens = torch.where(worded.to(self.empty.device)[:, None], batch.tokens, self.empty)
        return self.generated(model, batch, frames, index, torch.ones(count, dtype=torch.bool), tokens)

    def words(self, model: Computing) -> Losses:
        """One step on text-conditioned scenes."""
        long = bool(self.pools.long_words) and self.choose([1 - settings.LONG_SHARE, settings.LONG_SHARE]) == 1
        shares = settings.LONG_FRAMES if long else settings.SHORT_FRAMES
        frames = list(shares)[self.choose(shares)]
        batch = self.draw(self.pick(self.pools.long_words if long else self.pools.words), frames, 1)
        return self.generated(model, batch, frames, 0, torch.zeros(len(batch.rgb), dtype=torch.bool), batch.tokens)

    def latents(self, model: Computing) -> Losses:
        """Loss of the first step's features against ground-truth latents, text-conditioned only."""
        if self.read_out is None:
            raise RuntimeError("steps: call measure_read_out before latent steps")
        batch = self.pick(self.pools.words).draw(self.sizes.latent_scenes, settings.LATENT_FRAMES, 0, self.generator)
        blind = torch.zeros(len(batch.rgb), dtype=torch.bool)
        given = self.given(model, batch, settings.LATENT_FRAMES, 0, blind, batch.tokens)
        truth = true_latents(model, batch, settings.LATENT_FRAMES).movedim(1, -1)
        clean, features = first_estimate(model, given)
        things = F.max_pool2d(batch.things.float(), SPATIAL_FACTOR)  # (B, N, h, w)
        weight = 1 + settings.THING_WEIGHT * things[..., None]
        parts = {
            "latents": (weight * (with_one(features.movedim(1, -1).float()) @ self.read_out - truth).square()).mean(),
            "clean": F.mse_loss(clean.movedim(1, -1), truth),
        }
        return weighted(parts), parts

    @torch.no_grad()
    def measure_read_out(self, model: Computing, rounds: int = 6) -> float:
        """Fit latents to the features of image-conditioned views by least squares; returns the unexplained variance.

        The fit is fixed for a run, which also anchors the meaning of the features.
        """
        rows: list[tuple[torch.Tensor, torch.Tensor]] = []
        for _ in range(rounds):
            batch = self.draw(self.pools.pictures[0], settings.LATENT_FRAMES, 0)
            seeing = torch.ones(len(batch.rgb), dtype=torch.bool)
            tokens = self.empty.expand(len(batch.rgb), -1)
            given = self.given(model, batch, settings.LATENT_FRAMES, 0, seeing, tokens)
            features = first_estimate(model, given)[1][:, :, 0].movedim(1, -1).flatten(0, 2).double()
            rows.append((with_one(features), true_latents(model, batch, 1).movedim(1, -1).flatten(0, 3).double()))
        known, wanted = (torch.cat(parts) for parts in zip(*rows, strict=True))
        ridge = torch.eye(known.shape[1], dtype=known.dtype, device=known.device)
        solution = torch.linalg.solve(known.T @ known + ridge, known.T @ wanted)
        self.read_out = solution.float()
        return float((known @ solution - wanted).square().mean() / wanted.var(dim=0).mean())

    def draw(self, pool: ViewPool, frames: int, between: int) -> Batch:
        """Sample a batch of the size of one step."""
        return pool.draw(max(1, self.sizes.frames_per_step // frames), frames, between, self.generator)

    def given(
        self, model: Computing, batch: Batch, frames: int, index: int, seeing: torch.Tensor, tokens: torch.Tensor
    ) -> Conditions:
        """Conditions of a batch: which scenes get the image of frame `index`, (B,), and each scene's sentence."""
        device, text = batch.rgb.device, model.text(tokens)
        if not bool(seeing.any()):
            return blind_conditions(model, batch.cameras, text, *batch.rgb.shape[-2:])
        numbers = torch.full((len(batch.rgb),), index, device=device)
        picture = batch.rgb[:, :frames][:, index] * 2 - 1
        return conditions(model, batch.cameras, picture, numbers, seeing.to(device), text)

    def generated(
        self, model: Computing, batch: Batch, frames: int, index: int, seeing: torch.Tensor, tokens: torch.Tensor
    ) -> Losses:
        """One step of the loop, with losses on images, depth and latents."""
        given = self.given(model, batch, frames, index, seeing, tokens)
        truth_latents = true_latents(model, batch, frames)
        step = 0 if self.first_step_only else self.choose(list(settings.STEP_SHARES))
        output = run_step(model, given, self.state(model, given, truth_latents, step), step)

        chosen = torch.randperm(frames, generator=self.generator)[:2].tolist()
        compared = sorted({index, *chosen}) + list(range(frames, batch.rgb.shape[1]))
        cameras = Cameras.from_vectors(batch.all_vectors[:, compared].flatten(0, 1))
        height, width = batch.rgb.shape[-2:]
        rgb, alpha = self.rasterize(output.scenes, cameras, len(batch.rgb), height, width)
        truth, first = batch.rgb[:, compared], compared.index(index)
        things = batch.things[:, compared].flatten(0, 1)[:, None] & ~seeing.to(batch.rgb.device).any()
        parts = {
            "picture": picture_loss(rgb.flatten(0, 1), truth.flatten(0, 1), 1 + settings.THING_WEIGHT * things.float()),
            "edges": edge_loss(rgb.flatten(0, 1), truth.flatten(0, 1)),
            "depth": depth_loss(output.maps, batch.distance.flatten(0, 1)),
            "latent": F.mse_loss(output.clean, truth_latents),
        } | regularisers(output.maps, alpha)
        decibels = psnr(rgb, truth)
        own = decibels[:, first].mean()
        if bool(seeing.any()):
            parts["input"] = picture_loss(rgb[:, first], truth[:, first]) + edge_loss(rgb[:, first], truth[:, first])
            others = torch.cat([decibels[:, :first], decibels[:, first + 1 :]], dim=1)
            report = {f"input_{step}": own, f"novel_{step}": others.mean()}
            return weighted(parts), parts | report
        return weighted(parts), {f"words_{k}": v for k, v in parts.items()} | {f"text_view_{step}": decibels.mean()}

    def state(self, model: Computing, given: Conditions, truth: torch.Tensor, step: int) -> StepState:
        """The state that a step starts from."""
        if step > 0 and self.choose([1 - settings.TRUE_LATENTS, settings.TRUE_LATENTS]) == 1:
            return from_truth(model, given, truth, step)
        return unroll(model, given, step, self.rasterize)

    @property
    def kinds(self) -> dict[str, Callable[[Computing], Losses]]:
        """The kinds of stage-2 steps."""
        return {"pictures": self.pictures, "words": self.words, "latents": self.latents}


def first_estimate(model: Computing, given: Conditions) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean estimate and features of the loop's first step. (B, C, N, h, w), (B, F, N, h, w)"""
    state = first_state(model, given)
    hidden = torch.cat(
        [state.noisy.to(model.dtype), given.fixed, state.features, state.rendered.to(model.dtype)], dim=1
    )
    velocity, features = model.denoise(hidden, 0, given.text.to(model.dtype))
    return state.noisy - STEP_SIGMAS[0] * velocity, features


def with_one(x: torch.Tensor) -> torch.Tensor:
    """Append a constant 1, for the bias of a linear map. (..., C) -> (..., C + 1)"""
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)


def weighted(parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sum of the losses, weighted by `WEIGHTS`."""
    return torch.stack([WEIGHTS.get(name, 1.0) * part for name, part in parts.items()]).sum()


@torch.no_grad()
def true_latents(model: Computing, batch: Batch, frames: int) -> torch.Tensor:
    """Normalised latents of the ground-truth images of all input frames. (B, C, N, h, w)"""
    views = batch.rgb[:, :frames].flatten(0, 1) * 2 - 1
    latents = model.scaled(model.encode(views)[0])
    return latents.unflatten(0, (-1, frames)).transpose(1, 2)
