"""Axes of scene files: signs that turn or mirror a scene from other axes to those in memory (right, up, back), and back.

A change F = diag(x, y, z) of signs is exact and self-inverse. It only changes signs in all three parts of a Gaussian:
    centre      F m
    rotation    F R F, which is the quaternion (w, yz x', xz y', xy z'). The covariance F R S^2 R^T F is that of F R as
                well, because S^2 does not depend on the sign of an axis; this choice keeps the identity an identity,
                and a rotation where F is a mirror.
    SH          a basis function of degree <= 3 is odd or even in each of x, y and z: its coefficient changes sign
                when the basis polynomial does.

PLY viewers expect right, down, forward, which is half a turn about x.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

SceneAxes = Literal["right-up-back", "right-down-forward"]
"""OpenGL, as scenes are in memory; OpenCV, as PLY and .splat viewers expect."""

ODD_AXES = ("", "y", "z", "x", "xy", "yz", "", "xz", "", "y", "xyz", "y", "z", "x", "z", "x")
"""Axes in which the basis functions 0..15, in the order that Gaussian splatting uses, are odd."""


class AxisSigns(NamedTuple):
    """Factors of the parts of a Gaussian.

    Attributes:
        mean: Of the centre. (3,)
        quat: Of the quaternion, real part first. (4,)
        sh: Of the SH coefficients of degree 0 to 3. (16,)
    """

    mean: np.ndarray
    quat: np.ndarray
    sh: np.ndarray


def axis_signs(x: int, y: int, z: int) -> AxisSigns:
    """The factors for axes whose directions are kept (1) or reversed (-1)."""
    sign = {"x": x, "y": y, "z": z}
    odd = [np.prod([sign[axis] for axis in axes]) for axes in ODD_AXES]
    return AxisSigns(*(np.array(values, dtype=np.float32) for values in ((x, y, z), (1, y * z, x * z, x * y), odd)))


MEAN_SIGNS, QUAT_SIGNS, SH_SIGNS = axis_signs(1, -1, -1)
"""Half a turn about x."""
