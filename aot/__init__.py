"""Ahead-of-time compilation: make compiled graphs, keep and share them, patch them in, and say how long a call takes.

The library knows nothing of this package; switched off, everything still runs, slower.
"""

from __future__ import annotations

__all__ = [
    "artifacts",
    "blocks",
    "compile",
    "graph",
    "install",
    "served_model",
    "shapes",
    "spaces_compat",
    "startup",
    "variants",
]
