"""gsplat's CUDA kernels: a toolkit that matches torch, a wheel with compiled kernels, loading at startup."""

from __future__ import annotations

__all__ = ["cuda_toolkit", "startup", "wheel"]
