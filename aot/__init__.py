"""Ahead-of-time compilation: compile graphs, verify, store and share them, and install them in the networks.

The library does not depend on this package; without it everything still runs, more slowly.
"""

from __future__ import annotations

__all__ = [
    "artifacts",
    "blocks",
    "compile",
    "graph",
    "install",
    "pooled_model",
    "served_model",
    "shapes",
    "spaces_compat",
    "startup",
    "variants",
]
