"""Find a CUDA compiler that matches torch, or assemble one from wheels of the package index.

NVIDIA's wheels for nvcc, its device compiler and headers form a complete compiler together with the headers and
libraries of torch's own wheels. No installer is downloaded, no system compiler is changed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from flashworld.errors import DependencyError

logger = logging.getLogger(__name__)

NVCC_WHEELS = (
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-cccl==13.0.85",
)
"""102 MB; pinned together, because unpinned nvcc pulls in newer parts that do not match torch 2.11's CUDA 13.0."""
WHEEL_TREE = Path("nvidia", "cu13")
"""Where those wheels and torch's put everything."""
MOUNTED = (Path("/cuda-image/usr/local/cuda-13.0"), Path("/usr/local/cuda"))
"""The first is mounted in ZeroGPU Spaces at run time."""
RUNTIME_LIBRARY = "libcudart.so"


@dataclass(frozen=True)
class Toolkit:
    """A CUDA compiler.

    Attributes:
        home: Value of CUDA_HOME.
        release: "13.0".
    """

    home: Path
    release: str

    def environment(self, scratch: Path) -> dict[str, str]:
        """Environment variables of a build: the compiler, a link to the CUDA runtime for the linker, and missing headers.

        Small toolkits lack the headers of cuSPARSE and others, which torch's headers include; torch's wheels contain
        them. The compiler searches there last.

        Args:
            scratch: A folder for the link; wheels have only `libcudart.so.13`, the linker needs `libcudart.so`.

        Raises:
            DependencyError: there is no CUDA runtime library at all.
        """
        folders = (self.home / "lib64", self.home / "lib", site_packages() / WHEEL_TREE / "lib")
        headers = site_packages() / WHEEL_TREE / "include"
        found = {"CUDA_HOME": str(self.home), "CPATH": _joined("CPATH", headers)}
        for folder in folders:
            if (folder / RUNTIME_LIBRARY).exists():
                return found | {"LIBRARY_PATH": _joined("LIBRARY_PATH", folder)}
        for folder in folders:
            if versioned := sorted(folder.glob(f"{RUNTIME_LIBRARY}.*")):
                link = scratch / RUNTIME_LIBRARY
                link.unlink(missing_ok=True)
                link.symlink_to(versioned[0])
                return found | {"LIBRARY_PATH": _joined("LIBRARY_PATH", scratch)}
        raise DependencyError(f"no {RUNTIME_LIBRARY} in {', '.join(map(str, folders))}: install nvidia-cuda-runtime")


def _joined(variable: str, folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get(variable)]))


def site_packages() -> Path:
    """Where this interpreter's packages are."""
    return Path(sysconfig.get_path("purelib"))


def candidates() -> Iterator[Path]:
    """Folders that may hold a compiler, best first."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    yield from MOUNTED
    yield site_packages() / WHEEL_TREE
    if found := shutil.which("nvcc"):
        yield Path(found).resolve().parent.parent


def find_toolkit(*extra: Path) -> Toolkit | None:
    """The first compiler of torch's own CUDA major version.

    Args:
        extra: Additional folders, searched first.
    """
    wanted = (torch.version.cuda or "").split(".")[0]
    for home in (*extra, *candidates()):
        release = release_of(home)
        if release is None:
            continue
        if release.split(".")[0] == wanted:
            return Toolkit(home, release)
        logger.info("%s has CUDA %s, torch was built with %s", home, release, torch.version.cuda)
    return None


def release_of(home: Path) -> str | None:
    """A toolkit's version such as "13.0"; None if there is no working compiler with its headers."""
    nvcc = home / "bin" / "nvcc"
    if not nvcc.is_file() or not (home / "include" / "cuda_runtime.h").is_file():
        return None
    try:
        said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("%s does not work: %s", nvcc, error)
        return None
    match = re.search(r"release (\d+\.\d+)", said)
    return match.group(1) if match else None


def fetch_toolkit(folder: Path) -> Toolkit:
    """Install NVIDIA's compiler wheels into a separate folder and complete them from torch's wheels.

    Args:
        folder: Created if necessary; an earlier result in it is reused.

    Raises:
        DependencyError: no installer, no network, or the result is not a working compiler.
    """
    home = folder / WHEEL_TREE
    if release_of(home) is None:
        run_installer([*install_command(), "--target", str(folder), "--no-deps", *NVCC_WHEELS])
        link_missing(site_packages() / WHEEL_TREE, home)
    toolkit = find_toolkit(home)
    if toolkit is None or toolkit.home != home:
        raise DependencyError(f"{home}: the compiler from {', '.join(NVCC_WHEELS)} does not work")
    return toolkit


def install_command() -> list[str]:
    """The command that installs packages: pip, else uv.

    Raises:
        DependencyError: neither is there.
    """
    if (site_packages() / "pip").is_dir():
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise DependencyError("installing NVIDIA's compiler needs pip or uv: python -m ensurepip")


def run_installer(command: list[str]) -> None:
    """Run an installer.

    Raises:
        DependencyError: it fails; the message has its last line.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no explanation").splitlines()[-1]
        raise DependencyError(f"{' '.join(command[:4])} ...: {last}")


def link_missing(source: Path, target: Path) -> None:
    """Link every file below `source` that `target` has not, folder by folder."""
    for entry in sorted(source.iterdir()) if source.is_dir() else ():
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            link_missing(entry, place)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(entry)
