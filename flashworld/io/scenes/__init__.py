"""Gaussian scenes to and from files, one format a module, chosen here by the file name's suffix.

| suffix | axes in the file | what it keeps |
|---|---|---|
| .ply | right, down, forward | everything, float32 (read and written) |
| .spz | right, up, back | everything, about 8 bits a number (read and written) |
| .splat | right, down, forward | colour without view dependence, 8 bits (read and written) |

In memory a scene always has OpenGL axes (right, up, back); the modules turn it. Readers raise `SceneFileError`,
writers `ExportError`, and a writer leaves either the whole file or none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flashworld.checks import echo, file_name
from flashworld.errors import ExportError, SceneFileError

if TYPE_CHECKING:
    from flashworld.gaussians import Gaussians

SCENE_SUFFIXES = (".ply", ".spz", ".splat")


def write_scene(scene: Gaussians, path: str | Path) -> None:
    """Write a scene in the format that the suffix of `path` names.

    Raises:
        ExportError: unknown suffix, empty or non-finite scene, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".ply":
        from flashworld.io.scenes.ply import write_ply as write
    elif suffix == ".spz":
        from flashworld.io.scenes.spz import write_spz as write
    elif suffix == ".splat":
        from flashworld.io.scenes.splat import write_splat as write
    else:
        raise ExportError(
            f"{file_name(path)}: a scene file must end in {', '.join(SCENE_SUFFIXES)}, got {echo(suffix)}"
        )
    write(scene, path)


def read_scene(path: str | Path) -> Gaussians:
    """Read a scene file in the format that its suffix names; OpenGL axes, float32, on the CPU.

    Raises:
        SceneFileError: unknown suffix, or the file cannot be read as a Gaussian scene.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".ply":
        from flashworld.io.scenes.ply import read_ply as read
    elif suffix == ".spz":
        from flashworld.io.scenes.spz import read_spz as read
    elif suffix == ".splat":
        from flashworld.io.scenes.splat import read_splat as read
    else:
        raise SceneFileError(
            f"{file_name(path)}: a scene file must end in {', '.join(SCENE_SUFFIXES)}, got {echo(suffix)}"
        )
    return read(path)
