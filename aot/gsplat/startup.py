"""Make gsplat's kernels available before the first request: found, pulled or compiled at startup, never in a GPU call.

A wheel is not installed: it is unpacked inside the store's folder and put first on the module path.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from aot.artifacts import Artifact, ArtifactStore
from aot.gsplat.cuda_toolkit import WHEEL_TREE, fetch_toolkit, find_toolkit
from aot.gsplat.wheel import DEFAULT_ARCHS, PACKAGE, build_wheel, save_wheel, wheel_key
from aot.hub import Place, pull
from flashworld.errors import CompiledBlockError, DependencyError

logger = logging.getLogger(__name__)

TOOLKIT_FOLDER = ".cuda"
UNPACKED_FOLDER = ".unpacked"
"""In the store; names that begin with a dot are not entries."""


@dataclass(frozen=True)
class GsplatState:
    """The origin of gsplat's kernels.

    Attributes:
        source: "installed", "store", "pulled", "built" or "missing".
        detail: The folder, or why there is none.
    """

    source: str
    detail: str

    @property
    def ready(self) -> bool:
        """Whether the first image can be rendered without compiling."""
        return self.source != "missing"


def archs_here() -> str:
    """Architectures a wheel for this machine needs: the default ones if its GPU is among them or there is none."""
    if not torch.cuda.is_available():
        return DEFAULT_ARCHS
    arch = "{}.{}".format(*torch.cuda.get_device_capability())
    return DEFAULT_ARCHS if arch in DEFAULT_ARCHS.split(";") else arch


def activate(store: ArtifactStore, artifact: Artifact) -> Path:
    """Unpack a wheel once and put it first on the module path, here and in processes started later.

    Raises:
        CompiledBlockError: gsplat has been imported already, or the wheel cannot be unpacked.
    """
    if PACKAGE in sys.modules:
        raise CompiledBlockError("gsplat is already imported, so its compiled kernels cannot be activated")
    name = artifact.metadata["wheel"]
    folder = store.root / UNPACKED_FOLDER / f"{artifact.slug}-{artifact.metadata['files'][name]['sha256'][:12]}"
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
                with zipfile.ZipFile(artifact.path / name) as archive:
                    archive.extractall(Path(fresh, "tree"))
                Path(fresh, "tree").rename(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise CompiledBlockError(f"{artifact.path / name}: cannot be unpacked: {error}") from error
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return folder


def installed_binary() -> Path | None:
    """The compiled library of the gsplat that would be imported, without importing it."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for library in sorted(Path(folder).glob("csrc*.so")):
            return library
    return None


def ensure_gsplat(
    store: ArtifactStore,
    place: Place | None = None,
    *,
    archs: str | None = None,
    build: bool = True,
    fetch_nvcc: bool = True,
) -> GsplatState:
    """Make gsplat's kernels available before the first request. Call it at startup, in the main process, before importing it.

    Args:
        store: Local store of wheels.
        place: Shared repository; None for none.
        archs: Architectures of the wheel; None for those of this machine.
        build: Compile if there is none, which takes minutes of CPU time.
        fetch_nvcc: Install a compiler from the package index if the machine has none.
    """
    if library := installed_binary():
        return GsplatState("installed", str(library))
    archs = archs or archs_here()
    reasons = []
    for source, get in (
        ("store", lambda: store.load(wheel_key(archs))),
        ("pulled", lambda: _pulled(store, place, archs)),
        ("built", lambda: _built(store, archs, build, fetch_nvcc)),
    ):
        try:
            artifact = get()
            if artifact is not None:
                folder = activate(store, artifact)
                logger.info("gsplat's kernels: %s, %s", source, folder)
                return GsplatState(source, str(folder))
        except (CompiledBlockError, DependencyError) as error:
            logger.info("gsplat's kernels: not %s: %s", source, error)
            reasons.append(str(error))
    logger.warning("gsplat has no compiled kernels and will compile them at the first image: %s", "; ".join(reasons))
    return GsplatState("missing", "; ".join(reasons))


def _pulled(store: ArtifactStore, place: Place | None, archs: str) -> Artifact | None:
    return None if place is None else pull(store, place, wheel_key(archs))


def _built(store: ArtifactStore, archs: str, build: bool, fetch_nvcc: bool) -> Artifact | None:
    if not build:
        return None
    toolkit = find_toolkit(store.root / TOOLKIT_FOLDER / WHEEL_TREE)
    if toolkit is None and fetch_nvcc:
        toolkit = fetch_toolkit(store.root / TOOLKIT_FOLDER)
    logger.warning("compiling gsplat's kernels for %s, this takes minutes", archs)
    return save_wheel(store, wheel_key(archs), *build_wheel(wheel_key(archs), toolkit=toolkit))
