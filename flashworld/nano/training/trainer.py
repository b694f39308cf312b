"""The training loop; `steps` holds the losses, `train` is the command line.

Numerics: float32 master weights, EMA and optimiser; networks compute in bfloat16 on CUDA (float32 on CPU) with the
same parts in float32 as at inference; rendering and losses in float32.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from flashworld.nano.training import settings
from flashworld.nano.training.batches import ViewPool
from flashworld.nano.training.journal import Clock, Journal
from flashworld.nano.training.learner import Learner
from flashworld.nano.training.steps import Losses, Steps
from flashworld.nano.training.unroll import Computing
from flashworld.sampling import sample_posterior

PROFILE_STEP = 40
PROFILE_ROWS = 25


class Mark:
    """A timestamp on the device, recorded without synchronisation."""

    def __init__(self) -> None:
        self.event = torch.cuda.Event(enable_timing=True) if torch.cuda.is_available() else None
        self.time = time.monotonic()
        if self.event is not None:
            self.event.record()

    def milliseconds(self, later: Mark) -> float:
        """Time until a later mark; waits for that one."""
        if self.event is None or later.event is None:
            return 1000 * (later.time - self.time)
        later.event.synchronize()
        return self.event.elapsed_time(later.event)


class Trainer:
    """The state of a training run.

    Args:
        learner: The weights.
        steps: The losses and their data.
        journal: Log of metrics.
    """

    def __init__(self, learner: Learner, steps: Steps, journal: Journal) -> None:
        self.learner, self.steps, self.journal = learner, steps, journal
        self.dtype = torch.bfloat16 if learner.device.type == "cuda" else torch.float32
        self.shares = dict(settings.STEP_KINDS)
        self.first_steps = settings.FIRST_STEP_ONLY
        self.entry_seconds: dict[ViewPool, float] = {}  # per rendered entry, measured while filling
        self.owed = 0.0
        self.profile: Path | None = None
        self.kind = "autoencoder"
        self.marks: list[tuple[str, Mark, Mark]] = []

    def computing(self, *, average: bool = False) -> Computing:
        """The networks, cast for one step."""
        return Computing(self.learner.config, self.learner.ema if average else self.learner.modules, self.dtype)

    def train(
        self, stage: str, minutes: float, *, begin: float = 0.0, end: float = 1.0, max_steps: int = 10**9,
        save: Callable[[], None] | None = None, look: Callable[[], None] | None = None,
    ) -> int:  # fmt: skip
        """Run a stage until its time or step limit is reached; returns the number of steps.

        Args:
            stage: "autoencoder" or "generator".
            minutes: Wall-clock limit.
            begin: Position on the cosine learning-rate schedule to start at, 0 to 1.
            end: Position to end at.
            max_steps: Maximum number of steps.
            save: Called every `SAVE_SECONDS`.
            look: Called every `LOOK_SECONDS` of stage 2.
        """
        generating = stage == "generator"
        self.learner.prepare(settings.GENERATOR_RATES if generating else settings.AUTOENCODER_RATES)
        clock, step, logged = Clock(minutes), 0, 0
        saved = looked = self.journal.since = time.monotonic()
        while clock.fraction < 1 and step < max_steps:
            step += 1
            began = time.monotonic()
            if step == PROFILE_STEP and self.profile is not None:
                self.write_profile(stage)
            progress = begin + (end - begin) * clock.fraction
            self.steps.first_step_only = clock.fraction < self.first_steps
            mark = Mark()
            loss, report = self.losses(stage)
            factor = min(1.0, step / settings.WARM_UP_STEPS) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))
            report["gradient"] = self.learner.step(loss, factor)
            self.marks.append((self.kind, mark, Mark()))
            self.journal.add(report)
            if step % settings.LOG_EVERY == 0 or step == 1:
                seconds = time.monotonic() - clock.start
                more = {"seconds": seconds, "memory_gb": memory_gb(), "rate": factor} | self.milliseconds()
                self.journal.flush(stage, step, step - logged, **more)
                logged = step
            self.refresh(time.monotonic() - began)
            if save is not None and time.monotonic() - saved > settings.SAVE_SECONDS:
                save()
                saved = time.monotonic()
            if generating and look is not None and time.monotonic() - looked > settings.LOOK_SECONDS:
                look()
                looked = time.monotonic()
        return step

    def losses(self, stage: str) -> Losses:
        """The losses of one step; in stage 2 its kind is random."""
        if stage == "autoencoder":
            return self.steps.autoencoder(self.computing())
        self.kind = list(self.shares)[self.steps.choose(self.shares)]
        return self.steps.kinds[self.kind](self.computing())

    def milliseconds(self) -> dict[str, float]:
        """Mean time of the steps since the last call, by kind."""
        spent = defaultdict(list)
        for kind, start, end in self.marks:
            spent[f"ms_{kind}"].append(start.milliseconds(end))
        self.marks = []
        return {name: sum(values) / len(values) for name, values in spent.items()}

    def write_profile(self, stage: str) -> None:
        """Append a kernel profile of three steps of each kind to a file."""
        kinds = [self.steps.autoencoder] if stage == "autoencoder" else list(self.steps.kinds.values())
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        for make in kinds:
            with torch.profiler.profile(activities=activities) as profiler:
                for _ in range(3):
                    self.learner.step(make(self.computing())[0], 0.1)
            table = profiler.key_averages().table(
                sort_by="self_cuda_time_total", row_limit=PROFILE_ROWS, max_name_column_width=70
            )
            if self.profile is not None:
                with self.profile.open("a") as file:
                    file.write(f"{stage}, {make.__name__}, 3 steps\n{table}\n")

    def refresh(self, step_seconds: float) -> None:
        """Render new entries for `REFRESH_SHARE` of the time; pools alternate by the cost of their entries."""
        self.owed = min(self.owed + settings.REFRESH_SHARE * step_seconds, 2.0)
        pools = list(self.entry_seconds)
        if not pools:
            return
        pool = pools[self.steps.choose([1.0] * len(pools))]
        cost = self.entry_seconds[pool] * pool.entries_per_cast
        if self.owed >= cost:
            casts = max(1, int(self.owed / cost / 2))
            pool.refresh(casts * pool.entries_per_cast)
            self.owed -= casts * cost

    @torch.no_grad()
    def measure_latents(self, rounds: int = 8) -> None:
        """Store each latent channel's mean and standard deviation over many views in the configuration."""
        model, found = self.computing(average=True), []
        for _ in range(rounds):
            for pool in self.steps.pools.pictures:
                batch = pool.draw(max(1, self.steps.sizes.views_per_step // 3), 3, 0, self.steps.generator)
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
    """Peak GPU memory so far."""
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
