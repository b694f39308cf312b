"""One scene on several GPUs: a process a GPU, the sequence of the DiT and the views of everything else divided."""

from __future__ import annotations

__all__ = ["launch"]
