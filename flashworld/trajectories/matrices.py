"""Camera-to-world matrices from files: checked to be rigid, and turned to this project's axes, of camera and of world.

A file has two pairs of axes. Those of the *camera* are multiplied on the right of camera-to-world and say how it looks;
those of the *world* on the left, and say what scene it belongs to. The files of trainers belong to the scene of the same
training, whose world the readers of scenes turn by F = diag(1, -1, -1): `turn_world` does the same to cameras. Positions
relative to the first camera do not depend on it.
"""

from __future__ import annotations

import numpy as np
import torch

from flashworld.cameras import Cameras, matrix_to_quat
from flashworld.checks import echo
from flashworld.errors import TrajectoryError
from flashworld.trajectories.camera_json import read_numbers

RIGID_TOLERANCE = 1e-3
"""Largest deviation of R^T R from the identity: files are often rounded to three or four digits."""
OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Multiplied on the right of a camera-to-world rotation: negates y and z of the camera."""


def turn_world(cameras: Cameras) -> Cameras:
    """Turn the world by half a turn about x, as the readers and writers of PLY turn a scene; exact and its own inverse.

    Args:
        cameras: OpenGL camera axes, world of a trainer (that of the PLY trained from these cameras) or of this project.

    Returns:
        The same cameras in the other of the two worlds.
    """
    w, x, y, z = cameras.quats_wxyz.unbind(1)
    quats = torch.stack([-x, w, -z, y], dim=1)  # the product of (0, 1, 0, 0) and the quaternion
    positions = cameras.positions * cameras.positions.new_tensor([1, -1, -1])
    return Cameras(quats + 0.0, positions + 0.0, cameras.intrinsics)  # + 0.0 turns -0.0 into 0.0


def read_matrix(rows: object, where: str) -> tuple[list[float], list[float]]:
    """Quaternion wxyz and position of a matrix by rows, 3 or 4 of them.

    Raises:
        TrajectoryError: not such a matrix, or not rigid.
    """
    if not isinstance(rows, list | tuple) or len(rows) not in (3, 4):
        raise TrajectoryError(f"{where} must be 4 rows of 4 numbers, got {echo(rows)}")
    matrix = np.array([read_numbers(row, f"{where}[{i}]", 4) for i, row in enumerate(rows)])
    if len(rows) == 4 and np.abs(matrix[3] - [0, 0, 0, 1]).max() > RIGID_TOLERANCE:
        raise TrajectoryError(f"{where}: the last row must be [0, 0, 0, 1], got {matrix[3].tolist()}")
    return quat_of(matrix[:3, :3], where), matrix[:3, 3].tolist()


def quat_of(rotation: np.ndarray, where: str) -> list[float]:
    """The quaternion wxyz of a rotation matrix (3, 3).

    Raises:
        TrajectoryError: it scales, shears or reflects.
    """
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise TrajectoryError(f"{where} must be a rigid transform, without scale, shear or reflection")
    return matrix_to_quat(torch.from_numpy(np.ascontiguousarray(rotation))).tolist()
