"""The camera move presets: names, captions, parameters and limits. The geometry is in `motions`.

`PRESETS` is the list that the page, the command line and the tests read. Lengths are scene units of a scene about 1 to 5
units deep. The model sees every path scaled to a largest distance of about 1, so amplitudes determine the size of the
exported scene, while angles and shapes determine what is visible.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch

from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.trajectories import motions
from flashworld.trajectories.motions import BACK, RIGHT, UP, Motion

Easing = Literal["linear", "smooth", "ease_in", "ease_out"]
RANGE_SLACK = 1e-6
"""Relative tolerance: rounding may put a slider's last step this far outside its range."""


@dataclass(frozen=True)
class Param:
    """One parameter of a preset.

    Attributes:
        name: Key in requests, snake_case.
        title: Label for display.
        default: Value if none is given.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        step: Step of a slider.
        unit: Unit for display: "scene units", "degrees", "turns" or "×".
        whole: Only whole numbers are allowed.
    """

    name: str
    title: str
    default: float
    minimum: float
    maximum: float
    step: float
    unit: str
    whole: bool = False


@dataclass(frozen=True)
class Preset:
    """One camera move.

    Attributes:
        name: Key in requests, snake_case.
        title: Name for display.
        caption: One sentence saying what the camera does, sufficient without the thumbnail.
        params: The parameters of this move.
        build: Progress (N,) from 0 to 1 and parameter values to poses relative to the start camera.
        closed: The move returns to its start by itself.
        easing: Default change of speed along it.
    """

    name: str
    title: str
    caption: str
    params: tuple[Param, ...]
    build: Callable[..., Motion]
    closed: bool = False
    easing: Easing = "smooth"

    def resolve(self, values: Mapping[str, object]) -> dict[str, float]:
        """Every parameter's value: given ones checked, others at their defaults.

        Raises:
            TrajectoryError: a name is unknown, a value is not a number, not finite, out of range or should be whole.
        """
        known = {param.name: param for param in self.params}
        for name in values:
            if name not in known:
                raise TrajectoryError(f"{self.name}: unknown parameter {unknown_name(name, known)}")
        return {p.name: self._checked(p, values[p.name]) if p.name in values else p.default for p in self.params}

    def _checked(self, param: Param, value: object) -> float:
        """One parameter's value as a float within its range."""
        where = f"{self.name}: {param.name}"
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TrajectoryError(f"{where} must be a number, got {echo(value)}")
        number = cast("float", value)
        span = f"between {param.minimum:g} and {param.maximum:g} {param.unit}"
        slack = RANGE_SLACK * param.maximum
        if not param.minimum - slack <= number <= param.maximum + slack:  # false for NaN too
            raise TrajectoryError(f"{where} must be {span}, got {echo(value)}")
        if param.whole and number != round(number):
            raise TrajectoryError(f"{where} must be a whole number {span}, got {echo(value)}")
        return min(max(float(number), param.minimum), param.maximum)


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        TrajectoryError: there is none; the message suggests the nearest name.
    """
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        raise TrajectoryError(f"unknown camera path {unknown_name(name, PRESETS)}")
    return preset


def unknown_name(name: object, known: Mapping[str, object]) -> str:
    """The end of an error message: the given name, and the nearest known one or all of them."""
    near = difflib.get_close_matches(name[:60], known, n=1, cutoff=0.6) if isinstance(name, str) else []
    return f"{echo(name)}; " + (f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}")


def _far(default: float = 0.5, maximum: float = 5.0, title: str = "Distance travelled") -> Param:
    return Param("amplitude", title, default, 0.02, maximum, 0.01, "scene units")


def _swing(default: float) -> Param:
    return _far(default, 1.0, "Size of the move")


def _ahead(default: float = 2.0, minimum: float = 0.5) -> Param:
    return Param("distance", "Distance to the point looked at", default, minimum, 20.0, 0.1, "scene units")


def _angle(default: float, maximum: float) -> Param:
    return Param("angle_deg", "Angle", default, 1.0, maximum, 1.0, "degrees")


def _factor() -> Param:
    # 2.5 keeps every start between 20 and 110 degrees inside MIN_FOV_DEG to MAX_FOV_DEG.
    return Param("factor", "Zoom", 1.5, 1.05, 2.5, 0.05, "×")


def _travel(name: str, title: str, caption: str, axis: tuple[float, float, float]) -> Preset:
    return Preset(name, title, caption, (_far(),), partial(motions.travel, axis=axis))


def _turn(name: str, title: str, caption: str, axis: tuple[float, float, float], angle: Param) -> Preset:
    def build(progress: torch.Tensor, angle_deg: float) -> Motion:
        return motions.turn(progress, axis, angle_deg)

    return Preset(name, title, caption, (angle,), build)


def _orbit(name: str, title: str, caption: str, axis: tuple[float, float, float], maximum: float) -> Preset:
    def build(progress: torch.Tensor, angle_deg: float, distance: float) -> Motion:
        return motions.orbit(progress, axis, angle_deg, distance)

    return Preset(name, title, caption, (_angle(15.0, maximum), _ahead()), build)


def _full_orbit(progress: torch.Tensor, turns: float, distance: float) -> Motion:
    return motions.orbit(progress, UP, 360.0 * turns, distance)


def _zoom_out(progress: torch.Tensor, factor: float) -> Motion:
    return motions.zoom(progress, 1 / factor)


def _dolly_zoom_out(progress: torch.Tensor, factor: float, distance: float) -> Motion:
    return motions.dolly_zoom(progress, 1 / factor, distance)


def _opposite(axis: tuple[float, float, float]) -> tuple[float, float, float]:
    return (-axis[0], -axis[1], -axis[2])


def _sways(name: str, title: str, caption: str, params: tuple[Param, ...], build: Callable[..., Motion]) -> Preset:
    """A closed move at constant speed, which loops without a pause."""
    return Preset(name, title, caption, params, build, closed=True, easing="linear")


_TABLE = (
    _travel("forward", "Forward", "The camera moves straight ahead into the scene.", _opposite(BACK)),
    _travel("backward", "Backward", "The camera moves straight back and more of the scene comes into view.", BACK),
    _travel("left", "Left", "The camera slides to the left without turning.", _opposite(RIGHT)),
    _travel("right", "Right", "The camera slides to the right without turning.", RIGHT),
    _travel("up", "Up", "The camera rises straight up without tilting.", UP),
    _travel("down", "Down", "The camera sinks straight down without tilting.", _opposite(UP)),
    _orbit(
        "orbit_left", "Orbit left", "The camera circles to the left around a point ahead of it.", _opposite(UP), 180.0
    ),
    _orbit("orbit_right", "Orbit right", "The camera circles to the right around a point ahead of it.", UP, 180.0),
    _orbit("orbit_up", "Orbit up", "The camera arcs upwards around a point ahead of it.", _opposite(RIGHT), 80.0),
    _orbit("orbit_down", "Orbit down", "The camera arcs downwards around a point ahead of it.", RIGHT, 80.0),
    _sways(
        "full_orbit",
        "Full orbit",
        "The camera circles all the way around a point ahead of it.",
        (Param("turns", "Turns", 1.0, 1.0, 3.0, 1.0, "turns", whole=True), _ahead()),
        _full_orbit,
    ),
    Preset(
        "spiral",
        "Spiral",
        "The camera winds outwards in widening circles, always looking at a point ahead.",
        (_swing(0.4), Param("turns", "Turns", 2.0, 0.5, 5.0, 0.5, "turns"), _ahead()),
        motions.spiral,
        easing="linear",
    ),
    _sways(
        "lemniscate",
        "Figure eight",
        "The camera draws a figure of eight lying on its side, always looking at a point ahead.",
        (_swing(0.3), _ahead()),
        motions.lemniscate,
    ),
    Preset("zoom_in", "Zoom in", "The camera stands still while its lens zooms in.", (_factor(),), motions.zoom),
    Preset("zoom_out", "Zoom out", "The camera stands still while its lens zooms out.", (_factor(),), _zoom_out),
    Preset(
        "dolly_zoom_in",
        "Dolly zoom in",
        "The camera backs away while its lens zooms in, so that the subject keeps its size and the background closes in.",
        (_factor(), _ahead()),
        motions.dolly_zoom,
    ),
    Preset(
        "dolly_zoom_out",
        "Dolly zoom out",
        "The camera moves closer while its lens widens, so that the subject keeps its size and the background falls away.",
        (_factor(), _ahead()),
        _dolly_zoom_out,
    ),
    _turn("pan_left", "Pan left", "The camera turns to the left on the spot.", UP, _angle(20.0, 180.0)),
    _turn("pan_right", "Pan right", "The camera turns to the right on the spot.", _opposite(UP), _angle(20.0, 180.0)),
    _turn("tilt_up", "Tilt up", "The camera looks up on the spot.", RIGHT, _angle(15.0, 80.0)),
    _turn("tilt_down", "Tilt down", "The camera looks down on the spot.", _opposite(RIGHT), _angle(15.0, 80.0)),
    _turn(
        "roll",
        "Roll",
        "The camera tips over clockwise around its viewing direction.",
        _opposite(BACK),
        _angle(30.0, 360.0),
    ),
    Preset(
        "crane_up",
        "Crane up",
        "The camera rises and tilts down to keep a point ahead in the middle.",
        (_far(), _ahead()),
        motions.crane,
    ),
    Preset(
        "fly_through",
        "Fly through",
        "The camera flies forward along a gentle S-curve, facing the way it goes.",
        (Param("advance", "Distance flown", 2.0, 0.2, 10.0, 0.1, "scene units"), _far(0.1, 1.0, "Width of the curve")),
        motions.fly_through,
        easing="linear",
    ),
    _sways(
        "swipe",
        "Swipe",
        "The camera slides right, across to the left and back, always looking at a point ahead.",
        (_swing(0.3), _ahead()),
        motions.swipe,
    ),
    _sways(
        "shake",
        "Shake",
        "The camera sways from side to side, then up and down, always looking at a point ahead.",
        (_swing(0.15), _ahead()),
        motions.shake,
    ),
    _sways(
        "rotate_forward",
        "Rotate forward",
        "The camera glides around a flat oval, right, forward, left and back, always looking at a point ahead.",
        (
            _swing(0.3),
            Param("advance", "Distance forward", 0.3, 0.02, 0.8, 0.01, "scene units"),
            _ahead(minimum=1.0),  # beyond the largest advance: the camera never passes the point it looks at
        ),
        motions.rotate_forward,
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _TABLE}
