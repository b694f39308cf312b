"""A compiled graph ready to be called: its library in this process, its weights, and the check that both match.

Weights are not copied: a graph reads the module's own tensors, bound by name. The library is loaded once per
process and graph, not per request. If weights have moved since (another `data` of the same parameter), they are
bound again; after replacing the parameters themselves, reinstall the graph.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aot.artifacts import CONSTANTS_NAME, Artifact
from aot.keys import constants_of, device_arch, layout_of
from aot.shapes import CallSpec
from aot.spaces_compat import cleanup_when_worker_dies
from aot.torch_compat import load_library
from flashworld.errors import CompiledBlockError

_loaded: dict[tuple[int, str], LoadedPackage] = {}
"""Libraries of this process by process id and digest: a forked worker inherits its parent's entries but must not use them."""
_loading = threading.Lock()


class LoadedPackage:
    """One compiled library, in this process.

    Calls are serialised here, because the loader runs without its own locks, which also avoids waiting for the previous run.
    """

    def __init__(self, package: Path) -> None:
        with cleanup_when_worker_dies():
            self.model = load_library(package)
        self.names = frozenset(self.model.get_constant_fqns())
        self.lock = threading.Lock()
        self.bound: tuple[int, ...] = ()

    def reads(self, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Whether the library is bound to exactly these tensors."""
        return self.bound == _places(tensors)

    def bind(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Bind the library to these tensors."""
        self.model.load_constants(dict(tensors), check_full_update=True, user_managed=True)
        self.bound = _places(tensors)


def _places(tensors: Mapping[str, torch.Tensor]) -> tuple[int, ...]:
    return tuple(tensor.data_ptr() for tensor in tensors.values())


def loaded_package(artifact: Artifact) -> LoadedPackage:
    """The artifact's library, loaded at the first call in this process."""
    place = (os.getpid(), artifact.digest)
    with _loading:
        if place not in _loaded:
            _loaded[place] = LoadedPackage(artifact.package)
        return _loaded[place]


class CompiledGraph:
    """One compiled graph of one module: its valid arguments and its weights."""

    def __init__(self, artifact: Artifact, module: nn.Module) -> None:
        self.artifact = artifact
        self.module = module
        self.spec = CallSpec.from_json(artifact.metadata["inputs"])
        self.batch_argument: str | None = artifact.metadata.get("batch_argument")
        self.extras = _read_extras(artifact)
        self.broken: str | None = None
        self.library_checked_in: int | None = None
        self.tensors: dict[str, torch.Tensor] = {}
        check_constants(artifact, module)

    @property
    def label(self) -> str:
        """For logs and the page, e.g. "fp8 sm_90 f24_h480_w704"."""
        key = self.artifact.key
        return f"{key['precision']} {key['arch']} {key['shapes']}"

    def mismatch(self, arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
        """Why a call may not go through this graph, or None."""
        return self.broken or self.spec.mismatch(arguments, defaults)

    def run(self, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the network returns
        """Call the graph; the call has been checked.

        Raises:
            CompiledBlockError: it failed at run time. Its library does not report the reason, mostly too little
                memory; the network reports it when run eagerly.
        """
        tensors = {name: arguments[name].contiguous() for name in self.spec.tensors}
        package = self._ready()
        with package.lock, torch.no_grad():
            weights = self._weights(package.names)
            if not package.reads(weights):  # the first call, or the weights have since been moved or cast
                check_machine(self.artifact, self.module)
                check_constants(self.artifact, self.module)
                package.bind(weights)
            try:
                return package.model(**tensors, **self.spec.constants)
            except RuntimeError as error:
                raise CompiledBlockError(f"{self.artifact.slug}: it failed at run time: {error}") from error

    def _ready(self) -> LoadedPackage:
        """The library, checked against the actual device."""
        if self.library_checked_in == os.getpid():
            return loaded_package(self.artifact)
        try:
            check_machine(self.artifact, self.module)
        except CompiledBlockError as error:
            self.broken = str(error)
            raise
        try:
            package = loaded_package(self.artifact)
        except RuntimeError as error:
            self.broken = f"its library cannot be loaded: {error}"
            raise CompiledBlockError(f"{self.artifact.slug}: {self.broken}") from error
        missing = package.names - self.artifact.metadata["constants"].keys() - self.extras.keys()
        if missing:
            self.broken = f"its library asks for unknown tensors {sorted(missing)[:3]}"
            raise CompiledBlockError(f"{self.artifact.slug}: {self.broken}")
        self.library_checked_in = os.getpid()
        return package

    def _weights(self, names: frozenset[str]) -> dict[str, torch.Tensor]:
        """The tensors that the library uses. Looked up once: traversing a large network takes more than a millisecond."""
        if not self.tensors:
            named = constants_of(self.module)
            device = next(self.module.parameters()).device
            self.extras = {name: tensor.to(device) for name, tensor in self.extras.items()}
            self.tensors = {name: named[name] if name in named else self.extras[name] for name in names}
        return self.tensors


def check_constants(artifact: Artifact, module: nn.Module) -> None:
    """Compare the tensors that a graph uses with those of a module.

    Raises:
        CompiledBlockError: a tensor is missing or has another shape, dtype or layout. Unchecked, a missing one crashes
            the process and a different one gives garbage.
    """
    named = constants_of(module)
    for name, layout in artifact.metadata["constants"].items():
        if name not in named:
            raise CompiledBlockError(f"{artifact.slug}: the network has no tensor {name}")
        if layout_of(named[name]) != layout:
            raise CompiledBlockError(
                f"{artifact.slug}: {name} must be {layout} (shape, dtype, strides), got {layout_of(named[name])}"
            )


def _read_extras(artifact: Artifact) -> dict[str, torch.Tensor]:
    if not artifact.metadata.get("extras"):
        return {}
    from safetensors.torch import load_file

    return load_file(artifact.path / CONSTANTS_NAME)


def check_machine(artifact: Artifact, module: nn.Module) -> None:
    """Compare the torch version and device of a graph with the installed torch and the module's device.

    Raises:
        CompiledBlockError: they differ.
    """
    wanted, torch_version = device_arch(next(module.parameters()).device), torch.__version__
    found = (artifact.key.get("arch"), artifact.key.get("torch"))
    if found != (wanted, torch_version):
        raise CompiledBlockError(
            f"{artifact.slug}: made for {found[0]} and torch {found[1]}, but this machine has {wanted} and torch {torch_version}"
        )
