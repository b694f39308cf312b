"""Camera paths: presets, keyframes, JSON formats, resampling and previews. `resolve` converts any source of a path to cameras."""

from __future__ import annotations

from flashworld.trajectories.paths import EASINGS, build_trajectory, ease, from_first_camera, resample, video_path
from flashworld.trajectories.presets import PRESETS, Param, Preset, find_preset

__all__ = [
    "EASINGS",
    "PRESETS",
    "Param",
    "Preset",
    "animation",
    "build_trajectory",
    "chan",
    "colmap",
    "ease",
    "files",
    "find_preset",
    "from_first_camera",
    "json_forms",
    "keyframes",
    "presets",
    "preview",
    "resample",
    "resolve",
    "video_path",
]
