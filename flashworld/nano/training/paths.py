"""Camera paths for training: the project's presets with random parameters, and random smooth curves.

A bank holds Q paths of V poses each, relative to their first camera (the identity), so that sampling is indexing.
Sizes follow the worlds: the nearest object is about 1 to 2 scene units ahead, translations are 0.2 to 0.6 units long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flashworld.cameras import Cameras, intrinsics_from_fov, quat_from_axis_angle, quat_multiply
from flashworld.trajectories import PRESETS, build_trajectory

VIEWS = 15
"""Poses per path. Eight input frames use every other pose; the seven in between supervise novel views."""
PARAMETERS = {
    "amplitude": (0.5, 0.5),
    "angle_deg": (10.0, 18.0),
    "distance": (2.0, 2.0),
    "advance": (0.5, 0.5),
    "factor": (1.1, 1.4),
}
"""Ranges of the presets' parameters in training, within each preset's limits. Lengths are fixed: paths are normalised
before they reach the model, so a known travel distance (half a unit) or orbit radius (two units) is what determines the
scale of the world. Angles are unaffected by normalisation."""
WEIGHTS = {"full_orbit": 0.0, "roll": 0.3, "shake": 0.5, "spiral": 0.5, "zoom_in": 0.3, "zoom_out": 0.3}
WEIGHTS |= {name: 0.4 for name in ("pan_left", "pan_right", "tilt_up", "tilt_down")}
WEIGHTS |= {name: 3.0 for name in ("forward", "left", "right", "backward", "orbit_left", "orbit_right")}
"""Relative sampling frequency of presets; 1 for those not listed."""
SMOOTH_SHARE = 0.2


@dataclass(frozen=True)
class PathBank:
    """A bank of Q paths.

    Attributes:
        quats_wxyz: Rotations relative to the first camera. (Q, V, 4)
        positions: Scene units, relative to it. (Q, V, 3)
        focal_scale: Focal length relative to the first camera's. (Q, V)
    """

    quats_wxyz: torch.Tensor
    positions: torch.Tensor
    focal_scale: torch.Tensor

    def __len__(self) -> int:
        return len(self.focal_scale)

    def to(self, device: torch.device | str) -> PathBank:
        """The same paths on another device."""
        return PathBank(self.quats_wxyz.to(device), self.positions.to(device), self.focal_scale.to(device))


def build_paths(count: int, seed: int, presets_only: bool = False) -> PathBank:
    """Build a bank of `count` paths, deterministic in the seed."""
    rng = np.random.default_rng([seed, 3])
    names = [name for name in PRESETS if WEIGHTS.get(name, 1.0) > 0]
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    share = 0.0 if presets_only else SMOOTH_SHARE
    lens = intrinsics_from_fov(60.0, 192, 288)
    made = []
    for _ in range(count):
        if rng.random() < share:
            made.append(smooth_path(rng, lens))
        else:
            name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            parameters: dict[str, Any] = random_parameters(rng, name)
            made.append(build_trajectory(name, frames=VIEWS, intrinsics=lens, loop=False, **parameters))
    focal = torch.stack([c.intrinsics[:, 1] / lens[1] for c in made])
    return PathBank(torch.stack([c.quats_wxyz for c in made]), torch.stack([c.positions for c in made]), focal)


def random_parameters(rng: np.random.Generator, name: str) -> dict[str, float]:
    """Random values of a preset's parameters within `PARAMETERS`; others keep their defaults."""
    values = {}
    for param in PRESETS[name].params:
        if param.name in PARAMETERS:
            low, high = PARAMETERS[param.name]
            values[param.name] = float(np.clip(rng.uniform(low, high), param.minimum, param.maximum))
    return values


def smooth_path(rng: np.random.Generator, lens: torch.Tensor) -> Cameras:
    """A quadratic curve with slow rotation, starting at the identity."""
    time = torch.linspace(0, 1, VIEWS)[:, None]
    extent = torch.tensor([0.4, 0.15, 0.45])
    end, bend = (torch.from_numpy(rng.uniform(-1, 1, size=3)).float() * extent for _ in range(2))
    positions = 2 * time * (1 - time) * bend + time * time * end
    positions = positions * PARAMETERS["amplitude"][0] / positions.norm(dim=1).max()
    yaw, pitch = (float(a) for a in rng.normal(0, (0.14, 0.06)))
    ease = time[:, 0] ** 2 * (3 - 2 * time[:, 0])
    quats = quat_multiply(
        quat_from_axis_angle([0.0, 1.0, 0.0], yaw * ease), quat_from_axis_angle([1.0, 0.0, 0.0], pitch * ease)
    )
    return Cameras(quats, positions, lens.expand(VIEWS, 4))
