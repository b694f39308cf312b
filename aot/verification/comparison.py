"""Run one network with and without its graph on the same random input, and compare the outputs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves

from aot import install
from aot.artifacts import Artifact
from aot.blocks import EXAMPLE_TOKENS, MIN_BATCH, MIN_TOKENS, BlockPlan, plan_block
from aot.shapes import SizeRange
from flashworld.models.networks import Networks

MAX_RELATIVE_ERROR = {"fp32": 1e-3, "bf16": 2e-2, "fp8": 5e-2}
"""Largest relative error of a graph against eager, by precision. They round at different points: a graph keeps intermediate
values in float32 that eager rounds. Measured on an H200: Gaussian decoder 0.005 and VAE 0.013 in bfloat16, transformer 0.026 in FP8, where
a value between two e4m3 steps (6 % apart) may be rounded either way. A wrong graph is off by tens of per cent.
"""
DEEP = ("transformer", "text_encoder")
MAX_DEEP_ERROR = 5e-2
"""The same for deep networks in bfloat16: 24 and 30 layers accumulate in one sum with eight bits, so eager is 0.02 from float32
and a graph 0.015; the two differ by 0.02 to 0.03."""
OTHER_SIZES = ((8, 256, 448), (4, 128, 192), (24, 704, 480))
"""Frames, height, width to test in addition to the model's own, clamped to the graph's range: from small to large,
so that at least two fit into memory."""
SOON_ENOUGH = 2
"""Number of sizes at which a graph must be correct, if it serves more than one."""


@dataclass(frozen=True)
class Comparison:
    """One graph against eager at one size."""

    block: str
    precision: str
    size: str
    relative_error: float
    eager_ms: float
    compiled_ms: float
    seed: int = 0

    @property
    def bound(self) -> float:
        """The largest error that rounding explains."""
        if self.block in DEEP and self.precision == "bf16":
            return MAX_DEEP_ERROR
        return MAX_RELATIVE_ERROR.get(self.precision, 0.0)

    @property
    def holds(self) -> bool:
        """Whether the graph matches the network; False if either gives NaN."""
        return self.relative_error <= self.bound

    def __str__(self) -> str:
        return (
            f"{self.block} {self.precision} {self.size}: relative error {self.relative_error:.1e} "
            f"(at most {self.bound:.0e}), eager {self.eager_ms:.2f} ms, compiled {self.compiled_ms:.2f} ms"
        )


def compare(
    plan: BlockPlan, artifact: Artifact, size: tuple[int, ...], *, seed: int = 0, rounds: int = 3
) -> Comparison:
    """Run one network both ways on the same random input.

    Args:
        plan: With an example call of the size to test.
        artifact: The graph.
        size: Frames, height, width, or tokens, for the report.
        seed: Seed of the input.
        rounds: Timed calls of each, after a warm-up call.

    Raises:
        CompiledBlockError: the graph cannot be used for this call.
    """
    device = next(plan.module.parameters()).device
    results, times = [], []
    with torch.inference_mode():
        for compiled in (False, True):
            install.remove(plan.module)
            if compiled:
                install.apply(plan.name, plan.module, [artifact], strict=True)
            torch.manual_seed(seed)
            try:
                results.append(flat(plan.example()))
                times.append(median_ms(plan.example, device, rounds))
            finally:
                install.remove(plan.module)
    error = float((results[1] - results[0]).norm() / results[0].norm())
    label = "x".join(map(str, size))
    eager_ms, compiled_ms = times
    return Comparison(plan.name, artifact.key["precision"], label, error, eager_ms, compiled_ms, seed)


def flat(result: object) -> torch.Tensor:
    """All outputs of a network as one vector."""
    return torch.cat([part.float().flatten() for part in tree_leaves(result) if isinstance(part, torch.Tensor)])


def median_ms(call: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Milliseconds of a call, including its work on the device."""
    times = []
    for _ in range(rounds):
        start = _now(device)
        call()
        times.append((_now(device) - start) * 1e3)
    return statistics.median(times)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def trials(networks: Networks, block: str, sizes: SizeRange) -> list[tuple[int, ...]]:
    """Sizes to test a graph with: token counts for the text encoder, else frames, height and width.

    The size that it was tuned for comes first, then a single frame where frames are independent (the condition image, which
    is duplicated and cropped), then others.
    """
    config = networks.config
    if block == "text_encoder":
        most = config.text.max_tokens
        return [(count,) for count in dict.fromkeys((min(EXAMPLE_TOKENS, most), most, MIN_TOKENS))]
    own = _within(sizes, (config.frames, config.height, config.width))
    wanted = (own, (1, *own[1:]), *(_within(sizes, size) for size in OTHER_SIZES))
    return [size for size in dict.fromkeys(wanted) if _serves(plan_block(networks, block, sizes, size), size)]


def plan_trial(networks: Networks, block: str, sizes: SizeRange, trial: tuple[int, ...]) -> BlockPlan:
    """A plan whose example call has one of the sizes of `trials`."""
    if len(trial) == 1:
        return plan_block(networks, block, sizes, tokens=trial[0])
    frames, height, width = trial
    own = trial == trials(networks, block, sizes)[0]
    tokens = EXAMPLE_TOKENS if own else networks.config.text.max_tokens
    return plan_block(networks, block, sizes, (frames, height, width), tokens)


def _within(sizes: SizeRange, size: tuple[int, int, int]) -> tuple[int, int, int]:
    frames, height, width = (
        min(max(value, low), high)
        for value, (low, high) in zip(size, (sizes.frames, sizes.height, sizes.width), strict=True)
    )
    return frames, height, width


def _serves(plan: BlockPlan, size: tuple[int, int, int]) -> bool:
    """Whether a plan's graph accepts a scene of this size; a single frame is duplicated where items are independent."""
    frames, height, width = size
    low, high = plan.sizes.frames
    if frames == 1 and plan.batch_argument is not None and low < high:
        frames = max(low, MIN_BATCH)
    return plan.sizes.contains(frames, height, width)
