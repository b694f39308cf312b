"""GPU work at the start of an app: compile missing graphs and verify new ones.

Arguments and results are plain data, because on ZeroGPU this runs in a worker process.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from aot.artifacts import Artifact, ArtifactStore
from aot.blocks import plan_block
from aot.compile import CompiledPackage, CompileOptions, compile_plan
from aot.compiler import Compiler, choose_compiler
from aot.side_by_side import Wanted, compile_side_by_side, fits
from aot.variants import Variant
from aot.verification.check import check_graph, first_line
from aot.verification.runner import verify_graphs
from aot.verification.standins import Recipe
from aot.verification.verdict import REFUSED, Job, Verdict
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import Networks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """The work of one GPU call.

    Attributes:
        missing: Graphs to compile.
        untried: Folders of graphs to verify first; one that fails is recompiled.
    """

    missing: tuple[Wanted, ...] = ()
    untried: Mapping[Wanted, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The results of a task.

    Attributes:
        packages: Compiled graphs.
        failures: Why graphs could not be compiled.
        verdicts: Results for existing graphs.
        new_verdicts: Results for newly compiled graphs.
    """

    packages: Mapping[Wanted, CompiledPackage] = field(default_factory=dict)
    failures: Mapping[Wanted, str] = field(default_factory=dict)
    verdicts: Mapping[Wanted, Verdict] = field(default_factory=dict)
    new_verdicts: Mapping[Wanted, Verdict] = field(default_factory=dict)


def work(networks: Networks, variant: Variant, options: CompileOptions, task: Task) -> Outcome:
    """Do a task.

    Args:
        networks: In this process, with their weights.
        variant: The optimisations applied to them.
        options: How to compile.
        task: The task.
    """
    here = resident(networks)
    recipe = Recipe.of(here, variant, options)
    verdicts = try_all(recipe, task.untried)
    refused = tuple(wanted for wanted, verdict in verdicts.items() if verdict.status == REFUSED)
    packages, failures = compile_all(lambda _name: here, recipe, (*task.missing, *refused))
    with tempfile.TemporaryDirectory(prefix="flashworld-new-graphs-") as folder:
        store = ArtifactStore(folder)
        kept: dict[Wanted, Artifact] = {wanted: package.save(store) for wanted, package in packages.items()}
        new = try_all(recipe, {wanted: str(artifact.path) for wanted, artifact in kept.items()})
    return Outcome(packages, failures, verdicts, new)


def try_all(recipe: Recipe, folders: Mapping[Wanted, str]) -> dict[Wanted, Verdict]:
    """Verify graphs in separate processes."""
    if not folders:
        return {}
    jobs = [Job(folder, *wanted) for wanted, folder in folders.items()]
    verdicts = dict(zip(folders, verify_graphs(recipe, jobs), strict=True))
    for (name, sizes), verdict in verdicts.items():
        logger.info("%s for %s: %s", name, sizes.label, verdict.reason or "verified")
    return verdicts


def try_in_worker(networks: Networks, options: CompileOptions, job: Job) -> Verdict:
    """Verify a graph in this process, for ZeroGPU workers, which may die without affecting the app."""
    return check_graph(resident(networks), options, job)


def compile_all(
    networks_for: Callable[[str], Networks], recipe: Recipe, wanted: Sequence[Wanted]
) -> tuple[dict[Wanted, CompiledPackage], dict[Wanted, str]]:
    """Compile graphs, in parallel if possible; returns the graphs, and the reasons of failures.

    Args:
        networks_for: Returns networks of which the named one has weights, to compile sequentially in this process.
        recipe: Of the networks.
        wanted: Graphs to compile.
    """
    if not wanted:
        return {}, {}
    try:
        compiler = choose_compiler()
    except CompiledBlockError as error:
        return {}, dict.fromkeys(wanted, str(error))
    if not fits(recipe, wanted):
        return compile_in_turn(networks_for, recipe, wanted, compiler)
    packages, failures = compile_side_by_side(recipe, wanted, compiler)
    if packages or recipe.device != "cuda":
        return packages, failures
    logger.warning("no child process compiled a graph; compiling sequentially in this process")
    return compile_in_turn(networks_for, recipe, wanted, compiler)


def compile_in_turn(
    networks_for: Callable[[str], Networks], recipe: Recipe, wanted: Iterable[Wanted], compiler: Compiler
) -> tuple[dict[Wanted, CompiledPackage], dict[Wanted, str]]:
    """Compile graphs sequentially in this process; see `compile_all`."""
    packages: dict[Wanted, CompiledPackage] = {}
    failures: dict[Wanted, str] = {}
    for name, sizes in wanted:
        try:
            packages[name, sizes] = compile_plan(plan_block(networks_for(name), name, sizes), recipe.options, compiler)
        except torch.OutOfMemoryError as error:
            logger.exception("%s for %s could not be compiled", name, sizes.label)
            failures[name, sizes] = f"there was too little GPU memory to compile it: {first_line(error)}"
        except (CompiledBlockError, RuntimeError) as error:
            # A network that cannot be compiled must not prevent the other graphs; it will run eagerly.
            logger.exception("%s for %s could not be compiled", name, sizes.label)
            failures[name, sizes] = f"compiling it failed: {first_line(error)}"
    return packages, failures


def resident(networks: Networks) -> Networks:
    """The same networks, with the actual device of their weights in this process.

    In a ZeroGPU worker "cuda" is a real GPU, or the CPU in a test without one.
    """
    return replace(networks, device=next(networks.transformer.parameters()).device)
