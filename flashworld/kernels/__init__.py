"""Custom CUDA C++ kernels: `source/*.cu`, compiled by NVRTC at first use, and `program`, which compiles and launches them.

Their callers are `rendering/splats.py` and `models/placing.py`.
"""

from __future__ import annotations

__all__ = ["program"]
