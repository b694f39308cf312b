"""What an app does before it serves: find the compiled graphs of its networks, or make them, or run eagerly and say why.

    networks = load(...).to("cuda", torch.bfloat16)                   # module level, in the main process
    reports = prepare(networks, Settings.from_environment(), on_gpu=spaces.GPU(duration=STARTUP_SECONDS))

Found locally or at the place graphs are shared at, a graph costs no GPU time. Otherwise all missing ones are compiled
in one GPU call. Only package bytes come back from the worker: weights are bound by name in every process, so neither
the main process nor the pack file holds them twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from aot import install
from aot.artifacts import DEFAULT_ROOT, Artifact, ArtifactStore
from aot.blocks import BLOCKS, module_of, plan_block
from aot.compile import CompiledPackage, CompileOptions, compile_plan, key_for
from aot.hub import DEFAULT_REVISION, Place, open_place, pull
from aot.install import Installed
from aot.shapes import EVERY_SIZE, SizeRange
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import Networks

logger = logging.getLogger(__name__)

STARTUP_SECONDS = 1500
"""The longest GPU call a Space may make while it starts."""
GpuDecorator = Callable[[Callable[..., list[CompiledPackage]]], Callable[..., list[CompiledPackage]]]


@dataclass(frozen=True)
class Settings:
    """Where graphs come from and how they are made.

    Attributes:
        root: The local store.
        place: Where graphs are shared, see `hub.open_place`; None asks nobody.
        revision: Of the place.
        sizes: One graph for each, preferred ones first.
        options: How to compile.
        blocks: Which networks.
    """

    root: Path = DEFAULT_ROOT
    place: str | None = None
    revision: str = DEFAULT_REVISION
    sizes: tuple[SizeRange, ...] = (EVERY_SIZE,)
    options: CompileOptions = field(default_factory=CompileOptions)
    blocks: tuple[str, ...] = BLOCKS

    @classmethod
    def from_environment(cls) -> Settings:
        """FLASHWORLD_AOT_DIR, FLASHWORLD_AOT_REPO, FLASHWORLD_AOT_REVISION, FLASHWORLD_AOT_INDUCTOR, _ATTENTION."""
        read = os.environ.get
        return cls(
            place=read("FLASHWORLD_AOT_REPO") or None,
            revision=read("FLASHWORLD_AOT_REVISION") or DEFAULT_REVISION,
            options=CompileOptions(
                inductor=read("FLASHWORLD_AOT_INDUCTOR") or CompileOptions.inductor,
                attention=read("FLASHWORLD_AOT_ATTENTION") or CompileOptions.attention,
            ),
        )


def prepare(networks: Networks, settings: Settings, *, on_gpu: GpuDecorator | None = None) -> tuple[Installed, ...]:
    """Patch compiled graphs into the networks, as far as they can be had.

    Args:
        networks: With final weights, on their device ("cuda" of ZeroGPU's main process included). Changed in place.
        settings: Where graphs come from.
        on_gpu: Makes a function run where the GPU is, e.g. `spaces.GPU(duration=STARTUP_SECONDS)`; None compiles
            nothing.

    Returns:
        What runs for each network, and why it is eager where it is.
    """
    store = ArtifactStore(settings.root)
    found: dict[tuple[str, SizeRange], Artifact] = {}
    reasons: dict[str, str] = {}
    for name in settings.blocks:
        for sizes in settings.sizes:
            try:
                found[name, sizes] = find(networks, name, sizes, settings, store)
            except CompiledBlockError as error:
                logger.info("%s", error)
                reasons[name] = str(error)
    missing = [(name, sizes) for name in settings.blocks for sizes in settings.sizes if (name, sizes) not in found]
    if missing and on_gpu is not None:
        made, failures = make(networks, missing, settings.options, store, on_gpu)
        found |= made
        reasons |= failures
    return tuple(_install(networks, name, settings.sizes, found, reasons.get(name)) for name in settings.blocks)


def find(networks: Networks, name: str, sizes: SizeRange, settings: Settings, store: ArtifactStore) -> Artifact:
    """A graph from the local store, or from where graphs are shared.

    Raises:
        CompiledBlockError: neither has it.
    """
    key = key_for(plan_block(networks, name, sizes), settings.options)
    try:
        return store.load(key)
    except CompiledBlockError:
        if settings.place is None:
            raise
        place: Place = open_place(settings.place, settings.revision)
        return pull(store, place, key)


def make(
    networks: Networks,
    missing: list[tuple[str, SizeRange]],
    options: CompileOptions,
    store: ArtifactStore,
    on_gpu: GpuDecorator,
) -> tuple[dict[tuple[str, SizeRange], Artifact], dict[str, str]]:
    """Compile graphs in one GPU call and keep them: the graphs, and reasons for those that failed."""
    compile_on_gpu = on_gpu(lambda wanted: compile_all(networks, wanted, options))
    try:
        packages = compile_on_gpu(missing)
        made = {}
        for package in packages:
            wanted = next(w for w in missing if (w[0], w[1].label) == (package.key.block, package.key.shapes))
            made[wanted] = package.save(store)
    except Exception as error:
        # Whatever happens to the worker (killed, out of memory, no GPU, full disk), the app must still start.
        logger.exception("compiling at startup failed")
        return {}, dict.fromkeys((name for name, _ in missing), f"compiling failed: {type(error).__name__}: {error}")
    failed = {name for name, sizes in missing if (name, sizes) not in made}
    return made, dict.fromkeys(failed, "compiling failed, see the log")


def compile_all(
    networks: Networks, wanted: Iterable[tuple[str, SizeRange]], options: CompileOptions
) -> list[CompiledPackage]:
    """Compile one graph after the other; one that fails is logged and left out."""
    here = resident(networks)
    packages = []
    for name, sizes in wanted:
        try:
            packages.append(compile_plan(plan_block(here, name, sizes), options))
        except (CompiledBlockError, RuntimeError):
            # One network that cannot be compiled must not cost the others their graphs; it will run eagerly.
            logger.exception("%s for %s is not compiled", name, sizes.label)
    return packages


def resident(networks: Networks) -> Networks:
    """The same networks, saying the device that their weights are on in this process.

    In a ZeroGPU worker that is what "cuda" has become: a GPU, or the CPU where a test has none.
    """
    return replace(networks, device=next(networks.transformer.parameters()).device)


def _install(
    networks: Networks,
    name: str,
    sizes: tuple[SizeRange, ...],
    found: dict[tuple[str, SizeRange], Artifact],
    reason: str | None,
) -> Installed:
    artifacts = [found[name, size] for size in sizes if (name, size) in found]
    report = install.apply(name, module_of(networks, name), artifacts)
    report = report if report.active or report.reason else replace(report, reason=reason)
    logger.info("%s", report)
    return report
