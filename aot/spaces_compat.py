"""What this project reads from inside the `spaces` package, beyond its public names. Read from spaces 0.51.3."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def on_zero_gpu() -> bool:
    """Whether ZeroGPU lends this process its GPU."""
    from spaces.config import Config

    return bool(Config.zero_gpu)


def platform_factor() -> float:
    """What ZeroGPU multiplies requested seconds with on this machine's GPU; 1 elsewhere."""
    if not on_zero_gpu():
        return 1.0
    from spaces.zero.config import get_config

    return float(get_config()["duration_factor"])


def cleanup_when_worker_dies() -> AbstractContextManager[None]:
    """Wraps the loading of a graph: ZeroGPU sweeps what torch unpacks into /tmp there, as workers are killed, never ended."""
    if not on_zero_gpu():
        return nullcontext()
    try:
        from spaces.zero.torch.aoti import _register_aoti_cleanup
    except ImportError:  # a later version: the Space runs on, and /tmp fills up
        return nullcontext()
    return _register_aoti_cleanup()
