"""Copies of a network that share its tensors, so that modules can be replaced without changing the original."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def shallow_copy(module: Network) -> Network:
    """The same tree of modules with the same tensors, whose children can be replaced without touching the original."""
    twin = copy.copy(module)
    for registry in ("_parameters", "_buffers"):
        twin.__dict__[registry] = dict(getattr(module, registry))
    twin.__dict__["_modules"] = {
        name: None if child is None else shallow_copy(child) for name, child in module._modules.items()
    }
    return twin
