"""The noise levels of the four steps.

Source: FlashWorld (arXiv 2510.13678): FlowMatch Euler schedule of 1000 steps with shift 3, read at four indices.
"""

from __future__ import annotations

from flashworld.types import Latents

STEP_INDICES = (0, 250, 500, 750)
"""Positions in the table of 1000."""
STEP_SIGMAS = (1.0, 0.9, 0.75, 0.5)
"""Noise levels: 3 s / (1 + 2 s) with s = 1 - index / 1000."""
STEP_TIMESTEPS = (1000.0, 900.0, 750.0, 500.0)
"""The model clock: 1000 x sigma."""
STEPS = len(STEP_SIGMAS)


def renoise(clean: Latents, noise: Latents, sigma: float) -> Latents:
    """The flow's forward process: sigma * noise + (1 - sigma) * clean."""
    return sigma * noise + (1 - sigma) * clean
