"""Download the viewers, versions pinned, into a folder that is not committed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).parent / "packages"
"""npm's package.json, and its lock with the hash of every package."""
BPY = "4.5.15"
"""Blender LTS as a Python module; its wheels are for Python 3.11 alone."""
BPY_PYTHON = (3, 11)
NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")


def npm_packages(cache: Path) -> Path:
    """The folder that holds `node_modules`; installed at the first call, or again when a version changes.

    Raises:
        RuntimeError: npm is not installed, or a package cannot be downloaded.
    """
    folder, lock = cache / "npm", (PACKAGES / "package-lock.json").read_bytes()
    done = folder / "installed.json"
    if not done.is_file() or done.read_bytes() != lock:
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is not installed: apt install nodejs npm")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, folder)
        _run([npm, *NPM, "--prefix", str(folder)])
        done.write_bytes(lock)
    return folder


def versions() -> dict[str, str]:
    """Pinned version of each npm package, by name."""
    return json.loads((PACKAGES / "package.json").read_text(encoding="utf-8"))["dependencies"]


def blender_python(cache: Path) -> Path:
    """A Python that can `import bpy`, in a separate virtual environment.

    Raises:
        RuntimeError: this Python is not the one that Blender's wheel is for, or it cannot be downloaded.
    """
    if sys.version_info[:2] != BPY_PYTHON:
        raise RuntimeError(f"bpy {BPY} needs Python {BPY_PYTHON[0]}.{BPY_PYTHON[1]}")
    folder = cache / f"bpy-{BPY}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.is_file():
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", f"bpy=={BPY}"])
        done.touch()
    return python


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-500:] or done.stdout[-500:]}")
