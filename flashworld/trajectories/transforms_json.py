"""Reading and writing nerfstudio's `transforms.json`.

It holds OpenGL camera-to-world matrices by rows, one per frame, and a pinhole lens in pixels or as an angle: at the top
level, or in a frame (see `lenses`). Frames are sorted by the names of their images, because structure-from-motion tools write
them in the order of their database. Lens distortion is ignored, with a note. Its world is that of a PLY trained from it,
in both directions.

Source: nerfstudio's documentation, "Data conventions"; `camera_angle_x` is the older form of NeRF's own data.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from flashworld.cameras import Cameras
from flashworld.trajectories.camera_json import CameraValues, LensTarget, Size, read_cameras
from flashworld.trajectories.lenses import Distortion, read_lens, refuse_other_projections
from flashworld.trajectories.matrices import read_matrix, turn_world
from flashworld.trajectories.ordering import in_order


def read_transforms(
    data: Mapping[str, object], target: LensTarget, pixel_size: Size | None
) -> tuple[Cameras, tuple[str, ...]]:
    """Cameras of a decoded `transforms.json` in this project's world, and notes for the user.

    Args:
        data: The decoded object, with a "frames" list.
        target: The output image that the lenses refer to.
        pixel_size: (height, width) of the images, if the file has no w and h.

    Raises:
        TrajectoryError: the path is invalid; the message has the camera's index.
    """
    refuse_other_projections(data, "camera path")
    distortion, remarks = Distortion(), dict[str, None]()

    def read(entry: Mapping[str, object], where: str) -> CameraValues:
        refuse_other_projections(entry, where)
        quat, position = read_matrix(entry.get("transform_matrix"), f"{where}: transform_matrix")
        distortion.look(entry, data, where)
        lens, contradictions = read_lens(entry, data, where, target, pixel_size)
        remarks.update(dict.fromkeys(contradictions))
        if lens is None:
            remarks[target.no_lens_note()] = None
            lens = target.lens_from_fov(target.fov_y_deg)
        return quat, position, lens

    cameras = turn_world(read_cameras(data["frames"], "frames", read))
    frames = data["frames"] if isinstance(data["frames"], list | tuple) else []
    cameras, sorting = in_order(cameras, [entry.get("file_path") for entry in frames])
    return cameras, tuple(note for note in (*sorting, distortion.note(), *remarks) if note)


def to_transforms_json(cameras: Cameras, *, height: int, width: int) -> dict[str, object]:
    """The path as `transforms.json`, in the world of a PLY written by this project; every frame has its lens, and a file
    name for its image.

    Args:
        cameras: The path.
        height: Rows of the images that the intrinsics are relative to.
        width: Columns of those images.
    """
    cameras = turn_world(cameras.to("cpu", torch.float64))
    lenses_px = cameras.intrinsics * cameras.intrinsics.new_tensor([width, height, width, height])
    frames = []
    for index, (c2w, lens) in enumerate(zip(cameras.c2w.tolist(), lenses_px.tolist(), strict=True)):
        fx, fy, cx, cy = map(_nine_digits, lens)
        picture = f"images/frame_{index + 1:05d}.png"
        matrix = [[*map(_nine_digits, row)] for row in c2w]
        frames.append({"file_path": picture, "transform_matrix": matrix, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy})
    return {"camera_model": "PINHOLE", "w": width, "h": height, "frames": frames}


def _nine_digits(value: float) -> float:
    """Enough digits to read the same float32 back."""
    return float(f"{value:.9g}") + 0.0
