"""The order of a path's cameras: sorted by image names where a file is unsorted, and a hint if a path jumps."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from flashworld.cameras import Cameras

MIN_CAMERAS_FOR_HINT = 5
JUMP_FACTOR = 8.0
"""A step this many times the median one is not a camera motion."""
DETOUR_FACTOR = 3.0
"""A path this many times longer than the nearest-neighbour walk through the same positions goes back and forth."""
TURN_DEG = 100.0
"""A larger rotation between two views is not a camera motion."""


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts frame_2 before frame_10."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", name)
    return tuple((0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts)


def order_by_name(names: Sequence[object]) -> list[int] | None:
    """Indices that sort the names; None if they are already sorted, missing or not distinct."""
    texts = [name for name in names if isinstance(name, str) and name]
    if len(texts) != len(names) or len(set(texts)) != len(texts):
        return None
    order = sorted(range(len(texts)), key=lambda index: natural_key(texts[index]))
    return None if order == list(range(len(texts))) else order


def in_order(cameras: Cameras, names: Sequence[object]) -> tuple[Cameras, tuple[str, ...]]:
    """Cameras sorted by the names of their images, and a note if that changed the order."""
    order = order_by_name(names)
    if order is None:
        return cameras, ()
    index = torch.tensor(order)
    ordered = Cameras(cameras.quats_wxyz[index], cameras.positions[index], cameras.intrinsics[index])
    return ordered, ("the file's cameras were sorted by the names of their images",)


def jump_note(cameras: Cameras) -> str | None:
    """A hint for paths that jump or go back and forth, as those of shuffled images do; None for others."""
    if len(cameras) < MIN_CAMERAS_FOR_HINT:
        return None
    places = cameras.positions.double()
    steps = (places[1:] - places[:-1]).norm(dim=1)
    usual, (longest, at) = float(steps.median()), (float(value) for value in steps.max(dim=0))
    if usual > 0 and longest > JUMP_FACTOR * usual:
        return f"the path jumps between cameras {int(at)} and {int(at) + 1}: is the order right?"
    turns = _turns_deg(cameras)
    if float(turns.max()) > TURN_DEG:
        at = int(turns.argmax())
        return (
            f"the path turns by {float(turns[at]):.0f} degrees between cameras {at} and {at + 1}: is the order right?"
        )
    length, shortest = float(steps.sum()), _nearest_next(places)
    if shortest > 0 and length > DETOUR_FACTOR * shortest:
        return (
            f"the path goes back and forth ({length:.3g} units long, {shortest:.3g} from each position to the nearest next one): "
            "is the order right?"
        )
    return None


def _turns_deg(cameras: Cameras) -> torch.Tensor:
    quats = torch.nn.functional.normalize(cameras.quats_wxyz.double(), dim=1)
    return torch.rad2deg(2 * torch.acos((quats[1:] * quats[:-1]).sum(dim=1).abs().clamp(max=1)))


def _nearest_next(places: torch.Tensor) -> float:
    """Length of the walk that starts at one end and always goes to the nearest position not yet visited."""
    left = places.clone()
    far = (places - places.mean(dim=0)).norm(dim=1).argmax()
    here, total = left[far].clone(), 0.0
    left = torch.cat([left[:far], left[far + 1 :]])
    while len(left):
        distances = (left - here).norm(dim=1)
        nearest = int(distances.argmin())
        total += float(distances[nearest])
        here = left[nearest]
        left = torch.cat([left[:nearest], left[nearest + 1 :]])
    return total
