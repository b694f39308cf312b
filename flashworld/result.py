"""The result of a generation: the scene in scene units, its cameras, and the writing of its files.

Axes are OpenGL, the frame is the first camera's, units are those of the request's path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from flashworld.cameras import Cameras, Normalization
from flashworld.checks import file_name
from flashworld.errors import InputError, WriteError
from flashworld.gaussians import Gaussians, prune_by_opacity, require_finite
from flashworld.inputs import GenerationRequest
from flashworld.io.atomic import replacing
from flashworld.trajectories import video_path
from flashworld.types import Frame

OutputKind = Literal["ply", "spz", "splat", "video", "depth", "preview", "request"]
ALL_OUTPUTS: tuple[OutputKind, ...] = get_args(OutputKind)
DEFAULT_OUTPUTS: tuple[OutputKind, ...] = ("ply", "spz", "video", "preview", "request")
FILE_NAMES: dict[OutputKind, str] = {
    "ply": "scene.ply",
    "spz": "scene.spz",
    "splat": "scene.splat",
    "video": "video.mp4",
    "depth": "depth.mp4",
    "preview": "preview.jpg",
    "request": "request.json",
}
FILE_OPACITY = 1 / 255
"""Gaussians with an opacity below one grey level never affect a pixel and are omitted from files."""
JPEG_QUALITY = 92


@dataclass(frozen=True, eq=False)
class SceneResult:
    """One finished scene.

    Attributes:
        scene: Gaussians in the first camera's axes and the request's units.
        cameras: The generated views, in the same frame.
        request: The request, with the seed that was used.
        normalization: The transform of the path into the model's frame.
        model: Name of the model; says "untrained" if its weights are random.
        timings: Seconds by stage.
    """

    scene: Gaussians
    cameras: Cameras
    request: GenerationRequest
    normalization: Normalization
    model: str
    timings: dict[str, float] = field(default_factory=dict)

    def video_cameras(self) -> Cameras:
        """The smooth path of the video, in the scene's frame."""
        video = self.request.video
        path = video_path(self.request.cameras, fps=video.fps, seconds=video.seconds)
        return self.normalization.to_scene_units(self.normalization.apply(path))

    def iter_video(self, *, depth: bool = False) -> Iterator[Frame]:
        """Frames along `video_cameras`, one at a time; `depth` renders depth instead of colour."""
        from flashworld.rendering import iter_frames

        size = (self.request.height, self.request.width)
        return iter_frames(self.scene, self.video_cameras(), *size, depth=depth)

    def picture(self, frame: int | None = None) -> Frame:
        """One generated view; by default that of the request's picture."""
        from flashworld.rendering import iter_frames

        index = self.request.image_index if frame is None else frame
        return next(iter(iter_frames(self.scene, self.cameras[index], self.request.height, self.request.width)))

    def visible(self) -> Gaussians:
        """The scene as written to files: without Gaussians that never affect a pixel."""
        return prune_by_opacity(self.scene, FILE_OPACITY)

    def count_visible(self) -> int:
        """The length of `visible`, without copying the scene."""
        return int((self.scene.opacities >= FILE_OPACITY).sum())

    def save(
        self,
        folder: str | Path,
        outputs: Iterable[OutputKind] = DEFAULT_OUTPUTS,
        *,
        frames: Iterable[Frame] | None = None,
    ) -> dict[OutputKind, Path]:
        """Write files into a folder, which is created if necessary.

        Args:
            folder: Where to write; files of the same names are replaced, each only once it is complete.
            outputs: Which files; "video" and "depth" are omitted if the request disables its video.
            frames: The video's frames, if they are already rendered.

        Returns:
            The path of each file written.

        Raises:
            InputError: an unknown output.
            SceneError: the scene is empty or not finite.
            VideoError: the frames differ in size or type.
            WriteError: a file cannot be written.
        """
        wanted: list[OutputKind] = list(outputs)
        unknown = [name for name in wanted if name not in FILE_NAMES]
        if unknown:
            raise InputError(f"outputs must be among {', '.join(ALL_OUTPUTS)}, got {unknown[0]!r}")
        require_finite(self.scene, "the scene")
        folder = make_folder(folder)
        if not self.request.video.enabled:
            wanted = [name for name in wanted if name not in ("video", "depth")]
        paths: dict[OutputKind, Path] = {name: folder / FILE_NAMES[name] for name in wanted}
        for name, path in paths.items():
            self._write(name, path, frames)
        return paths

    def _write(self, name: OutputKind, path: Path, frames: Iterable[Frame] | None) -> None:
        if name in ("ply", "spz", "splat"):
            from flashworld.io.scenes import write_scene

            write_scene(self.visible(), path)
        elif name in ("video", "depth"):
            from flashworld.io.video import write_video

            video = self.request.video
            filmed = self.iter_video(depth=name == "depth") if frames is None or name == "depth" else frames
            write_video(filmed, path, fps=video.fps, quality=video.quality)
        elif name == "preview":
            write_jpeg(self.picture(), path)
        else:
            from flashworld.io.request_json import request_to_json

            write_text(json.dumps(request_to_json(self.request), indent=1), path)


def make_folder(folder: str | Path) -> Path:
    """Create a folder and its parents.

    Raises:
        WriteError: it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        reason = getattr(error, "strerror", None) or "impossible name"
        raise WriteError(f"folder {file_name(folder)!r} cannot be made: {reason}") from error
    return folder


def write_jpeg(picture: Frame, path: str | Path) -> None:
    """Write one image atomically."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG", quality=JPEG_QUALITY)


def write_text(text: str, path: str | Path) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
