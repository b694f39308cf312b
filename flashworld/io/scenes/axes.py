"""Half a turn about x: between the scene's axes (right, up, back) and those of PLY viewers (right, down, forward).

The turn F = diag(1, -1, -1) negates y and z. It only changes signs in all three parts of a Gaussian, so it is exact
and self-inverse:
    centre      F m
    rotation    F R F, which is the quaternion (w, x, -y, -z). The covariance F R S^2 R^T F is that of F R as well,
                because S^2 does not depend on the sign of an axis; this choice keeps the identity an identity.
    SH          a basis function of degree <= 3 is odd or even in y and z together: its coefficient changes sign
                when the basis polynomial does under (x, y, z) -> (x, -y, -z).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

SceneAxes = Literal["right-up-back", "right-down-forward"]
"""OpenGL, as scenes are in memory; OpenCV, as PLY and .splat viewers expect."""

MEAN_SIGNS = np.array([1, -1, -1], dtype=np.float32)
QUAT_SIGNS = np.array([1, 1, -1, -1], dtype=np.float32)
SH_SIGNS = np.array(
    [
        1,  # 1
        -1, -1, 1,  # y, z, x
        -1, 1, 1, -1, 1,  # xy, yz, 2zz-xx-yy, xz, xx-yy
        -1, 1, -1, -1, 1, -1, 1,  # y(3xx-yy), xyz, y(4zz-xx-yy), z(2zz-3xx-3yy), x(4zz-xx-yy), z(xx-yy), x(xx-3yy)
    ],
    dtype=np.float32,
)  # fmt: skip
"""For coefficients 0..15 in the order that Gaussian splatting uses."""
