"""One scene on several GPUs, one process each: the DiT is sequence-parallel, all else is divided by views."""

from __future__ import annotations

__all__ = ["launch"]
