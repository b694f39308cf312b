"""What this project reads from inside the `spaces` package, beyond its public names. Read from spaces 0.51.3."""

from __future__ import annotations


def platform_factor() -> float:
    """What ZeroGPU multiplies requested seconds with on this machine's GPU; 1 elsewhere."""
    import spaces.config

    if not spaces.config.Config.zero_gpu:
        return 1.0
    from spaces.zero.config import get_config

    return float(get_config()["duration_factor"])
