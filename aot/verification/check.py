"""Verify one graph in this process, which may crash."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from aot.artifacts import read_artifact
from aot.blocks import plan_block
from aot.compile import CompileOptions, key_for
from aot.graph import loaded_package
from aot.verification.comparison import SOON_ENOUGH, Comparison, compare, plan_trial, trials
from aot.verification.verdict import REFUSED, UNABLE, VERIFIED, Job, Verdict
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import Networks

LOADING = "its library was being loaded"


def check_graph(
    networks: Networks, options: CompileOptions, job: Job, announce: Callable[[str], None] = lambda _what: None
) -> Verdict:
    """Load a graph and compare it with the network that it replaces, on random input of several sizes.

    Args:
        networks: Networks of the layout it was compiled for, with any weights, on their device.
        options: Its compile options.
        job: The graph.
        announce: Called with the next step, before anything that could crash the process.
    """
    announce(LOADING)
    try:
        artifact = read_artifact(Path(job.folder))
        wanted = key_for(plan_block(networks, job.block, job.sizes), options).as_dict()
        if differ := [name for name, value in wanted.items() if artifact.key.get(name) != value]:
            here, there = ({name: key.get(name) for name in differ} for key in (wanted, artifact.key))
            return Verdict(UNABLE, f"it is for {there}, the networks here are {here}")
        loaded_package(artifact)
        sizes = trials(networks, job.block, job.sizes)
        rows: list[Comparison] = []
        for size in sizes:
            announce(f"it ran at {'x'.join(map(str, size))}")
            try:
                plan = plan_trial(networks, job.block, job.sizes, size)
                rows.append(compare(plan, artifact, size, seed=int.from_bytes(os.urandom(4), "big"), rounds=job.rounds))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()  # a smaller size may fit
            if len(rows) == job.most or (rows and not rows[-1].holds):
                break
    except (CompiledBlockError, RuntimeError) as error:
        # A graph that does not match, or anything that torch and CUDA raise for failing code.
        return Verdict(REFUSED, f"it failed: {first_line(error)}")
    plain = [asdict(row) for row in rows]
    if rows and not rows[-1].holds:
        return Verdict(REFUSED, f"its output differs from the network's: {rows[-1]}", plain, lasting=True)
    if len(rows) < min(SOON_ENOUGH, len(sizes)):
        return Verdict(UNABLE, f"too little GPU memory to verify it: {len(rows)} of {len(sizes)} sizes fitted", plain)
    return Verdict(VERIFIED, None, plain)


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
