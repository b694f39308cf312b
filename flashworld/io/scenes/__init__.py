"""Reading and writing of scene files, one module per format, selected here by the file's suffix.

| name ends in | axes in the file | what it keeps |
|---|---|---|
| .ply | right, down, forward | everything, float32 (read and written) |
| .compressed.ply | right, down, forward | everything, about 10 bits per value (read and written) |
| .spz | right, up, back, or stated | everything, about 8 bits per value (version 3 written, 2 to 4 read) |
| .sog | right, down, forward | everything, 8 bits per value, SH from a palette (read and written) |
| meta.json, the file's whole name | right, down, forward | an unpacked SOG, with its images in the same folder (read and written) |
| .splat | right, down, forward | colour without view dependence, 8 bits (read and written) |

In memory a scene always has OpenGL axes (right, up, back); the modules convert it. Readers raise `SceneFileError`,
writers `SceneError` or `WriteError`, and writers are atomic.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashworld.checks import echo, file_name
from flashworld.errors import FlashWorldError, SceneFileError, WriteError

if TYPE_CHECKING:
    from flashworld.gaussians import Gaussians

_FORMATS = {
    ".compressed.ply": ("compressed_ply", "write_compressed_ply", "ply", "read_ply"),
    ".ply": ("ply", "write_ply", "ply", "read_ply"),
    ".spz": ("spz", "write_spz", "spz", "read_spz"),
    ".sog": ("sog", "write_sog", "sog", "read_sog"),
    "meta.json": ("sog", "write_sog_folder", "sog", "read_sog_folder"),
    ".splat": ("splat", "write_splat", "splat", "read_splat"),
}
"""Module and function that write, module and function that read; the longest ending first."""
UNPACKED = "meta.json"
"""Name of the file that stands for an unpacked SOG."""
SCENE_SUFFIXES = (".ply", ".compressed.ply", ".spz", ".sog", ".splat")


def write_scene(scene: Gaussians, path: str | Path) -> None:
    """Write a scene in the format that the name of `path` ends in.

    Raises:
        SceneError: empty or non-finite scene, or values that the format cannot hold.
        WriteError: unknown ending, or the file cannot be written.
    """
    module, function, _, _ = _format(path, WriteError)
    _function(module, function)(scene, path)


def read_scene(path: str | Path) -> Gaussians:
    """Read a scene file in the format that its name ends in; OpenGL axes, float32, on the CPU.

    Raises:
        SceneFileError: unknown ending, or the file cannot be read as a Gaussian scene.
    """
    _, _, module, function = _format(path, SceneFileError)
    return _function(module, function)(path)


def scene_bytes(path: str | Path) -> int:
    """Size of a scene that was read or written: the file's, with the images of an unpacked SOG."""
    path = Path(path)
    images = () if scene_suffix(path) != UNPACKED else import_module("flashworld.io.scenes.sog_files").images(path)
    return sum(file.stat().st_size for file in (path, *images))


def scene_suffix(path: str | Path) -> str | None:
    """Which of SCENE_SUFFIXES a name ends in; UNPACKED for the file of that name."""
    name = Path(path).name.lower()
    if name == UNPACKED:
        return UNPACKED
    return next(
        (ending for ending in _FORMATS if ending != UNPACKED and name.endswith(ending) and name != ending), None
    )


def _format(path: str | Path, error: type[FlashWorldError]) -> tuple[str, str, str, str]:
    ending = scene_suffix(path)
    if ending is None:
        raise error(
            f"{file_name(path)}: a scene file must end in {', '.join(SCENE_SUFFIXES)} or be an unpacked SOG's {UNPACKED}, got {echo(Path(path).suffix)}"
        )
    return _FORMATS[ending]


def _function(module: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(f"flashworld.io.scenes.{module}"), name)


__all__ = ["morton", "plain_preview", "ply_header", "splat", "spz"]
