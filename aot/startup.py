"""Preparation of an app before it serves: find or compile the graphs of its networks, or run eagerly and report why.

    networks = load(...).to("cuda", torch.bfloat16)                   # module level, in the main process
    reports = prepare(networks, GraphSettings.from_environment(), on_gpu=spaces.GPU(duration=STARTUP_SECONDS))

A graph that is found locally or in the shared repository and was verified on this machine before needs no GPU time.
Otherwise one GPU call compiles missing graphs and verifies new ones, each in a process that may crash (`aot.verification`). A
graph that is wrong, crashes or hangs is set aside, and its network runs eagerly. Only package bytes are returned by the
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
from aot.shapes import EVERY_SIZE, SizeRange
from aot.side_by_side import Wanted
from aot.variants import Variant
from aot.verification.records import Records
from aot.verification.verdict import NO_DEVICE, REFUSED, Job, Verdict
from flashworld.errors import CompiledBlockError
from flashworld.models.networks import Networks

logger = logging.getLogger(__name__)

STARTUP_SECONDS = 1500
"""The longest GPU call of a Space at startup."""
GpuDecorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class GraphSettings:
    """Where graphs are found and how they are compiled.

    Attributes:
        root: The local store.
        place: Shared repository, see `hub.open_place`; None for none.
        revision: Its revision.
        sizes: One graph for each, preferred ones first.
        options: Compile options.
        blocks: Names of the networks.
        variant: The optimisations applied to the networks.
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
    """Install compiled graphs in the networks, as far as they are available and verified on this machine.

    Args:
        networks: With final weights, on their device ("cuda" of ZeroGPU's main process included). Changed in place.
        settings: Where graphs are found, and the optimisations applied to the networks.
        on_gpu: Makes a function run where the GPU is, e.g. `spaces.GPU(duration=STARTUP_SECONDS)`; None compiles
            nothing and verifies existing graphs from this process.

    Returns:
        The installed graphs of each network, and why it runs eagerly where it does.
    """
    preparation = Preparation(networks, settings, on_gpu)
    preparation.search()
    preparation.make()
    return preparation.install()


class Preparation:
    """The state of `prepare`: which graphs exist, which may be used, and why the others may not."""

    def __init__(self, networks: Networks, settings: GraphSettings, on_gpu: GpuDecorator | None) -> None:
        self.networks, self.settings, self.on_gpu = networks, settings, on_gpu
        self.store = ArtifactStore(settings.root)
        self.records = Records(self.store.root)
        self.wanted: list[Wanted] = [(name, sizes) for name in settings.blocks for sizes in settings.sizes]
        self.found: dict[Wanted, Artifact] = {}
        self.verified: set[Wanted] = set()
        self.reasons: dict[Wanted, str] = {}

    def search(self) -> None:
        """Find graphs and their verification results."""
        for wanted in self.wanted:
            try:
                artifact = find(self.networks, *wanted, self.settings, self.store)
            except CompiledBlockError as error:
                logger.info("%s", error)
                self.reasons[wanted] = str(error)
                continue
            if reason := self.records.refused(artifact):
                self.reasons[wanted] = f"it was refused before: {reason}"
                continue
            self.found[wanted] = artifact
            if self.records.verified(artifact):
                self.verified.add(wanted)

    def make(self) -> None:
        """Compile missing graphs and verify new ones in one GPU call, if there are any."""
        compiler, missing = self._compilable()
        untried = {wanted: str(a.path) for wanted, a in self.found.items() if wanted not in self.verified}
        if not missing and not untried:
            return
        if self.on_gpu is None and device_is_emulated(self.networks.device):
            self.reasons |= dict.fromkeys(untried, "it is not verified, and cannot be verified here")
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
        """The compiler and the graphs to compile: none without a compiler, nor those whose earlier result was refused."""
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
            if reason := self.records.known_failure(slug, str(compiler)):
                self.reasons[name, sizes] = f"it was refused before: {reason}"
            else:
                possible.append((name, sizes))
        return compiler, tuple(possible)

    def _judge(self, wanted: Wanted, verdict: Verdict, compiler: Compiler | None) -> None:
        """Store the verdict on a graph; a refused one is set aside."""
        artifact = self.found[wanted]
        if verdict.status == NO_DEVICE and self.on_gpu is not None and device_is_emulated(self.networks.device):
            verdict = self._try_in_worker(wanted, artifact)
        self.records.store(self.store, artifact, verdict, str(compiler) if compiler else None)
        if verdict.verified:
            self.verified.add(wanted)
        else:
            self.reasons[wanted] = verdict.reason or verdict.status
            del self.found[wanted]

    def _try_in_worker(self, wanted: Wanted, artifact: Artifact) -> Verdict:
        """Verify a graph in the GPU worker itself, where its child processes have no access to the GPU."""
        assert self.on_gpu is not None
        networks, options = self.networks, self.settings.options
        try:
            return self.on_gpu(lambda job: try_in_worker(networks, options, job))(Job(str(artifact.path), *wanted))
        except Exception as error:
            # The worker died or could not be started, which is also a result.
            logger.exception("the verification of %s did not finish", artifact.slug)
            return Verdict(REFUSED, f"the worker that verified it did not return: {type(error).__name__}: {error}")

    def install(self) -> tuple[Installed, ...]:
        """Install the graphs that may be used."""
        return tuple(self._install(name) for name in self.settings.blocks)

    def _install(self, name: str) -> Installed:
        wanted = [(name, sizes) for sizes in self.settings.sizes]
        artifacts = [self.found[one] for one in wanted if one in self.verified]
        report = install.apply(name, module_of(self.networks, name), artifacts)
        if not report.active and not report.reason:
            report = replace(report, reason=next((self.reasons[one] for one in wanted if one in self.reasons), None))
        logger.info("%s", report)
        return report


def find(networks: Networks, name: str, sizes: SizeRange, settings: GraphSettings, store: ArtifactStore) -> Artifact:
    """A graph from the local store or the shared repository.

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
