"""Verification results of graphs on this machine: verified, or refused and why. Stored beside the graphs, never shared.

    <root>/.verified/<slug>/<hash of the package's digest, or of the compiler's name>.json

A result is valid for one package, one torch, one driver and the exact libraries that a graph is linked with when it is loaded;
with any other the graph is verified again. A reproducible refusal (wrong numbers, a crash) is stored as well, with
the compiler's name, so that the next start does not spend minutes on the same graph.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from aot.artifacts import BAD_SUFFIX, Artifact, ArtifactStore, read_artifact
from aot.verification.verdict import REFUSED, Verdict
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)

FOLDER = ".verified"
DRIVER_FILE = Path("/proc/driver/nvidia/version")
LINKED = ("libstdc++.so",)
"""Libraries outside torch's wheels that every graph calls."""


@dataclass(frozen=True)
class Record:
    """The result for one graph.

    Attributes:
        slug: Its name in the store.
        machine: See `machine`.
        reason: Why it is refused; None if it is verified.
        rows: The comparisons, as plain data.
    """

    slug: str
    machine: dict[str, str]
    reason: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)


class Records:
    """Results of one store. One that cannot be read counts as missing; one that cannot be written is determined again."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self.machine = machine()

    def verified(self, artifact: Artifact) -> bool:
        """Whether exactly this package is verified on this machine."""
        record = self._read(artifact.slug, artifact.digest)
        return record is not None and record.reason is None

    def refused(self, artifact: Artifact) -> str | None:
        """Why exactly this package is refused on this machine; None if it is not."""
        record = self._read(artifact.slug, artifact.digest)
        return record.reason if record else None

    def known_failure(self, slug: str, compiler: str) -> str | None:
        """Why this compiler's graph of this network is refused on this machine; None if unknown."""
        record = self._read(slug, compiler)
        return record.reason if record else None

    def store(self, store: ArtifactStore, artifact: Artifact, verdict: Verdict, compiler: str | None = None) -> None:
        """Store a verdict on a graph; a refused graph is set aside.

        Args:
            store: Store of the graph.
            artifact: The graph.
            verdict: The verdict.
            compiler: The compiler that has just built it; None if it came from elsewhere.
        """
        if verdict.verified:
            self._write(artifact, None, verdict.rows)
            return
        logger.warning("%s is not used: %s", artifact.slug, verdict.reason)
        if verdict.lasting:
            self._write(artifact, verdict.reason or verdict.status, verdict.rows, compiler)
        if verdict.status == REFUSED:
            try:
                store.set_aside(artifact.path)
            except CompiledBlockError as error:
                logger.warning("%s", error)  # it will be verified and refused again

    def set_aside_for(self, store: ArtifactStore, slug: str) -> str | None:
        """Why the graph of this name was set aside, if known."""
        try:
            bad = read_artifact(store.root / f"{slug}{BAD_SUFFIX}")
        except CompiledBlockError:
            return None
        record = self._read(slug, bad.digest)
        return record.reason if record else None

    def _write(
        self, artifact: Artifact, reason: str | None, rows: list[dict[str, Any]], compiler: str | None = None
    ) -> None:
        record = Record(artifact.slug, self.machine, reason, rows)
        for name in filter(None, (artifact.digest, compiler)):
            path = self._path(artifact.slug, name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
                    json.dump(asdict(record), file, indent=1)
                Path(file.name).replace(path)
            except OSError as error:
                logger.warning("%s: the result for %s cannot be stored: %s", self.folder, artifact.slug, error)

    def _read(self, slug: str, name: str) -> Record | None:
        try:
            record = Record(**json.loads(self._path(slug, name).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return record if record.slug == slug and record.machine == self.machine else None

    def _path(self, slug: str, name: str) -> Path:
        return self.folder / slug / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def machine() -> dict[str, str]:
    """The environment that a graph is loaded into in this process, as plain text."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "libc": "-".join(platform.libc_ver()),
        "driver": _first_line(DRIVER_FILE),
        **{name: _identity(path) for name, path in loaded_libraries().items()},
    }


def loaded_libraries() -> dict[str, Path]:
    """Files of `LINKED` that this process has loaded, by those names."""
    if not sys.platform.startswith("linux"):
        return {}
    found: dict[str, Path] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = Path(line.split(maxsplit=5)[-1])
        for name in LINKED:
            if path.name.startswith(name):
                found.setdefault(name, path)
    return dict(sorted(found.items()))


def _identity(path: Path) -> str:
    try:
        return f"{os.path.realpath(path)} {path.stat().st_size}"
    except OSError:
        return str(path)


def _first_line(path: Path) -> str:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return "none"
