"""Private interfaces of the `spaces` package. Read from spaces 0.51.3."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def on_zero_gpu() -> bool:
    """Whether this process gets its GPU from ZeroGPU."""
    from spaces.config import Config

    return bool(Config.zero_gpu)


def platform_factor() -> float:
    """ZeroGPU's factor on requested seconds for this machine's GPU; 1 elsewhere."""
    if not on_zero_gpu():
        return 1.0
    from spaces.zero.config import get_config

    return float(get_config()["duration_factor"])


def cleanup_when_worker_dies() -> AbstractContextManager[None]:
    """A context for loading a graph, in which ZeroGPU registers files that torch unpacks into /tmp: workers are always killed."""
    if not on_zero_gpu():
        return nullcontext()
    try:
        from spaces.zero.torch.aoti import _register_aoti_cleanup
    except ImportError:  # a later version: the Space keeps running, and /tmp fills up
        return nullcontext()
    return _register_aoti_cleanup()
