"""Camera paths: presets, key poses, JSON forms, resampling and previews. `resolve` turns whatever names a path into cameras."""

from __future__ import annotations

from flashworld.trajectories.paths import EASINGS, build_trajectory, ease, resample, video_path
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
    "json_forms",
    "keyframes",
    "presets",
    "preview",
    "resample",
    "resolve",
    "video_path",
]
