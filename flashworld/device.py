"""Which model runs where when nobody has said: the one place that asks for CUDA."""

from __future__ import annotations

from pathlib import Path

import torch

NANO = "nano"


def choose_source(wanted: str = "auto") -> str:
    """The model that "auto" means: "full" where there is a CUDA device, else "nano"; any other name as it is."""
    if wanted != "auto":
        return wanted
    return "full" if torch.cuda.is_available() else NANO


def choose_device(wanted: str | torch.device | None = None, source: str | Path = "full") -> torch.device:
    """The device wanted, or CUDA where there is one; nano runs on the CPU, where it is as fast."""
    if wanted is not None:
        return torch.device(wanted)
    return torch.device("cuda" if source != NANO and torch.cuda.is_available() else "cpu")


def network_dtype(device: torch.device) -> torch.dtype:
    """What the networks compute in: bfloat16 on CUDA, float32 on the CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32
