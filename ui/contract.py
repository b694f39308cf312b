"""What the page needs from whoever runs the model: `app.py`, or the stand-in of the browser tests.

The page knows these types and nothing of torch, spaces or weights. All values are plain data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from flashworld.config import DEFAULT_FOV_Y_DEG, DEFAULT_FPS, DEFAULT_VIDEO_SECONDS
from flashworld.progress import Progress

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.inputs import GenerationRequest, VideoSettings
    from flashworld.nano.language import Understood

FileName = Literal["ply", "spz", "viewer", "plain", "video", "poster", "path", "zip", "html", "request"]
"""Files of a result. Downloads: ply, spz, video (MP4), path (JSON), zip. `viewer` is the light SPZ that the 3D view shows
before `spz`, where that is heavy; `plain` the small .splat for `gr.Model3D`, `poster` a WebP. `html` and `request` (JSON, without the picture) are made by the page."""


@dataclass(frozen=True)
class Defaults:
    """What the form starts with and may offer.

    Attributes:
        frames: Number of views.
        height: Image height in pixels.
        width: Image width in pixels.
        sizes: (height, width) choices, the default first.
        fov_y_deg: Vertical field of view in degrees.
        fps: Frames a second of the video.
        seconds: Length of the video.
    """

    frames: int = 24
    height: int = 480
    width: int = 704
    sizes: tuple[tuple[int, int], ...] = ((480, 704), (704, 480), (576, 576))
    fov_y_deg: float = DEFAULT_FOV_Y_DEG
    fps: int = DEFAULT_FPS
    seconds: float = DEFAULT_VIDEO_SECONDS


@dataclass(frozen=True)
class Result:
    """A finished scene.

    Attributes:
        files: Paths inside the session folder the page handed in.
        seed: The seed that was used.
        gaussians: How many Gaussians the full PLY holds.
        cameras: The views in the scene's frame and units, for the 3D viewer.
        height: Rows of the views and the video.
        width: Columns of them.
        image_index: Which camera the picture belongs to.
        focus_distance: How far ahead of that camera the middle of the scene is, scene units.
        timings: Seconds by stage, shown below the result; none for an example, which another machine made.
        light_gaussians: How many Gaussians the light scene holds; 0 where there is none.
        light_psnr_db: How like the full scene that looks along the path, dB.
    """

    files: dict[FileName, Path]
    seed: int
    gaussians: int
    cameras: Cameras
    height: int
    width: int
    image_index: int = 0
    focus_distance: float = 1.5
    timings: dict[str, float] = field(default_factory=dict)
    light_gaussians: int = 0
    light_psnr_db: float = math.inf


class Service(Protocol):
    """Runs the model."""

    model_name: str
    """Such as "FlashWorld" or "FlashWorld nano"."""
    model_note: str
    """One line for visitors: which model runs and how, such as "full model, compiled graph active"."""
    defaults: Defaults
    queue_size: int
    """How many visitors may wait."""
    concurrency: int
    """How many generations run at once."""
    uses_gpu_quota: bool
    """Runs on ZeroGPU, where visitors have a daily quota."""
    understood: Callable[[str], Understood] | None
    """What the model makes of a prompt, where it knows some words alone; None where it reads any."""

    def estimate_seconds(self, frames: int, height: int, width: int, video: VideoSettings, *, picture: bool) -> float:
        """Seconds of GPU (or CPU) time such a request takes, the number that also feeds `duration=`.

        Args:
            frames: Views.
            height: Rows of a view.
            width: Columns of a view.
            video: The film.
            picture: Whether the request begins with a picture.
        """
        ...

    def generate(self, request: GenerationRequest, *, session_dir: Path) -> Generator[Progress | Result, None, None]:
        """Yield progress and, last, the result.

        Closing the iterator stops the work. Raises `FlashWorldError`; an `InputError`'s text is shown to the visitor.

        Args:
            request: Checked already.
            session_dir: An empty folder made for this call; every file goes there.
        """
        ...
