"""Private interfaces of torch used to load compiled graphs. Read from torch 2.11.0."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

PACKAGE_MODULE = "torch.export.pt2_archive._package"
MODEL_NAME = "model"
"""The name that `torch._inductor` gives a package's only model."""


def import_loader() -> None:
    """Import what loading needs: a forked worker then inherits it, instead of importing for seconds in a visitor's call."""
    importlib.import_module(PACKAGE_MODULE)


def load_library(package: Path) -> Any:  # noqa: ANN401 - a private class of torch
    """A graph's library: callable, with `get_constant_fqns` and `load_constants`.

    The same as `torch._inductor.aoti_load_package` with a single-threaded runner, without its probe of the CPU's
    instruction sets: 13 to 30 s in a fresh process, and only for a warning.
    """
    from torch._C._aoti import AOTIModelPackageLoader
    from torch.export.pt2_archive._package import AOTICompiledModel

    single_threaded, runners, any_device = True, 1, -1
    return AOTICompiledModel(AOTIModelPackageLoader(str(package), MODEL_NAME, single_threaded, runners, any_device))
