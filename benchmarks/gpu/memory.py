"""Offloading: time and memory of a scene with some networks in CPU memory, on GPUs of several sizes."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu.run import Run
from benchmarks.stages import GIB
from flashworld.models.networks import random_networks
from flashworld.pipeline import FlashWorldPipeline, place

MODES = ("none", "text", "text,transformer", "text,vae,transformer")
CONTEXT_GIB = 0.6
"""GPU memory besides tensors: the CUDA context and the libraries' code."""
REFUSED = "does not fit"
MESSAGE = 300
"""Characters of an out-of-memory message that are kept: what was asked for and what was free."""


def offload(run: Run) -> dict[str, object]:
    """Each mode: first with all memory of this GPU, then within each budget."""
    found: dict[str, object] = {}
    for mode in MODES:
        found[mode] = one_mode(run, mode)
        run.keep(modes=found)
    return {"modes": found}


def one_mode(run: Run, mode: str) -> dict[str, object]:
    """One offloading mode, without graphs."""
    pipeline, request = offloaded(run, mode), run.request()

    def scene() -> None:
        pipeline.networks.text.forget()
        pipeline(request)

    run.timed(scene)
    run.peak_gib(reset=True)
    row: dict[str, object] = {"warm_s": run.timed(scene), "peak_gib": run.peak_gib()}
    if run.device.type == "cuda":
        total = torch.cuda.get_device_properties(run.device).total_memory / GIB
        budgets: dict[str, object] = {}
        for budget in sorted(map(float, run.args.budgets.split(",")), reverse=True):
            found = within(run, scene, (budget - CONTEXT_GIB) / total)
            budgets[f"{budget:g} GiB"] = found
            if REFUSED in found:
                break  # a smaller GPU has even less memory
        row["budgets"] = budgets
        torch.cuda.set_per_process_memory_fraction(1.0)
    return row


def within(run: Run, scene: Callable[[], None], fraction: float) -> dict[str, object]:
    """A scene with only this share of the GPU's memory."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, fraction))
    run.peak_gib(reset=True)
    try:
        return {"warm_s": run.timed(scene), "peak_gib": run.peak_gib()}
    except torch.OutOfMemoryError as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if "flashworld" in frame.filename]
        return {REFUSED: str(error)[:MESSAGE], "in": f"{Path(own[-1].filename).name}, {own[-1].name}" if own else ""}


def offloaded(run: Run, mode: str) -> FlashWorldPipeline:
    """Networks generated on the device, moved to the CPU and placed as in the app."""
    run.drop()
    networks = random_networks(run.config, device=run.device, dtype=run.dtype)
    for module in networks.modules.values():
        module.requires_grad_(False)
        module.to("cpu")
    run.drop()
    on_gpu = run.device.type == "cuda"  # offloading needs a GPU
    wanted = set(mode.split(",")) if mode != "none" and on_gpu else set()
    return FlashWorldPipeline(place(replace(networks, device=torch.device("cpu")), run.device, wanted))
