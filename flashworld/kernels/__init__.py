"""CUDA C++ of our own: `source/*.cu`, compiled by NVRTC when first used, and `program`, which compiles and launches it.

What calls a kernel stands beside the same in torch: `rendering/splats.py`, `models/placing.py`.
"""

from __future__ import annotations

__all__ = ["program"]
