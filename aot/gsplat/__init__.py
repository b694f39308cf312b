"""gsplat's CUDA kernels: a toolkit that fits torch, a wheel with the kernels inside, kernels ready at startup."""

from __future__ import annotations

__all__ = ["cuda_toolkit", "startup", "wheel"]
