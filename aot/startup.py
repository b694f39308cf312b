"""What an app does before it serves: find the compiled graphs of its networks, or make them, or run eagerly and say why.

    networks = load(...).to("cuda", torch.bfloat16)                   # module level, in the main process
    reports = prepare(networks, GraphSettings.from_environment(), on_gpu=spaces.GPU(duration=STARTUP_SECONDS))

Found locally or at the place graphs are shared at, and proved on this machine before, a graph costs no GPU time.
Otherwise one GPU call compiles what is missing and tries what is new, each in a process that may die (`aot.proof`). A
graph that is wrong, crashes or hangs is set aside, and its network runs eagerly. Only package bytes come back from the
worker: weights are bound by name in every process, so neither the main process nor the pack file holds them twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aot import install
from aot.artifacts import DEFAULT_ROOT, Artifact, ArtifactStore
from aot.blocks import BLOCKS, module_of, plan_block
from aot.compile import CompileOptions, key_for
from aot.compiler import Compiler, choose_compiler
from aot.gpu_work import Outcome, Task, try_in_worker, work
from aot.hub import DEFAULT_REVISION, Place, open_place, pull
from aot.install import Installed
from aot.keys import device_is_emulated
from aot.proof.ledger import Ledger
from aot.proof.verdicts import NO_DEVICE, REFUSED, Job, Verdict
from aot.shapes import EVERY_SIZE, SizeRange
from aot.side_by_side import Wanted
from aot.variants import Variant
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import Networks

logger = logging.getLogger(__name__)

STARTUP_SECONDS = 1500
"""The longest GPU call a Space may make while it starts."""
GpuDecorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class GraphSettings:
    """Where graphs come from and how they are made.

    Attributes:
        root: The local store.
        place: Where graphs are shared, see `hub.open_place`; None asks nobody.
        revision: Of the place.
        sizes: One graph for each, preferred ones first.
        options: How to compile.
        blocks: Which networks.
        variant: How the networks have been rearranged.
    """

    root: Path = DEFAULT_ROOT
    place: str | None = None
    revision: str = DEFAULT_REVISION
    sizes: tuple[SizeRange, ...] = (EVERY_SIZE,)
    options: CompileOptions = field(default_factory=CompileOptions)
    blocks: tuple[str, ...] = BLOCKS
    variant: Variant = field(default_factory=Variant)

    @classmethod
    def from_environment(cls) -> GraphSettings:
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


def prepare(
    networks: Networks, settings: GraphSettings, *, on_gpu: GpuDecorator | None = None
) -> tuple[Installed, ...]:
    """Patch compiled graphs into the networks, as far as they can be had and have proved themselves on this machine.

    Args:
        networks: With final weights, on their device ("cuda" of ZeroGPU's main process included). Changed in place.
        settings: Where graphs come from, and how the networks have been rearranged.
        on_gpu: Makes a function run where the GPU is, e.g. `spaces.GPU(duration=STARTUP_SECONDS)`; None compiles
            nothing and tries what it finds from this process.

    Returns:
        What runs for each network, and why it is eager where it is.
    """
    preparation = Preparation(networks, settings, on_gpu)
    preparation.search()
    preparation.make()
    return preparation.install()


class Preparation:
    """The state of `prepare`: which graphs are there, which may serve, and why the others do not."""

    def __init__(self, networks: Networks, settings: GraphSettings, on_gpu: GpuDecorator | None) -> None:
        self.networks, self.settings, self.on_gpu = networks, settings, on_gpu
        self.store = ArtifactStore(settings.root)
        self.ledger = Ledger(self.store.root)
        self.wanted: list[Wanted] = [(name, sizes) for name in settings.blocks for sizes in settings.sizes]
        self.found: dict[Wanted, Artifact] = {}
        self.proved: set[Wanted] = set()
        self.reasons: dict[Wanted, str] = {}

    def search(self) -> None:
        """Look for graphs, and for what is known of them."""
        for wanted in self.wanted:
            try:
                artifact = find(self.networks, *wanted, self.settings, self.store)
            except CompiledBlockError as error:
                logger.info("%s", error)
                self.reasons[wanted] = str(error)
                continue
            if reason := self.ledger.refused(artifact):
                self.reasons[wanted] = f"it was refused before: {reason}"
                continue
            self.found[wanted] = artifact
            if self.ledger.proved(artifact):
                self.proved.add(wanted)

    def make(self) -> None:
        """Compile what is missing and try what is new, in one GPU call, if there is anything to do."""
        compiler, missing = self._compilable()
        untried = {wanted: str(a.path) for wanted, a in self.found.items() if wanted not in self.proved}
        if not missing and not untried:
            return
        if self.on_gpu is None and device_is_emulated(self.networks.device):
            self.reasons |= dict.fromkeys(untried, "it has not proved itself, and here it cannot")
            return
        decorate = self.on_gpu or (lambda function: function)
        networks, variant, options = self.networks, self.settings.variant, self.settings.options
        try:
            outcome: Outcome = decorate(lambda task: work(networks, variant, options, task))(Task(missing, untried))
        except Exception as error:
            # Whatever happens to the worker (killed, out of memory, no GPU, full disk), the app must still start.
            logger.exception("compiling at startup failed")
            sentence = f"compiling failed: {type(error).__name__}: {error}"
            self.reasons |= dict.fromkeys((*missing, *untried), sentence)
            return
        for wanted, verdict in outcome.verdicts.items():
            self._judge(wanted, verdict, None)
        for wanted, failure in outcome.failures.items():
            refusal = f"{self.reasons[wanted]}; " if wanted in outcome.verdicts else ""
            self.reasons[wanted] = f"{refusal}{failure}"
        for wanted, package in outcome.packages.items():
            try:
                self.found[wanted] = package.save(self.store)
            except CompiledBlockError as error:
                logger.warning("%s", error)
                self.reasons[wanted] = str(error)
                continue
            self._judge(wanted, outcome.new_verdicts[wanted], compiler)

    def _compilable(self) -> tuple[Compiler | None, tuple[Wanted, ...]]:
        """The compiler, and what to compile: nothing without one, nor what it has made in vain before."""
        missing = [wanted for wanted in self.wanted if wanted not in self.found]
        if not missing or self.on_gpu is None:
            return None, ()
        try:
            compiler = choose_compiler()
        except CompiledBlockError as error:
            logger.warning("%s", error)
            self.reasons |= {wanted: f"{self.reasons[wanted]}, and {error}" for wanted in missing}
            return None, ()
        possible = []
        for name, sizes in missing:
            slug = key_for(plan_block(self.networks, name, sizes), self.settings.options).slug
            if reason := self.ledger.made_in_vain(slug, str(compiler)):
                self.reasons[name, sizes] = f"it was refused before: {reason}"
            else:
                possible.append((name, sizes))
        return compiler, tuple(possible)

    def _judge(self, wanted: Wanted, verdict: Verdict, compiler: Compiler | None) -> None:
        """Keep what has been found out about a graph; one that is refused is set aside."""
        artifact = self.found[wanted]
        if verdict.status == NO_DEVICE and self.on_gpu is not None and device_is_emulated(self.networks.device):
            verdict = self._try_in_worker(wanted, artifact)
        self.ledger.settle(self.store, artifact, verdict, str(compiler) if compiler else None)
        if verdict.proved:
            self.proved.add(wanted)
        else:
            self.reasons[wanted] = verdict.reason or verdict.status
            del self.found[wanted]

    def _try_in_worker(self, wanted: Wanted, artifact: Artifact) -> Verdict:
        """Try a graph in a GPU worker itself, where its own child processes are not let onto the GPU."""
        assert self.on_gpu is not None
        networks, options = self.networks, self.settings.options
        try:
            return self.on_gpu(lambda job: try_in_worker(networks, options, job))(Job(str(artifact.path), *wanted))
        except Exception as error:
            # The worker is dead or was not to be had: that is an answer too.
            logger.exception("%s was not tried to its end", artifact.slug)
            return Verdict(REFUSED, f"the worker that tried it did not come back: {type(error).__name__}: {error}")

    def install(self) -> tuple[Installed, ...]:
        """Put the graphs that may serve in their places."""
        return tuple(self._install(name) for name in self.settings.blocks)

    def _install(self, name: str) -> Installed:
        wanted = [(name, sizes) for sizes in self.settings.sizes]
        artifacts = [self.found[one] for one in wanted if one in self.proved]
        report = install.apply(name, module_of(self.networks, name), artifacts)
        if not report.active and not report.reason:
            report = replace(report, reason=next((self.reasons[one] for one in wanted if one in self.reasons), None))
        logger.info("%s", report)
        return report


def find(networks: Networks, name: str, sizes: SizeRange, settings: GraphSettings, store: ArtifactStore) -> Artifact:
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
