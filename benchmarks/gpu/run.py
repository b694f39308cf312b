"""Shared by the parts of `benchmarks.gpu_all`: settings, networks and timing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from aot import install
from aot.blocks import BLOCKS, module_of
from aot.install import Installed
from aot.startup import GraphSettings, prepare
from aot.variants import Variant
from benchmarks.gpu.record import Record
from benchmarks.machine import Machine, measure_machine
from benchmarks.stages import GIB, MODELS, Case, a_request, measure
from flashworld.config import ModelConfig
from flashworld.device import network_dtype
from flashworld.errors import CompiledBlockError
from flashworld.inputs import GenerationRequest, VideoSettings
from flashworld.limits import MIN_SIDE_PX
from flashworld.models.fp8 import Fp8Mode, probe_fp8
from flashworld.models.networks import Networks, random_networks

VIDEO_FPS = 16


@dataclass
class Run(Record):
    """A record with the GPU's name and torch's version, and everything that the parts need."""

    _networks: Networks | None = None

    def __post_init__(self) -> None:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        self.keep(card=name, torch=torch.__version__)

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""
        return MODELS[self.args.model]

    @property
    def device(self) -> torch.device:
        """The device."""
        return torch.device(self.args.device)

    @property
    def dtype(self) -> torch.dtype:
        """The networks' dtype."""
        return network_dtype(self.device)

    @property
    def fp8(self) -> Fp8Mode | None:
        """The device's FP8 mode."""
        return probe_fp8(self.device)

    @property
    def blocks(self) -> tuple[str, ...]:
        """Networks with graphs."""
        return BLOCKS if self.args.blocks == "all" else tuple(n for n in self.args.blocks.split(",") if n != "none")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's own images, within the limits for requests."""
        return max(self.config.height, MIN_SIDE_PX), max(self.config.width, MIN_SIDE_PX)

    @property
    def variant(self) -> Variant:
        """As the app runs networks on ZeroGPU: fused projections, sub-pixel convolutions, blocks in FP8, the text encoder in int8."""
        return Variant(fp8=self.fp8, text_int8=True)

    @property
    def settings(self) -> GraphSettings:
        """The store of graphs."""
        return GraphSettings(root=self.args.graphs, blocks=self.blocks, variant=self.variant)

    @property
    def networks(self) -> Networks:
        """Random networks as the app runs them, generated on the device."""
        if self._networks is None:
            self._networks = self.variant.apply(random_networks(self.config, device=self.device, dtype=self.dtype))
        return self._networks

    def use(self, networks: Networks) -> None:
        """Use the given networks instead of random ones."""
        self._networks = networks

    def drop(self) -> None:
        """Free the networks."""
        self._networks = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def install_graphs(self) -> tuple[Installed, ...]:
        """Install the graphs of the store; none is compiled.

        Raises:
            CompiledBlockError: a network has no usable graph: the figures would be those of eager networks.
        """
        reports = prepare(self.networks, self.settings)
        self.keep(graphs=[str(report) for report in reports])
        if eager := [str(report) for report in reports if not report.active]:
            raise CompiledBlockError("; ".join(eager))
        return reports

    def calls(self) -> dict[str, dict[str, int]]:
        """Calls of each network by graph."""
        return {name: install.counts(module_of(self.networks, name)) for name in self.blocks}

    @property
    def machine(self) -> Machine:
        """Best rates of the device: those of the part of this name, or measured now."""
        path = self.result.parent / "machine.json"
        try:
            return Machine(**json.loads(path.read_text())["machine"])
        except (OSError, ValueError, KeyError, TypeError):
            return measure_machine(self.device, self.dtype)

    def case(self, **changes: Any) -> Case:  # noqa: ANN401 - fields of Case
        """The case that `benchmarks.stages` times."""
        case = Case(self.networks, self.config.frames, *self.size, self.args.video_frames, self.args.rounds, warm_up=2)
        return replace(case, **changes)

    def table(self, case: Case, machine: Machine) -> list[dict[str, object]]:
        """Every stage: milliseconds, rate, floor, ratio, peak memory."""
        return [asdict(row) | {"ratio": row.ratio} for row in measure(case, machine, eight_bit=self.fp8 is not None)]

    def request(self) -> GenerationRequest:
        """An image, a sentence and an orbit, without a video. Makes no networks, so that a part may have its own."""
        return a_request(self.config, *self.size)

    def filmed(self) -> GenerationRequest:
        """The same with a video."""
        film = VideoSettings(fps=VIDEO_FPS, seconds=self.args.video_frames / VIDEO_FPS)
        return replace(self.request(), video=film)

    def wait(self) -> None:
        """Synchronise with the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, job: Callable[[], object]) -> float:
        """Wall seconds of a job, including work on the device."""
        self.wait()
        start = time.perf_counter()
        job()
        self.wait()
        return time.perf_counter() - start

    def peak_gib(self, *, reset: bool = False) -> float:
        """Most device memory since the last reset."""
        if self.device.type != "cuda":
            return 0.0
        peak = torch.cuda.max_memory_allocated(self.device) / GIB
        if reset:
            torch.cuda.reset_peak_memory_stats(self.device)
        return peak


def process_seconds() -> float:
    """Seconds since the start of this process."""
    started_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK"))
