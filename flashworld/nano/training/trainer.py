"""The two training stages of the nano model; `train` is the command line around them.

Stage 1, "autoencoder": single views through VAE encoder and Gaussian decoder, rendered back; depth is told.
Stage 2, "generator": a random step of the four-step loop, the steps before it run without gradients exactly as at
inference; text, picture or both as conditions; rendered views of the path and in between are compared.

Numerics: float32 master weights, average and optimiser; networks compute in bfloat16 on CUDA (float32 on CPU) with the
same parts in float32 as at inference; rendering and losses in float32.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from flashworld.cameras import Cameras
from flashworld.models.gaussian_decoder import gaussians_from_maps
from flashworld.nano.training.batches import Batch, ViewPool
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.losses import depth_loss, kl_loss, picture_loss, psnr, regularisers
from flashworld.nano.training.rasterize import Rasterizer
from flashworld.nano.training.unroll import Computing, Conditions, conditions, run_step, unroll
from flashworld.nano.training.validation import caption_tokens
from flashworld.sampling import sample_posterior

log = logging.getLogger(__name__)
FRAMES = {4: 0.15, 6: 0.15, 8: 0.55, 12: 0.15}
CONDITIONS = {"both": 0.35, "image": 0.4, "text": 0.25}
AUTOENCODER_DIVISOR = 0.5
"""Scene units to a model unit when there is no path: that of a path half a unit long."""
AUTOENCODER_RATES = {"vae_encoder": 1.2e-3, "gaussian_decoder": 1.2e-3}
GENERATOR_RATES = {"text_encoder": 8e-4, "transformer": 1.0e-3, "gaussian_decoder": 5e-4}
WARM_UP_STEPS = 80
STEP_SHARES = (0.34, 0.18, 0.18, 0.30)
"""How often each of the four steps is trained; the last one makes the result."""
FIRST_STEP_ONLY = 0.4
"""Share of stage 2 that trains the first step alone: it costs no unrolling, and the later steps build on it."""
WEIGHTS = {"depth": 0.4, "holes": 0.2, "opacity": 0.003, "size": 0.01, "latent": 0.05, "kl": 5e-4, "input": 1.0}
LOG_EVERY = 25
SAVE_SECONDS = 150.0
PROFILE_STEP = 40
PROFILE_ROWS = 25


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes of a run that are not the model's.

    Attributes:
        worlds: In the bank.
        paths: In the bank.
        pictures: In the atlas.
        texture_size: Of the atlas.
        pool: Entries for the main picture size; half of it for the turned one.
        frames_per_step: Input frames a generator step, over all scenes.
        views_per_step: Pictures an auto-encoder step.
        samples: Rays a pixel and side.
    """

    worlds: int = 16384
    paths: int = 3000
    pictures: int = 320
    texture_size: int = 256
    pool: int = 600
    frames_per_step: int = 96
    views_per_step: int = 192
    samples: int = 2


TINY_SETTINGS = Settings(12, 8, 4, 32, 4, 6, 6, 1)


class Clock:
    """Wall time of a stage."""

    def __init__(self, minutes: float) -> None:
        self.start, self.seconds = time.monotonic(), minutes * 60

    @property
    def fraction(self) -> float:
        """Share of the time used, 0 to 1."""
        return min(1.0, (time.monotonic() - self.start) / max(self.seconds, 1e-9))


class Journal:
    """Running means of what steps report, to the log and to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path, self.since = path, time.monotonic()
        self.sums: dict[str, Any] = defaultdict(float)
        self.count: dict[str, int] = defaultdict(int)

    def add(self, values: dict[str, torch.Tensor]) -> None:
        """Remember a step's values; nothing is read from the device yet."""
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value.detach()
            self.count[name] += 1

    def flush(self, stage: str, step: int, steps: int, **more: float) -> None:
        """Write means since the last time."""
        means = {name: float(total) / self.count[name] for name, total in self.sums.items()}
        means |= {"ms": 1000 * (time.monotonic() - self.since) / max(steps, 1)} | more
        self.write({"stage": stage, "step": step} | means)
        self.sums.clear()
        self.count.clear()
        self.since = time.monotonic()

    def write(self, values: Mapping[str, object]) -> None:
        """One line."""
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in values.items()}
        log.info("%s", " ".join(f"{k}={v}" for k, v in rounded.items()))
        with self.path.open("a") as file:
            file.write(json.dumps(rounded) + "\n")


class Trainer:
    """Everything a run needs.

    Args:
        learner: The weights.
        settings: Sizes of the run.
        pools: Training data, one pool a picture size.
        journal: Where numbers go.
        rasterize: The differentiable renderer.
        seed: Of all draws.
    """

    def __init__(
        self,
        learner: Learner,
        settings: Settings,
        pools: list[ViewPool],
        journal: Journal,
        rasterize: Rasterizer,
        seed: int,
    ) -> None:
        self.learner, self.settings, self.pools, self.journal = learner, settings, pools, journal
        self.rasterize = rasterize
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = torch.bfloat16 if learner.device.type == "cuda" else torch.float32
        self.refresh_seconds = 0.0  # of one pool entry, measured while filling
        self.owed = 0.0
        self.progress = 0.0
        self.shares = dict(CONDITIONS)
        self.profile: Path | None = None

    def choose(self, shares: list[float]) -> int:
        """A random index by shares."""
        return int(torch.multinomial(torch.tensor(shares, dtype=torch.float32), 1, generator=self.generator))

    def computing(self, *, average: bool = False) -> Computing:
        """Networks cast for one step."""
        modules = self.learner.ema if average else self.learner.modules
        return Computing(self.learner.config, modules, self.dtype)

    def train(
        self, stage: str, minutes: float, *, begin: float = 0.0, end: float = 1.0, max_steps: int = 10**9,
        save: Callable[[], None] | None = None,
    ) -> int:  # fmt: skip
        """Run a stage until its time or its steps are over; how many steps were made.

        Args:
            stage: "autoencoder" or "generator".
            minutes: Wall time.
            begin: Where on the cosine of the learning rate to start, 0 to 1.
            end: Where on it to end.
            max_steps: Stop after so many steps.
            save: Called every `SAVE_SECONDS`.
        """
        make = self.autoencoder_loss if stage == "autoencoder" else self.generator_loss
        self.learner.prepare(AUTOENCODER_RATES if stage == "autoencoder" else GENERATOR_RATES)
        clock, step, logged, saved = Clock(minutes), 0, 0, time.monotonic()
        self.journal.since = time.monotonic()
        while clock.fraction < 1 and step < max_steps:
            step += 1
            began = time.monotonic()
            if step == PROFILE_STEP and self.profile is not None:
                self.write_profile(stage, make)
            self.progress = begin + (end - begin) * clock.fraction
            loss, report = make()
            factor = min(1.0, step / WARM_UP_STEPS) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * self.progress)))
            report["gradient"] = self.learner.step(loss, factor)
            self.journal.add(report)
            if step % LOG_EVERY == 0 or step == 1:
                self.journal.flush(
                    stage, step, step - logged, seconds=time.monotonic() - clock.start, memory_gb=memory_gb()
                )
                logged = step
            self.refresh(time.monotonic() - began)
            if save is not None and time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
        return step

    def write_profile(self, stage: str, make: Callable[[], tuple[torch.Tensor, dict[str, torch.Tensor]]]) -> None:
        """Which kernels three steps spend their time in, appended to a file."""
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profiler:
            for _ in range(3):
                self.learner.step(make()[0], 0.1)
        table = profiler.key_averages().table(
            sort_by="self_cuda_time_total", row_limit=PROFILE_ROWS, max_name_column_width=70
        )
        if self.profile is not None:
            with self.profile.open("a") as file:
                file.write(f"{stage}, 3 steps\n{table}\n")

    def refresh(self, step_seconds: float, share: float = 0.15) -> None:
        """Re-render a few pool entries, at most this share of the time."""
        self.owed = min(self.owed + share * step_seconds / max(self.refresh_seconds, 1e-3), 8.0)
        if self.owed >= 1:
            count = int(self.owed)
            self.pools[self.choose([p.size for p in self.pools])].refresh(count)
            self.owed -= count

    def pick_pool(self) -> ViewPool:
        """A picture size, by pool size."""
        return self.pools[self.choose([p.size for p in self.pools])]

    def autoencoder_loss(self) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One step of stage 1."""
        model, pool = self.computing(), self.pick_pool()
        batch = pool.draw(max(1, self.settings.views_per_step // 3), 3, 0, self.generator)
        truth = batch.rgb.flatten(0, 1)
        distance = (batch.distance * (batch.divisor / AUTOENCODER_DIVISOR)[:, None, None, None]).flatten(0, 1)
        still = torch.zeros((len(truth), 7), device=truth.device)
        still[:, 0] = 1
        cameras = Cameras.from_vectors(torch.cat([still, batch.cameras.intrinsics], dim=1))
        mean, logvar = model.encode(truth * 2 - 1)
        raw = sample_posterior(mean, logvar, torch.randn_like(mean))
        features = raw.new_zeros((len(raw), model.config.feature_dim, *raw.shape[-2:]))
        maps = model.maps(features, raw)
        rgb, alpha = self.rasterize(gaussians_from_maps(maps, cameras), cameras, len(truth), pool.height, pool.width)
        rgb, alpha = rgb.flatten(0, 1), alpha.flatten(0, 1)
        parts = {"picture": picture_loss(rgb, truth), "depth": depth_loss(maps, distance), "kl": kl_loss(mean, logvar)}
        parts |= regularisers(maps, alpha)
        loss = sum((WEIGHTS.get(name, 1.0) * part for name, part in parts.items()), start=truth.new_zeros(()))
        return loss, parts | {"psnr": psnr(rgb, truth).mean(), "posterior_std": (0.5 * logvar).exp().mean()}

    def generator_loss(self) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One step of stage 2."""
        model, pool = self.computing(), self.pick_pool()
        frames = list(FRAMES)[self.choose(list(FRAMES.values()))]
        scenes = max(1, self.settings.frames_per_step // frames)
        batch = pool.draw(scenes, frames, 2, self.generator)
        step, index = (
            0 if self.progress < FIRST_STEP_ONLY else self.choose(list(STEP_SHARES)),
            self.choose([1.0 + (frames - 1) * (i == 0) for i in range(frames)]),
        )
        given, has_image, truth_latents = self.conditions(model, batch, index)
        output = run_step(model, given, unroll(model, given, step, self.rasterize), step)

        judged = sorted({index, *torch.randperm(frames, generator=self.generator)[:3].tolist()}) + list(
            range(frames, batch.rgb.shape[1])
        )
        cameras = Cameras.from_vectors(batch.all_vectors[:, judged].flatten(0, 1))
        rgb, alpha = self.rasterize(output.scenes, cameras, scenes, pool.height, pool.width)
        truth, first = batch.rgb[:, judged], judged.index(index)
        kept = has_image.float()[:, None, None, None]
        parts = {
            "picture": picture_loss(rgb.flatten(0, 1), truth.flatten(0, 1)),
            "input": picture_loss(rgb[:, first] * kept, truth[:, first] * kept),
            "depth": depth_loss(output.maps, batch.distance.flatten(0, 1)),
            "latent": F.smooth_l1_loss(output.clean, truth_latents),
        } | regularisers(output.maps, alpha)
        loss = sum((WEIGHTS.get(name, 1.0) * part for name, part in parts.items()), start=rgb.new_zeros(()))
        return loss, parts | self.quality(psnr(rgb, truth), has_image, first, step)

    def conditions(self, model: Computing, batch: Batch, index: int) -> tuple[Conditions, torch.Tensor, torch.Tensor]:
        """Random conditions of a batch: the fixed channels, who sees a picture, and the true latents of all frames."""
        count, frames = len(batch.rgb), len(batch.cameras) // len(batch.rgb)
        kinds = torch.multinomial(
            torch.tensor(list(self.shares.values())), count, replacement=True, generator=self.generator
        )
        kinds = kinds.to(batch.rgb.device)
        has_image = (kinds != 2) | ~batch.captioned
        tokens = torch.where((kinds == 1)[:, None], self.empty_tokens(batch), batch.tokens)
        views = batch.rgb[:, :frames] * 2 - 1
        given = conditions(
            model,
            batch.cameras,
            views[:, index],
            torch.full((count,), index, device=kinds.device),
            has_image,
            model.text(tokens),
        )
        with torch.no_grad():
            latents = model.scaled(model.encode(views.flatten(0, 1))[0])
        return given, has_image, latents.unflatten(0, (count, frames)).transpose(1, 2)

    def empty_tokens(self, batch: Batch) -> torch.Tensor:
        """The empty prompt's tokens. (1, length)"""
        text = self.learner.networks.text
        return caption_tokens(text.tokenizer, ("",), batch.tokens.shape[1], batch.tokens.device)

    @staticmethod
    def quality(decibels: torch.Tensor, has_image: torch.Tensor, first: int, step: int) -> dict[str, torch.Tensor]:
        """PSNR of judged views (B, J) by kind."""
        shown = has_image.float()
        rest = torch.cat([decibels[:, :first], decibels[:, first + 1 :]], dim=1).mean(dim=1)

        def average(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return (values * weight).sum() / weight.sum().clamp(min=1)

        return {
            f"input_{step}": average(decibels[:, first], shown),
            f"novel_{step}": average(rest, shown),
            "text_view": average(decibels.mean(dim=1), 1 - shown),
        }

    @torch.no_grad()
    def measure_latents(self, rounds: int = 8) -> None:
        """Mean and deviation of each latent channel over many views, into the configuration."""
        model, found = self.computing(average=True), []
        for _ in range(rounds):
            for pool in self.pools:
                batch = pool.draw(max(1, self.settings.views_per_step // 3), 3, 0, self.generator)
                mean, logvar = model.encode(batch.rgb.flatten(0, 1) * 2 - 1)
                found.append(sample_posterior(mean, logvar, torch.randn_like(mean)).movedim(1, 0).flatten(1))
        values = torch.cat(found, dim=1)
        config = self.learner.config
        vae = dataclasses.replace(
            config.vae,
            latents_mean=tuple(round(v, 4) for v in values.mean(dim=1).tolist()),
            latents_std=tuple(round(v, 4) for v in values.std(dim=1).clamp(min=1e-3).tolist()),
        )
        self.learner.config = dataclasses.replace(config, vae=vae)


def memory_gb() -> float:
    """Most GPU memory taken so far."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
