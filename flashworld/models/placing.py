"""Head maps to Gaussians by a single GPU kernel: each value is read and written once. See `gaussian_decoder.py`."""

from __future__ import annotations

import torch

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.kernels.program import Program

PIXELS_AT_ONCE = 128
POINTS, SH_COEFFICIENTS, CHANNELS = 2, 9, 76


def place(program: Program, maps: torch.Tensor, cameras: Cameras, max_scale_px: float) -> Gaussians:
    """Compute `gaussians_from_maps` without gradients.

    Args:
        program: Kernels on the device of the maps.
        maps: Head maps, float32, contiguous or channels_last. (N, 76, rows, columns)
        cameras: The N cameras, float32, on the same device.
        max_scale_px: Largest standard deviation, in the model's pixel sizes.
    """
    frames, _, rows, columns = maps.shape
    if maps.stride(2) != columns * maps.stride(3):
        maps = maps.contiguous()
    count = frames * POINTS * rows * columns
    means, quats, scales, opacities = (maps.new_empty((count, width)) for width in (3, 4, 3, 1))
    sh = maps.new_empty((count, SH_COEFFICIENTS, 3))
    lens = (t.float().contiguous() for t in (cameras.quats_wxyz, cameras.positions, cameras.intrinsics))
    program.launch(
        "place", (-(-rows * columns // PIXELS_AT_ONCE), frames, 1), PIXELS_AT_ONCE, rows, columns, maps, maps.stride(0),
        maps.stride(1), maps.stride(3), *lens, max_scale_px, means, quats, scales, opacities, sh,
    )  # fmt: skip
    return Gaussians(means, quats, scales, opacities[:, 0], sh)
