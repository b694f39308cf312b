"""The columns of a PLY file by field of a Gaussian, and the file's axes. Determined only by names.

Two layouts are known:
    standard   f_dc_0..2 and 0, 9, 24 or 45 f_rest_*, channel by channel. Axes right, down, forward unless a comment
               written by this project says otherwise.
    original   what the original FlashWorld writes: f_dc_0..26 and no f_rest, coefficient by coefficient (r, g, b each).
               Axes right, up, back.
"""

from __future__ import annotations

from dataclasses import dataclass

from flashworld.errors import SceneFileError
from flashworld.io.scenes.axes import SceneAxes
from flashworld.io.scenes.ply_header import PlyHeader

AXES_COMMENT = "axes right-down-forward"
"""Header comment that states the axes of files from this project."""
UP_BACK_COMMENT = "axes right-up-back"
REST_COLUMNS = (0, 9, 24, 45)
"""f_rest_* of SH degree 0, 1, 2, 3."""
ORIGINAL_COLUMNS = 27


@dataclass(frozen=True)
class Columns:
    """Column names of each field.

    Attributes:
        count: Gaussians, according to the header.
        axes: Axes of the file.
        means: x, y, z.
        quats: w, x, y, z.
        log_scales: Three.
        opacity: One, the logit.
        sh: 3 K names, coefficient-major: the red, green and blue of coefficient 0, then of 1, ...
    """

    count: int
    axes: SceneAxes
    means: tuple[str, ...]
    quats: tuple[str, ...]
    log_scales: tuple[str, ...]
    opacity: tuple[str, ...]
    sh: tuple[str, ...]


def find_columns(header: PlyHeader, name: str) -> Columns:
    """Find the columns of a Gaussian scene.

    Raises:
        SceneFileError: no `vertex` element, a list in it, a column missing, or an unknown number of SH columns.
    """
    vertex = next((element for element in header.elements if element.name == "vertex"), None)
    if vertex is None or vertex.has_lists:
        raise SceneFileError(f"{name}: expected an element 'vertex' of plain numbers")
    present = {column for column, _ in vertex.properties}
    sh, axes = _sh_columns(present, header.comments, name)
    columns = Columns(
        vertex.count, axes, ("x", "y", "z"), ("rot_0", "rot_1", "rot_2", "rot_3"),
        ("scale_0", "scale_1", "scale_2"), ("opacity",), sh,
    )  # fmt: skip
    wanted = (*columns.means, *columns.quats, *columns.log_scales, *columns.opacity, *columns.sh)
    missing = [column for column in wanted if column not in present]
    if missing:
        raise SceneFileError(f"{name}: not a Gaussian scene: the PLY file has no column {missing[0]!r}")
    return columns


def _sh_columns(present: set[str], comments: tuple[str, ...], name: str) -> tuple[tuple[str, ...], SceneAxes]:
    dc = sum(column.startswith("f_dc_") for column in present)
    rest = sum(column.startswith("f_rest_") for column in present)
    if dc == ORIGINAL_COLUMNS and rest == 0:
        return tuple(f"f_dc_{i}" for i in range(ORIGINAL_COLUMNS)), "right-up-back"
    if dc not in (0, 3) or rest not in REST_COLUMNS:
        raise SceneFileError(f"{name}: expected 3 f_dc_* and 0, 9, 24 or 45 f_rest_* columns, got {dc} and {rest}")
    higher = rest // 3
    names = [f"f_dc_{channel}" for channel in range(3)]
    names += [f"f_rest_{channel * higher + k}" for k in range(higher) for channel in range(3)]
    return tuple(names), "right-up-back" if UP_BACK_COMMENT in comments else "right-down-forward"
