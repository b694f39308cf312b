"""Build gsplat's wheel with its CUDA kernels inside.

The wheel on the package index contains only sources and compiles them at the first image, in a visitor's GPU call.
Building kernels for two architectures ahead of time takes ten CPU minutes and 6.4 MB, and needs no GPU.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from aot.artifacts import Artifact, ArtifactStore
from aot.gsplat.cuda_toolkit import Toolkit, find_toolkit
from aot.keys import WheelKey, python_tag
from flashworld.device import usable_cores
from flashworld.errors import CompiledBlockError, DependencyError

logger = logging.getLogger(__name__)

PACKAGE = "gsplat"
VERSION = "1.5.3"
DEFAULT_ARCHS = "9.0;12.0"
"""H200 and RTX Pro 6000."""
ARCHS_PATTERN = re.compile(r"\d+\.\d+(\+PTX)?(;\d+\.\d+(\+PTX)?)*")
LIBRARY = "csrc.so"
SOURCE_PARTS = ("cuda/csrc", "cuda/include", "cuda/ext.cpp")
"""Not needed once compiled: 26 of 26.3 MB."""
BUILD_SECONDS = 3600
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The same content gives the same wheel."""


def wheel_key(archs: str = DEFAULT_ARCHS) -> WheelKey:
    """The key of a wheel for this torch and Python."""
    return WheelKey(VERSION, torch.__version__, python_tag(), check_archs(archs))


def check_archs(archs: str) -> str:
    """Architectures in order, e.g. "9.0;12.0".

    Raises:
        CompiledBlockError: not a list of numbers like 9.0, separated by semicolons.
    """
    if not ARCHS_PATTERN.fullmatch(archs):
        raise CompiledBlockError(f"expected architectures such as {DEFAULT_ARCHS!r}, got {archs!r}")
    return ";".join(sorted(set(archs.split(";")), key=lambda a: (float(a.removesuffix("+PTX")), a)))


def wheel_name(key: WheelKey) -> str:
    """File name of a wheel: version with torch and CUDA, the interpreter, the platform."""
    version, _, cuda = key.torch.partition("+")
    local = "pt" + "".join(version.split(".")[:2]) + cuda
    return f"{PACKAGE}-{key.gsplat}+{local}-{key.python}-{key.python}-linux_x86_64.whl"


def build_wheel(
    key: WheelKey, *, source: Path | None = None, toolkit: Toolkit | None = None, jobs: int | None = None
) -> tuple[str, bytes]:
    """Compile the kernels and pack them.

    Args:
        key: For this interpreter and torch.
        source: gsplat's own wheel; None for the installed package, which has the same files.
        toolkit: A CUDA compiler; None searches for one.
        jobs: Parallel compiler processes; None for one per CPU.

    Returns:
        The wheel's name and content.

    Raises:
        DependencyError: no compiler, or no sources.
        CompiledBlockError: the key is for another interpreter, or compiling fails; the message has the first error.
    """
    if (key.python, key.torch) != (python_tag(), torch.__version__):
        raise CompiledBlockError(
            f"expected a key for {python_tag()} and torch {torch.__version__}, got {key.as_dict()}"
        )
    toolkit = toolkit or find_toolkit()
    if toolkit is None:
        raise DependencyError(
            "no CUDA compiler found: set CUDA_HOME, or let `python -m aot gsplat --fetch-nvcc` get one"
        )
    if not (shutil.which("c++") or shutil.which("g++")):
        raise DependencyError("no C++ compiler found: apt install build-essential")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gsplat-") as temporary:
        tree, build = Path(temporary, "tree"), Path(temporary, "build")
        build.mkdir()
        copy_sources(source, tree, key.gsplat)
        compile_kernels(tree / PACKAGE / "cuda", build, build_environment(toolkit, key.archs, build, jobs))
        shutil.copy(build / LIBRARY, tree / PACKAGE / LIBRARY)
        wheel = pack_wheel(tree, key)
    logger.info("gsplat for %s built in %.0f s, %.1f MB", key.archs, time.perf_counter() - started, len(wheel) / 1e6)
    return wheel_name(key), wheel


def copy_sources(wheel: Path | None, tree: Path, version: str) -> None:
    """Lay out gsplat's sources below `tree`, from its wheel or from the installed package.

    Raises:
        DependencyError: neither has them.
    """
    if wheel is not None:
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(tree)
        except (OSError, zipfile.BadZipFile) as error:
            raise DependencyError(f"{wheel}: expected gsplat's wheel, got: {error}") from error
    else:
        for path in installed_files(version):
            place = tree / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.locate(), place)
    if not (tree / PACKAGE / "cuda" / "ext.cpp").is_file():
        raise DependencyError(f"gsplat's sources are not there: pip install {PACKAGE}=={version}, or --wheel its wheel")


def installed_files(version: str) -> Iterator[importlib.metadata.PackagePath]:
    """Files of the installed gsplat, without compiled Python.

    Raises:
        DependencyError: it is not installed, or another version is.
    """
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise DependencyError(f"gsplat is not installed: pip install {PACKAGE}=={version}") from error
    if distribution.version.split("+")[0] != version:
        raise DependencyError(f"expected gsplat {version}, got {distribution.version}")
    for path in distribution.files or ():
        if path.parts[0] == PACKAGE and "__pycache__" not in path.parts:
            yield path


def build_environment(toolkit: Toolkit, archs: str, scratch: Path, jobs: int | None = None) -> dict[str, str]:
    """The environment of the compiling process."""
    return {
        **os.environ,
        **toolkit.environment(scratch),
        "TORCH_CUDA_ARCH_LIST": archs,
        "MAX_JOBS": str(jobs or usable_cores()),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])),
    }


def build_command(cuda: Path, build: Path) -> list[str]:
    """The compiling process."""
    return [sys.executable, "-m", "aot.gsplat.build", str(cuda), str(build)]


def compile_kernels(cuda: Path, build: Path, environment: dict[str, str]) -> None:
    """Run the compilers.

    Raises:
        CompiledBlockError: they fail or take too long.
    """
    command = build_command(cuda, build)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CompiledBlockError(f"compiling gsplat took more than {BUILD_SECONDS} s") from error
    if done.returncode or not (build / LIBRARY).is_file():
        lines = f"{done.stdout}\n{done.stderr}".splitlines()
        errors = [line.strip() for line in lines if re.search(r"\b(error|cannot find|fatal)\b", line)]
        raise CompiledBlockError(f"compiling gsplat failed: {(errors or lines[-1:])[0]}")


def pack_wheel(tree: Path, key: WheelKey) -> bytes:
    """A wheel of a tree with the compiled library; sources are omitted."""
    package = tree / PACKAGE
    files: dict[str, bytes] = {}
    for path in sorted(p for p in package.rglob("*") if p.is_file()):
        name = path.relative_to(tree).as_posix()
        if not name.removeprefix(f"{PACKAGE}/").startswith(SOURCE_PARTS) and "__pycache__" not in name:
            files[name] = path.read_bytes()
    version = wheel_name(key).split("-")[1]
    info = f"{PACKAGE}-{version}.dist-info"
    tag = f"{key.python}-{key.python}-linux_x86_64"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n{_requirements()}".encode()
    )
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: flashworld\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return wheel.getvalue()


def _requirements() -> str:
    return "".join(f"Requires-Dist: {name}\n" for name in ("ninja", "numpy", "jaxtyping", "rich>=12", "torch"))


def _record(files: dict[str, bytes], own_name: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(data)])
    writer.writerow([own_name, "", ""])
    return text.getvalue().encode()


def save_wheel(store: ArtifactStore, key: WheelKey, name: str, wheel: bytes) -> Artifact:
    """Write a wheel to the store.

    Raises:
        CompiledBlockError: the store cannot be written.
    """
    return store.save(key, {name: wheel}, {"wheel": name})
