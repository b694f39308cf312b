"""`flashworld info`: versions, devices, models and limits of this installation."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flashworld import __version__
from flashworld.cli.output import Output

PACKAGES = ("torch", "diffusers", "transformers", "gsplat", "numba", "gradio", "spaces")


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the command."""
    parser = commands.add_parser("info", help="versions, devices and models")
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace, output: Output) -> None:
    """Collect and print the information."""
    import torch

    from flashworld import limits
    from flashworld.config import FLASHWORLD_REPOSITORY, NANO_DIR, WAN_REPOSITORY
    from flashworld.nano.package import WEIGHTS_NAME

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    data: dict[str, Any] = {
        "flashworld": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cuda_devices": devices,
        "default_model": "full" if devices else "nano",
        "nano": "trained" if (NANO_DIR / WEIGHTS_NAME).is_file() else "untrained",
        "full": {r.repo_id: r.revision for r in (WAN_REPOSITORY, FLASHWORLD_REPOSITORY)},
        "limits": {name: value for name, value in vars(limits).items() if name.isupper()},
    }
    lines = [
        f"flashworld {__version__}, Python {data['python']}",
        *(f"  {name:14} {found}" for name, found in data["packages"].items()),
        f"CUDA devices: {', '.join(devices) or 'none'}",
        f"Default model: {data['default_model']} (nano weights: {data['nano']})",
        *(f"  {repo} at {revision}" for repo, revision in data["full"].items()),
    ]
    output.result(data, "\n".join(lines))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
