"""Many scenes from one manifest: on one device, or on all GPUs of a Ray cluster; see `run.run_batch`."""

from __future__ import annotations

__all__ = ["cluster", "local", "manifest", "places", "requests", "rows", "run", "scenes"]
