"""FlashWorld: one image and/or a sentence plus a camera path into a 3D Gaussian scene.

Nothing heavy is imported until it is used: the names below are resolved on first access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Cameras": "flashworld.cameras",
    "Gaussians": "flashworld.gaussians",
    "GenerationRequest": "flashworld.inputs",
    "build_request": "flashworld.inputs",
    "request_from_json": "flashworld.io.request_json",
    "FlashWorldPipeline": "flashworld.pipeline",
    "SceneResult": "flashworld.pipeline",
    "PRESETS": "flashworld.trajectories",
    "FlashWorldError": "flashworld.errors",
    "InputError": "flashworld.errors",
}
__all__ = [*_HOME]

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.errors import FlashWorldError, InputError
    from flashworld.gaussians import Gaussians
    from flashworld.inputs import GenerationRequest, build_request
    from flashworld.io.request_json import request_from_json
    from flashworld.pipeline import FlashWorldPipeline, SceneResult
    from flashworld.trajectories import PRESETS


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'flashworld' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
