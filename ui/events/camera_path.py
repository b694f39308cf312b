"""Convert the controls of step 2 to cameras. Preview and job share this code, so both use the same path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flashworld.errors import TrajectoryError

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.io.images.reading import Photo
    from flashworld.trajectories.resolve import PathSource

Source = Literal["template", "record", "file"]
MAX_KEYFRAMES = 64
EMPTY_RECORDING: dict[str, Any] = {"keyframes": [], "mode": "spline", "loop": False, "origin": "path"}


@dataclass(frozen=True)
class PathForm:
    """The values of step 2.

    Attributes:
        source: The selected source of the path, one of three.
        preset: Name of the template.
        params: The template's parameters, with `loop` and `easing`.
        recording: Keyframes from the stage, as `check_recording` returns them.
        file_text: Path JSON, uploaded (`path_files.files_as_text`) or pasted.
    """

    source: Source
    preset: str
    params: Mapping[str, object] = field(default_factory=dict)
    recording: Mapping[str, Any] = field(default_factory=lambda: EMPTY_RECORDING)
    file_text: str = ""

    def trajectory(self) -> tuple[PathSource, dict[str, object]]:
        """The path in the form that `build_request` takes: source and parameters.

        Raises:
            TrajectoryError: fewer than two keyframes, or no usable JSON.
        """
        if self.source == "template":
            return self.preset, dict(self.params)
        if self.source == "record":
            return keyframes_of(self.recording), {"mode": self.recording["mode"], "loop": self.recording["loop"]}
        return parse_path_text(self.file_text), {}

    def cameras(
        self, frames: int, height: int, width: int, fov_deg: float, photo: Photo | None = None
    ) -> tuple[Cameras, tuple[str, ...]]:
        """The path itself, one camera per frame, and remarks on its file, one sentence each.

        Some path files give the lens in pixels, which refer to the photo's size.

        Raises:
            TrajectoryError: as `trajectory`, or the path is not usable.
        """
        from flashworld.trajectories.resolve import build_path, lens

        source, params = self.trajectory()
        intrinsics = lens(fov_deg, None, None, height, width)
        cameras, origin = build_path(
            source,
            params,
            frames=frames,
            height=height,
            width=width,
            intrinsics=intrinsics,
            picture_size=photo.pixels.shape[:2] if photo else None,
        )
        return cameras, origin.notes


def parse_path_text(text: str) -> PathSource:
    """Path JSON in any format that the library reads.

    Raises:
        TrajectoryError: empty, too large, or neither a JSON object nor a list of them.
    """
    from flashworld.trajectories.files import read_path_bytes

    if not text.strip():
        raise TrajectoryError("path file: upload or paste the JSON of a camera path first")
    return read_path_bytes(text.encode("utf-8", "replace"), ".json", "path file")


def check_recording(data: object) -> dict[str, Any]:
    """Check untrusted keyframes from the browser: structure and size here, numbers in the library.

    Raises:
        TrajectoryError: not of the expected shape, or too many keyframes.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("keyframes"), list):
        raise TrajectoryError("keyframes: expected a list of keyframes")
    keys = data["keyframes"]
    if len(keys) > MAX_KEYFRAMES:
        raise TrajectoryError(f"keyframes: at most {MAX_KEYFRAMES}, got {len(keys)}")
    wanted = {"position": 3, "quat_wxyz": 4}
    clean = []
    for index, key in enumerate(keys):
        for name, count in wanted.items():
            value = key.get(name) if isinstance(key, Mapping) else None
            if not isinstance(value, list) or len(value) != count:
                raise TrajectoryError(f"keyframe {index}: {name} must be {count} numbers")
        clean.append({name: key.get(name) for name in (*wanted, "fov_y_deg")})
    mode = "linear" if data.get("mode") == "linear" else "spline"
    origin = "scene" if data.get("origin") == "scene" else "path"
    return {"keyframes": clean, "mode": mode, "loop": data.get("loop") is True, "origin": origin}


def keyframes_of(recording: Mapping[str, Any]) -> list:
    """Convert recorded keyframes to the library's type.

    Raises:
        TrajectoryError: fewer than two.
    """
    from flashworld.trajectories.keyframes import Keyframe

    keys = recording["keyframes"]
    if len(keys) < 2:
        raise TrajectoryError(f"keyframes: record at least 2, got {len(keys)}")
    return [Keyframe(tuple(key["position"]), tuple(key["quat_wxyz"]), key["fov_y_deg"]) for key in keys]


def exif_fov(photo: Photo, height: int, width: int) -> float | None:
    """The photo's own vertical field of view after the crop, degrees; None if its file does not state one."""
    from flashworld.cameras import fov_y_deg
    from flashworld.io.images.crops import crop_box, photo_intrinsics

    rows, columns = photo.pixels.shape[:2]
    own = photo_intrinsics(photo, crop_box(rows, columns, height, width), height, width)
    return None if own is None else round(float(fov_y_deg(own)), 1)
