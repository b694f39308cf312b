"""Install compiled graphs in a network behind a guard: a call uses a matching graph, or runs eagerly."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from aot.artifacts import Artifact
from aot.graph import CompiledGraph, check_machine
from aot.keys import device_is_emulated
from aot.torch_compat import import_loader
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)


class Dispatcher:
    """Replaces a module's `forward`: chooses a graph for every call, or the original.

    Attributes:
        graphs: In order of preference.
        counts: Calls by where they went, e.g. {"fp8 sm_90 f24_h480_w704": 4, "eager": 1}.
    """

    def __init__(self, module: nn.Module, graphs: Sequence[CompiledGraph], *, strict: bool = False) -> None:
        self.eager: Callable[..., Any] = module.forward
        self.module = module
        self.graphs = list(graphs)
        self.strict = strict
        self.counts: dict[str, int] = {}
        self._signature = inspect.signature(self.eager)
        self._defaults = {n: p.default for n, p in self._signature.parameters.items() if p.default is not p.empty}
        self._told: set[str] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the module's own signature
        """The module's `forward`."""
        reason = self._unfit_for_any()
        if reason is None:
            arguments = self._signature.bind(*args, **kwargs).arguments
            for graph in self.graphs:
                found, result, why = self._try(graph, arguments)
                if found:
                    return result
                reason = why if reason is None else f"{reason}; {why}"
        return self._run_eagerly(reason or "there is no graph", args, kwargs)

    def _unfit_for_any(self) -> str | None:
        """Why no graph may run, regardless of the arguments."""
        weight = next(self.module.parameters())
        if torch.is_grad_enabled() and weight.requires_grad:
            return "gradients are enabled, which graphs do not support"
        if torch.is_autocast_enabled(weight.device.type):
            return "autocast is on, a graph has fixed dtypes"
        return None

    def _try(self, graph: CompiledGraph, arguments: Mapping[str, Any]) -> tuple[bool, Any, str]:
        """Run one graph if it matches; returns whether it ran, its result, and why not."""
        single = _is_single(graph, arguments)
        fitting = _doubled(arguments) if single else arguments
        if why := graph.mismatch(fitting, self._defaults):
            return False, None, why
        try:
            result = graph.run(fitting)
        except CompiledBlockError as error:
            return False, None, str(error)
        self.counts[graph.label] = self.counts.get(graph.label, 0) + 1
        return True, _halved(result) if single else result, ""

    def _run_eagerly(self, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        message = f"{type(self.module).__name__}: {reason}"
        if self.strict:
            raise CompiledBlockError(message)
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s: runs eagerly", message)
        self.counts["eager"] = self.counts.get("eager", 0) + 1
        return self.eager(*args, **kwargs)


def _is_single(graph: CompiledGraph, arguments: Mapping[str, Any]) -> bool:
    """Whether a call has one frame and its graph needs at least two."""
    name = graph.batch_argument
    if name is None or not isinstance(arguments.get(name), torch.Tensor):
        return False
    wanted = graph.spec.tensors[name].shape[0]
    return not isinstance(wanted, int) and arguments[name].shape[0] == 1 < wanted.minimum


def _doubled(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The call with its only frame twice."""
    return {k: torch.cat([v, v]) if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}


def _halved(result: Any) -> Any:  # noqa: ANN401 - whatever the network returns
    """The first frame of a doubled call's result."""
    return tree_map_only(torch.Tensor, lambda t: t[:1], result)


@dataclass(frozen=True)
class Installed:
    """The graphs installed for a network.

    Attributes:
        block: Name of the network.
        graphs: Labels of the graphs in use; empty means eager.
        reason: Why there is no graph, or None.
    """

    block: str
    graphs: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def active(self) -> bool:
        """Whether a compiled graph is used."""
        return bool(self.graphs)

    def __str__(self) -> str:
        return f"{self.block}: " + (
            ", ".join(self.graphs) if self.active else f"eager ({self.reason or 'not compiled'})"
        )


def summary(reports: Sequence[Installed]) -> str:
    """One line about all networks, for the page."""
    eager = [
        f"{report.block} runs eagerly: {report.reason or 'not compiled'}" for report in reports if not report.active
    ]
    if not eager:
        return "compiled graphs active"
    active = len(reports) - len(eager)
    return "; ".join([f"{active} of {len(reports)} compiled graphs active" if active else "no compiled graphs", *eager])


def apply(block: str, module: nn.Module, artifacts: Sequence[Artifact], *, strict: bool = False) -> Installed:
    """Install compiled graphs in front of a module's forward, replacing earlier ones.

    Args:
        block: Name for the report.
        module: The network, with its final weights. It is changed: its `forward` is replaced until `remove`.
        artifacts: Graphs from the store, preferred ones first. One that does not match is logged and skipped.
        strict: Raise instead of running eagerly, for tests and `verify`.
    """
    remove(module)
    graphs, problems = [], []
    for artifact in artifacts:
        try:
            if not device_is_emulated(next(module.parameters()).device):
                check_machine(artifact, module)
            graphs.append(CompiledGraph(artifact, module))
        except CompiledBlockError as error:
            logger.warning("%s", error)
            problems.append(str(error))
    if graphs:
        import_loader()
        module.forward = Dispatcher(module, graphs, strict=strict)
        return Installed(block, tuple(graph.label for graph in graphs))
    if strict:
        raise CompiledBlockError("; ".join(problems) or f"{block}: there is no graph")
    return Installed(block, (), "; ".join(problems) or None)


def remove(module: nn.Module) -> None:
    """Restore a module's own forward."""
    if isinstance(module.__dict__.get("forward"), Dispatcher):
        del module.forward


def counts(module: nn.Module) -> dict[str, int]:
    """Number of the module's calls in this process, by graph."""
    forward = module.__dict__.get("forward")
    return dict(forward.counts) if isinstance(forward, Dispatcher) else {}
